"""Statements that put messages into the outbox, and find what is due."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection, Row, func, insert, select

from email_profiles_hookspecs.errors import IdempotencyConflict

from .tables import attempt, health, message, octets, recipient

WEEK_S = 7 * 86_400


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


def queue(connection: Connection, draft: Draft) -> Row[Any] | None:
    """
    Insert a message; or the row that its idempotency key already stands for.

    IdempotencyConflict where that one has other content.
    """
    if draft.idempotency_key is not None:
        before = connection.execute(
            select(message.c.id, message.c.message_id, message.c.queued_at)
            .add_columns(message.c.request_hash)
            .where(message.c.origin == draft.origin)
            .where(message.c.idempotency_key == draft.idempotency_key)
        ).one_or_none()
        if before is not None:
            if before.request_hash != draft.request_hash:
                raise IdempotencyConflict(
                    f"key {draft.idempotency_key!r} was used for another message "
                    f"({before.id})",
                    "use a new key for new content",
                )
            return before
    settled = {"state": "settled", "outcome": "dry run", "settled_at": draft.queued_at}
    connection.execute(
        insert(message).values(
            id=draft.id,
            message_id=draft.message_id,
            profile_id=draft.profile_id,
            profile_name=draft.profile_name,
            origin=draft.origin,
            idempotency_key=draft.idempotency_key,
            request_hash=draft.request_hash,
            request=draft.request,
            mail_from=draft.mail_from,
            smtputf8=draft.smtputf8,
            size=len(draft.octets),
            lane=draft.lane,
            max_attempts=draft.max_attempts,
            queued_at=draft.queued_at,
            expires_at=draft.expires_at,
            due_at=draft.queued_at,
            handed=False,
            attempt=0,
            tries=0,
            error="",
            queue_id="",
            **(settled if draft.dry_run else {"state": "queued"}),
        )
    )
    connection.execute(insert(octets).values(message_id=draft.id, octets=draft.octets))
    connection.execute(
        insert(recipient),
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


def due(connection: Connection, now: float) -> list[Due]:
    """The profiles with something to send and no reason to rest, urgent ones first."""
    lane = func.min(message.c.lane).label("lane")
    rows = connection.execute(
        select(
            message.c.profile_id,
            func.max(message.c.profile_name).label("name"),
            lane,
            func.coalesce(func.max(health.c.failures), 0).label("failures"),
        )
        .select_from(message.outerjoin(health, _same_profile()))
        .where(message.c.state == "queued")
        .where(message.c.due_at <= now)
        .where(func.coalesce(health.c.paused_until, 0) <= now)
        .group_by(message.c.profile_id)
        .order_by(lane, func.min(message.c.due_at))
    )
    return [
        Due(profile_id=id, profile_name=name, lane=lane, failures=failures)
        for id, name, lane, failures in rows
    ]


def _same_profile() -> Any:
    return health.c.profile_id == message.c.profile_id


def next_due(connection: Connection) -> float | None:
    """When the next row becomes due; None where none waits."""
    at: float | None = connection.scalar(
        select(
            func.min(
                func.max(message.c.due_at, func.coalesce(health.c.paused_until, 0))
            )
        )
        .select_from(message.outerjoin(health, _same_profile()))
        .where(message.c.state == "queued")
    )
    return at


def used(connection: Connection, profile_id: str, now: float) -> tuple[int, int]:
    """Attempts within the last minute, and recipients served within the last day."""
    minute = connection.scalar(
        select(func.count())
        .select_from(attempt.join(message))
        .where(attempt.c.started_at > now - 60)
        .where(message.c.profile_id == profile_id)
    )
    day = connection.scalar(
        select(func.count())
        .select_from(recipient.join(message))
        .where(recipient.c.decided_at > now - 86_400)
        .where(recipient.c.state == "accepted")
        .where(message.c.profile_id == profile_id)
    )
    return minute or 0, day or 0


def expired(connection: Connection, now: float) -> list[str]:
    """The queued rows whose time is over."""
    return list(
        connection.scalars(
            select(message.c.id)
            .where(message.c.state == "queued")
            .where(message.c.expires_at <= now)
        )
    )


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
