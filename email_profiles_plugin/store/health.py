"""Statements on how a profile fares: successes, failures, and how long it rests."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ..verdict import pause
from .tables import health
from .views import moment


@frozen(kw_only=True)
class Health:
    """How a profile fares; it rests until *paused_until* after *failures* in a row."""

    failures: int = 0
    paused_until: datetime | None = None
    reason: str = ""
    remedy: str = ""
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str = ""


def read(connection: Connection, profile_id: str) -> Health:
    """What is known; nothing happened yet where there is no row."""
    return of_all(connection, [profile_id])[profile_id]


def of_all(connection: Connection, profile_ids: Collection[str]) -> dict[str, Health]:
    """The same of several profiles, by id."""
    rows = connection.execute(
        select(health).where(health.c.profile_id.in_(profile_ids))
    )
    return {one: Health() for one in profile_ids} | {
        row.profile_id: _health(row) for row in rows
    }


def _health(row: Row[Any]) -> Health:
    return Health(
        failures=row.failures,
        paused_until=moment(row.paused_until or None),
        reason=row.reason,
        remedy=row.remedy,
        last_success_at=moment(row.last_success_at),
        last_failure_at=moment(row.last_failure_at),
        last_failure=row.last_failure,
    )


def failed(
    connection: Connection,
    profile_id: str,
    *,
    revision: int,
    reason: str,
    remedy: str,
    now: float,
) -> float:
    """One more failure in a row: the profile rests, longer each time; until when."""
    before = connection.execute(
        select(health.c.failures, health.c.revision).where(
            health.c.profile_id == profile_id
        )
    ).one_or_none()
    same = before is not None and before.revision == revision
    failures = (before.failures if before is not None and same else 0) + 1
    until = now + pause(failures)
    _put(
        connection,
        profile_id,
        revision=revision,
        failures=failures,
        paused_until=until,
        reason=reason,
        remedy=remedy,
        last_failure_at=now,
        last_failure=reason,
    )
    return until


def refused(connection: Connection, profile_id: str, reason: str, now: float) -> None:
    """A message failed, which says nothing about the next one."""
    _put(connection, profile_id, last_failure_at=now, last_failure=reason)


_WELL = (
    update(health)
    .where(health.c.profile_id == bindparam("of_profile"))
    .values(
        revision=bindparam("to_revision"),
        failures=0,
        paused_until=0,
        reason="",
        remedy="",
        last_success_at=bindparam("now"),
    )
)


def succeeded(
    connection: Connection, profile_id: str, revision: int, now: float
) -> None:
    """A message was accepted: the profile is well."""
    given = {"of_profile": profile_id, "to_revision": revision, "now": now}
    if connection.execute(_WELL, given).rowcount:
        return
    _put(
        connection,
        profile_id,
        revision=revision,
        failures=0,
        paused_until=0,
        reason="",
        remedy="",
        last_success_at=now,
    )


def resume(connection: Connection, profile_id: str) -> None:
    """Lift the pause: somebody changed something, or wants to see."""
    connection.execute(
        update(health)
        .where(health.c.profile_id == profile_id)
        .values(failures=0, paused_until=0, reason="", remedy="")
    )


def forget(connection: Connection, profile_id: str) -> None:
    """The profile is gone."""
    connection.execute(delete(health).where(health.c.profile_id == profile_id))


def _put(connection: Connection, profile_id: str, **values: Any) -> None:
    changed = connection.execute(
        update(health).where(health.c.profile_id == profile_id).values(**values)
    )
    if not changed.rowcount:
        fresh = {
            "revision": 0,
            "failures": 0,
            "paused_until": 0,
            "reason": "",
            "remedy": "",
            "last_failure": "",
        }
        connection.execute(
            insert(health).values({**fresh, "profile_id": profile_id, **values})
        )
