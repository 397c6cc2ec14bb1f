"""Statements that put messages into the outbox, and find what is due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from email_profiles_hookspecs.errors import IdempotencyConflict

from ..settlement import WAITING
from ..verdict import LONGEST_PAUSE_S
from .claims import is_due
from .tables import attempt, health, message, octets, recipient

WEEK_S = 7 * 86_400
EPOCH = 1_577_836_800
"""The year 2020: a clock that shows less was not set yet."""


@frozen(kw_only=True)
class Draft:
    """A message about to be queued; times in seconds since 1970."""

    id: str
    message_id: str
    profile_id: str
    profile_name: str
    origin: str
    idempotency_key: str | None
    request_hash: str
    request: str = field(repr=False)
    mail_from: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    smtputf8: bool
    lane: int
    max_attempts: int
    queued_at: float
    expires_at: float
    dry_run: bool = False


@frozen(kw_only=True)
class Due:
    """Something waits for this profile; *lane* is the most urgent."""

    profile_id: str
    profile_name: str
    lane: int
    failures: int


_BY_KEY = (
    select(
        message.c.id, message.c.message_id, message.c.queued_at, message.c.request_hash
    )
    .where(message.c.origin == bindparam("of_origin"))
    .where(message.c.idempotency_key == bindparam("of_key"))
)
_MESSAGE, _OCTETS, _RECIPIENTS = insert(message), insert(octets), insert(recipient)
_URGENT = func.min(message.c.lane).label("lane")
_WITH_HEALTH = message.outerjoin(health, health.c.profile_id == message.c.profile_id)
_RESTS_UNTIL = func.coalesce(health.c.paused_until, 0)
_MAY_GO = or_(
    _RESTS_UNTIL <= bindparam("now"),
    _RESTS_UNTIL > bindparam("now") + LONGEST_PAUSE_S,
)
_DUE = (
    select(
        message.c.profile_id,
        func.max(message.c.profile_name).label("name"),
        _URGENT,
        func.coalesce(func.max(health.c.failures), 0).label("failures"),
    )
    .select_from(_WITH_HEALTH)
    .where(message.c.state == "queued")
    .where(is_due(bindparam("now")))
    .where(_MAY_GO)
    .group_by(message.c.profile_id)
    .order_by(_URGENT, func.min(message.c.due_at))
)
_MOST_URGENT = (
    select(message.c.lane)
    .select_from(_WITH_HEALTH)
    .where(message.c.state == "queued")
    .where(is_due(bindparam("now")))
    .where(_MAY_GO)
    .where(message.c.profile_id.not_in(bindparam("others_than", expanding=True)))
    .order_by(message.c.lane)
    .limit(1)
)


def queued_before(
    connection: Connection, origin: str, key: str | None, request_hash: str
) -> Row[Any] | None:
    """
    The row that an idempotency key already stands for.

    IdempotencyConflict where that one has other content.
    """
    if key is None:
        return None
    given = {"of_origin": origin, "of_key": key}
    before: Any = connection.execute(_BY_KEY, given).one_or_none()
    if before is not None and before.request_hash != request_hash:
        raise IdempotencyConflict(
            f"key {key!r} was used for another message ({before.id})",
            "use a new key for new content",
        )
    found: Row[Any] | None = before
    return found


def queue(connection: Connection, draft: Draft) -> Row[Any] | None:
    """Insert a message; or return the row that its key already stands for."""
    before = queued_before(
        connection, draft.origin, draft.idempotency_key, draft.request_hash
    )
    if before is not None:
        return before
    connection.execute(_MESSAGE, _columns(draft))
    connection.execute(_OCTETS, {"message_id": draft.id, "octets": draft.octets})
    connection.execute(
        _RECIPIENTS,
        [
            {
                "message_id": draft.id,
                "position": position,
                "address": address,
                "state": "cancelled" if draft.dry_run else "waiting",
                "attempt": 0,
                "stage": "",
            }
            for position, address in enumerate(draft.recipients)
        ],
    )
    return None


def _columns(draft: Draft) -> dict[str, Any]:
    """The message's row; a dry run is settled from the start."""
    return {
        "id": draft.id,
        "message_id": draft.message_id,
        "profile_id": draft.profile_id,
        "profile_name": draft.profile_name,
        "origin": draft.origin,
        "idempotency_key": None if draft.dry_run else draft.idempotency_key,
        "request_hash": draft.request_hash,
        "request": draft.request,
        "mail_from": draft.mail_from,
        "smtputf8": draft.smtputf8,
        "size": len(draft.octets),
        "lane": draft.lane,
        "max_attempts": draft.max_attempts,
        "queued_at": draft.queued_at,
        "expires_at": draft.expires_at,
        "due_at": draft.queued_at,
        "state": "settled" if draft.dry_run else "queued",
        "handed": False,
        "attempt": 0,
        "tries": 0,
        "outcome": "dry run" if draft.dry_run else None,
        "error": "",
        "queue_id": "",
        "settled_at": draft.queued_at if draft.dry_run else None,
        "settled_by": "" if draft.dry_run else None,
    }


def due(connection: Connection, now: float) -> list[Due]:
    """The profiles with something to send and no reason to rest, urgent ones first."""
    return [
        Due(profile_id=id, profile_name=name, lane=lane, failures=failures)
        for id, name, lane, failures in connection.execute(_DUE, {"now": now})
    ]


def most_urgent(
    connection: Connection, now: float, others_than: Sequence[str]
) -> int | None:
    """The most urgent lane of what could go now, of profiles but those named."""
    given = {"now": now, "others_than": list(others_than)}
    return connection.scalar(_MOST_URGENT, given)


def used(connection: Connection, profile_id: str, now: float) -> tuple[int, int]:
    """Attempts of the last minute; recipients of the last day, and those under way."""
    minute = connection.scalar(
        select(func.count())
        .select_from(attempt.join(message))
        .where(attempt.c.started_at > now - 60)
        .where(message.c.profile_id == profile_id)
    )
    served = and_(
        recipient.c.decided_at > now - 86_400, recipient.c.state == "accepted"
    )
    going = and_(message.c.state == "sending", recipient.c.state.in_(WAITING))
    day = connection.scalar(
        select(func.count())
        .select_from(recipient.join(message))
        .where(or_(served, going))
        .where(message.c.profile_id == profile_id)
    )
    return minute or 0, day or 0


_EXPIRED = (
    select(message.c.id, message.c.error)
    .where(message.c.state == "queued")
    .where(message.c.expires_at <= bindparam("now"))
)
_BEFORE_THE_CLOCK = (
    update(message)
    .where(message.c.state == "queued")
    .where(message.c.queued_at < EPOCH)
    .where(bindparam("now") > EPOCH)
    .values(
        expires_at=message.c.expires_at - message.c.queued_at + bindparam("now"),
        due_at=bindparam("now"),
        queued_at=bindparam("now"),
    )
)


def expired(connection: Connection, now: float) -> list[tuple[str, str]]:
    """The queued rows whose time is over, each with the error of its last attempt."""
    rows = connection.execute(_EXPIRED, {"now": now})
    return [(row.id, row.error) for row in rows]


def date(connection: Connection, now: float) -> None:
    """Give rows from before the machine's clock was set the time that they have."""
    connection.execute(_BEFORE_THE_CLOCK, {"now": now})


def sweep(connection: Connection, before: float, now: float) -> int:
    """
    Delete what was settled before *before*.

    A row is kept for a week after it could last have been retried, or its idempotency
    key would be free while somebody may still use it.
    """
    gone = connection.execute(
        message.delete()
        .where(message.c.state == "settled")
        .where(message.c.settled_at < before)
        .where(message.c.expires_at < now - WEEK_S)
    )
    return gone.rowcount
