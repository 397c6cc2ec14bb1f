"""Statements that show the outbox: to hosts as outcomes, to people as entries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection, Row, and_, bindparam, func, or_, select

from email_profiles_hookspecs import Outcome, Reply

from ..settlement import LANES
from .attempts import read_reply
from .tables import attempt, message, octets, recipient


def moment(seconds: float | None) -> datetime | None:
    """A stored time as an aware one."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@frozen(kw_only=True)
class RecipientEntry:
    """One recipient, and how far it has come."""

    address: str
    state: str
    attempt: int
    stage: str
    reply: Reply | None


@frozen(kw_only=True)
class AttemptEntry:
    """One submission: who, when, and what it came to."""

    number: int
    late: bool
    worker: str
    profile_revision: int
    started_at: datetime | None
    handed_at: datetime | None
    ended_at: datetime | None
    verdict: str
    stage: str
    error: str
    remedy: str
    queue_id: str
    transcript: str = field(repr=False)


@frozen(kw_only=True)
class MessageEntry:
    """A message in the outbox; *state* is the outcome once it is settled."""

    id: str
    message_id: str
    profile_id: str
    profile: str
    origin: str
    idempotency_key: str | None
    state: str
    lane: str
    subject: str
    size: int
    attempts: int
    tries: int
    max_attempts: int
    queued_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    settled_at: datetime | None
    announced_at: datetime | None
    error: str
    reply: Reply | None
    queue_id: str
    request: Mapping[str, Any] = field(repr=False)
    recipients: tuple[RecipientEntry, ...] = ()
    history: tuple[AttemptEntry, ...] = ()


def _entry(row: Row[Any], **more: Any) -> MessageEntry:
    request = json.loads(row.request)
    return MessageEntry(
        id=row.id,
        message_id=row.message_id,
        profile_id=row.profile_id,
        profile=row.profile_name,
        origin=row.origin,
        idempotency_key=row.idempotency_key,
        state=row.outcome or row.state,
        lane=LANES[row.lane],
        subject=request.get("subject", ""),
        size=row.size,
        attempts=row.attempt,
        tries=row.tries,
        max_attempts=row.max_attempts,
        queued_at=moment(row.queued_at),
        due_at=moment(row.due_at),
        expires_at=moment(row.expires_at),
        settled_at=moment(row.settled_at),
        announced_at=moment(row.announced_at),
        error=row.error,
        reply=read_reply(row.reply),
        queue_id=row.queue_id,
        request=request,
        **more,
    )


def listed(
    connection: Connection,
    *,
    state: str | None,
    profile_id: str | None,
    limit: int,
    text: str = "",
    after: str | None = None,
) -> list[MessageEntry]:
    """
    The newest messages first; *state* is a state or an outcome.

    *text* begins an id, or is in a recipient's address; *after* is the id of the
    message before the first one here, which may be gone meanwhile: then there is none.
    """
    newest = message.c.queued_at.desc(), message.c.id.desc()
    wanted = select(message).order_by(*newest).limit(limit)
    if state is not None:
        wanted = wanted.where(
            func.coalesce(message.c.outcome, message.c.state) == state
        )
    if profile_id is not None:
        wanted = wanted.where(message.c.profile_id == profile_id)
    if text:
        told = select(recipient.c.message_id).where(
            recipient.c.address.icontains(text, autoescape=True)
        )
        begins = message.c.id.startswith(text, autoescape=True)
        wanted = wanted.where(or_(begins, message.c.id.in_(told)))
    if after is not None:
        at = select(message.c.queued_at).where(message.c.id == after).scalar_subquery()
        same = and_(message.c.queued_at == at, message.c.id < after)
        wanted = wanted.where(or_(message.c.queued_at < at, same))
    return [_entry(row) for row in connection.execute(wanted)]


def header(connection: Connection, id: str) -> str:
    """A message's header as it is sent, without the body; "" where there is none."""
    found = connection.scalar(select(octets.c.octets).where(octets.c.message_id == id))
    return (found or b"").partition(b"\r\n\r\n")[0].decode("utf-8", "replace")


def shown(connection: Connection, id: str) -> MessageEntry | None:
    """One message with its recipients and attempts; by its id or a start of it."""
    rows = connection.execute(
        select(message).where(message.c.id.startswith(id, autoescape=True)).limit(2)
    ).all()
    if len(rows) != 1 or not id:
        return None
    row = rows[0]
    return _entry(
        row,
        recipients=_recipients(connection, row.id),
        history=_history(connection, row.id),
    )


_SETTLED = select(message).where(
    message.c.id == bindparam("of_id"), message.c.state == "settled"
)
_PEOPLE = (
    select(recipient)
    .where(recipient.c.message_id == bindparam("of_id"))
    .order_by(recipient.c.position)
)


def _recipients(connection: Connection, id: str) -> tuple[RecipientEntry, ...]:
    rows = connection.execute(_PEOPLE, {"of_id": id})
    return tuple(
        RecipientEntry(
            address=row.address,
            state=row.state,
            attempt=row.attempt,
            stage=row.stage,
            reply=read_reply(row.reply),
        )
        for row in rows
    )


def _history(connection: Connection, id: str) -> tuple[AttemptEntry, ...]:
    rows = connection.execute(
        select(attempt)
        .where(attempt.c.message_id == id)
        .order_by(attempt.c.number, attempt.c.part)
    )
    return tuple(
        AttemptEntry(
            number=row.number,
            late=bool(row.part),
            worker=row.worker,
            profile_revision=row.profile_revision,
            started_at=moment(row.started_at),
            handed_at=moment(row.handed_at),
            ended_at=moment(row.ended_at),
            verdict=row.verdict,
            stage=row.stage,
            error=row.error,
            remedy=row.remedy,
            queue_id=row.queue_id,
            transcript=row.transcript,
        )
        for row in rows
    )


def outcome(connection: Connection, id: str) -> Outcome | None:
    """What became of a message; None while it is on its way, or unknown here."""
    row = connection.execute(_SETTLED, {"of_id": id}).one_or_none()
    return _outcome(connection, row) if row is not None else None


def to_announce(connection: Connection, id: str) -> Outcome | None:
    """The outcome of a message that nobody was told of yet."""
    row = connection.execute(_SETTLED, {"of_id": id}).one_or_none()
    told = row is None or row.announced_at is not None
    return None if told else _outcome(connection, row)


def _outcome(connection: Connection, row: Any) -> Outcome:
    people = _recipients(connection, row.id)
    accepted = [one.address for one in people if one.state == "accepted"]
    refused = {
        one.address: one.reply
        for one in people
        if one.state in ("refused", "expired") and one.reply is not None
    }
    return Outcome(
        id=row.id,
        message_id=row.message_id,
        profile=row.profile_name,
        origin=row.origin,
        state=row.outcome,
        accepted=accepted,
        refused=refused,
        reply=read_reply(row.reply),
        queue_id=row.queue_id,
        attempt=row.attempt,
        error=row.error,
        settled_at=datetime.fromtimestamp(row.settled_at, UTC),
    )


def settled_since(
    connection: Connection, since: float, after: str, limit: int
) -> list[str]:
    """Ids of what was settled at *since* with an id past *after*, or later."""
    later = or_(
        message.c.settled_at > since,
        and_(message.c.settled_at == since, message.c.id > after),
    )
    return list(
        connection.scalars(
            select(message.c.id)
            .where(message.c.state == "settled", later)
            .order_by(message.c.settled_at, message.c.id)
            .limit(limit)
        )
    )


def stats(connection: Connection) -> dict[str, int]:
    """How many messages are in each state, or came to each outcome."""
    state = func.coalesce(message.c.outcome, message.c.state)
    rows = connection.execute(
        select(state.label("state"), func.count().label("count")).group_by(state)
    )
    return {row.state: row._mapping["count"] for row in rows}


def queued(connection: Connection, profile_id: str) -> list[str]:
    """Ids of a profile's messages that wait in the queue."""
    return list(
        connection.scalars(
            select(message.c.id)
            .where(message.c.profile_id == profile_id)
            .where(message.c.state == "queued")
        )
    )
