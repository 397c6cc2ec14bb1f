"""Statements of a worker: claim, hand over, book, give back; fenced by the attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection, Row, and_, insert, select, update

from email_profiles_hookspecs import Reply

from ..settlement import WAITING, Finding
from .tables import attempt, message, octets, recipient


@frozen(kw_only=True)
class Claimed:
    """A row that *owner* may send, under its *attempt*; who is still to be served."""

    id: str
    owner: str
    attempt: int
    profile_id: str
    profile_name: str
    mail_from: str
    sender: str | None = None
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    smtputf8: bool
    lane: int
    tries: int
    max_attempts: int


@frozen(kw_only=True)
class Ending:
    """How an attempt ended, for the attempt's row and the message's."""

    verdict: str
    stage: str = ""
    error: str = ""
    remedy: str = ""
    reply: Reply | None = None
    queue_id: str = ""
    transcript: str = field(default="", repr=False)


def claim(
    connection: Connection,
    *,
    owner: str,
    now: float,
    limit: int,
    revision: int,
    profile_id: str | None = None,
    id: str | None = None,
    below_lane: int = 3,
) -> list[Claimed]:
    """
    Take up to *limit* rows of a profile (or the row *id*), and begin their attempts.

    By lane, then by due time. *below_lane* leaves lanes from that one on alone.
    """
    wanted = [message.c.state == "queued", message.c.expires_at > now]
    if id is not None:
        wanted.append(message.c.id == id)
    else:
        wanted += [
            message.c.profile_id == profile_id,
            message.c.due_at <= now,
            message.c.lane < below_lane,
        ]
    rows = connection.execute(
        select(message, octets.c.octets)
        .join(octets)
        .where(and_(*wanted))
        .order_by(message.c.lane, message.c.due_at, message.c.queued_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=message)
    ).all()
    claimed = []
    for row in rows:
        number = row.attempt + 1
        connection.execute(
            update(message)
            .where(message.c.id == row.id)
            .values(state="sending", owner=owner, attempt=number, handed=False)
        )
        connection.execute(
            update(recipient)
            .where(recipient.c.message_id == row.id)
            .where(recipient.c.state == "deferred")
            .values(state="waiting")
        )
        connection.execute(
            insert(attempt).values(
                message_id=row.id,
                number=number,
                part=0,
                worker=owner,
                profile_revision=revision,
                started_at=now,
                verdict="",
                stage="",
                error="",
                remedy="",
                queue_id="",
                transcript="",
            )
        )
        claimed.append(
            Claimed(
                id=row.id,
                owner=owner,
                attempt=number,
                profile_id=row.profile_id,
                profile_name=row.profile_name,
                mail_from=row.mail_from,
                sender=json.loads(row.request).get("sender"),
                recipients=_waiting(connection, row.id),
                octets=row.octets,
                smtputf8=row.smtputf8,
                lane=row.lane,
                tries=row.tries,
                max_attempts=row.max_attempts,
            )
        )
    return claimed


def _waiting(connection: Connection, id: str) -> tuple[str, ...]:
    return tuple(
        connection.scalars(
            select(recipient.c.address)
            .where(recipient.c.message_id == id)
            .where(recipient.c.state.in_(WAITING))
            .order_by(recipient.c.position)
        )
    )


def _held(claimed: Claimed) -> Any:
    """The row is still *claimed*'s: the fence around every later step."""
    return and_(
        message.c.id == claimed.id,
        message.c.state == "sending",
        message.c.owner == claimed.owner,
        message.c.attempt == claimed.attempt,
    )


def _attempt(claimed: Claimed, part: int = 0) -> Any:
    return and_(
        attempt.c.message_id == claimed.id,
        attempt.c.number == claimed.attempt,
        attempt.c.part == part,
    )


def mark_handed(connection: Connection, claimed: Claimed, now: float) -> bool:
    """From here on nobody can say it was not sent; false if it is no longer ours."""
    changed = connection.execute(
        update(message).where(_held(claimed)).values(handed=True)
    )
    if not changed.rowcount:
        return False
    connection.execute(update(attempt).where(_attempt(claimed)).values(handed_at=now))
    return True


def book(
    connection: Connection,
    claimed: Claimed,
    states: Mapping[str, str],
    findings: Mapping[str, Finding],
    now: float,
) -> bool:
    """Write down what recipients have come to; false if the row is no longer ours."""
    held = select(message.c.id).where(_held(claimed))
    if connection.scalar(held) is None:
        return False
    for address, state in states.items():
        finding = findings[address]
        connection.execute(
            update(recipient)
            .where(recipient.c.message_id == claimed.id)
            .where(recipient.c.address == address)
            .where(recipient.c.state.in_(WAITING))
            .values(
                state=state,
                attempt=claimed.attempt,
                stage=finding.stage,
                reply=write_reply(finding.reply),
                decided_at=now,
            )
        )
    return True


def end_attempt(
    connection: Connection, claimed: Claimed, ending: Ending, now: float
) -> None:
    """Complete the attempt's row."""
    connection.execute(
        update(attempt).where(_attempt(claimed)).values(ended_at=now, **_said(ending))
    )


def keep_late(
    connection: Connection, claimed: Claimed, ending: Ending, now: float
) -> None:
    """Keep a result that came when the row was somebody else's already."""
    begun = connection.execute(select(attempt).where(_attempt(claimed))).one()
    known = connection.scalar(select(attempt.c.part).where(_attempt(claimed, 1)))
    if known is None:
        values = {**begun._mapping, "part": 1, "ended_at": now, **_said(ending)}
        connection.execute(insert(attempt).values(values))


def _said(ending: Ending) -> dict[str, Any]:
    return {
        "verdict": ending.verdict,
        "stage": ending.stage,
        "error": ending.error,
        "remedy": ending.remedy,
        "queue_id": ending.queue_id,
        "transcript": ending.transcript,
    }


def requeue(
    connection: Connection,
    claimed: Claimed,
    ending: Ending,
    *,
    due_at: float,
    tried: bool,
) -> None:
    """Back to the queue, until *due_at*."""
    connection.execute(
        update(message)
        .where(_held(claimed))
        .values(
            state="queued",
            owner=None,
            handed=False,
            due_at=due_at,
            tries=message.c.tries + int(tried),
            error=ending.error,
            reply=write_reply(ending.reply),
        )
    )


def owned(connection: Connection, owner: str) -> Sequence[Row[Any]]:
    """The rows that a worker is sending."""
    return connection.execute(
        select(message).where(message.c.owner == owner).with_for_update()
    ).all()


def write_reply(reply: Reply | None) -> str | None:
    """A reply as it is kept."""
    if reply is None:
        return None
    return json.dumps([reply.code, reply.enhanced, reply.text])


def read_reply(text: str | None) -> Reply | None:
    """A reply as it was kept."""
    if text is None:
        return None
    code, enhanced, said = json.loads(text)
    return Reply(code=code, enhanced=enhanced, text=said)
