"""Statements on the runs of report schedules: one for each firing, whoever makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, frozen
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from .tables import message, report_clock, report_run

RUNNING = "running"
STATES = (RUNNING, "queued", "empty", "failed", "missed", "lost")
"""
Queued: the mail is in the outbox. Empty: there was nothing to send. Missed: it was too
late to make it. Lost: whoever made it died, and nobody else could.
"""


RESULT = (
    *("state", "ended_at", "row_count", "message_id", "recipients"),
    *("stage", "error", "remedy", "notes"),
)
"""What of a run is known when it ends."""


@frozen(kw_only=True)
class Run:
    """
    A run of a report schedule, for one firing or because somebody asked for it.

    *asked_by* is who did, or ""; *missed* firings before this one were made good by
    it; *message_id* is the id in the outbox, of a mail to so many *recipients*.
    """

    id: str
    schedule_id: str
    schedule_name: str
    key: str
    asked_by: str
    scheduled_at: datetime
    missed: int = 0
    state: str = RUNNING
    owner: str | None = None
    tries: int = 1
    started_at: datetime
    lost_at: datetime
    """Until when whoever was asked for it has to be done."""
    ended_at: datetime | None = None
    row_count: int | None = None
    message_id: str | None = None
    recipients: int = 0
    stage: str = ""
    error: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()


_TIMES = ("scheduled_at", "started_at", "lost_at", "ended_at")


def _run(row: Row[Any]) -> Run:
    values = dict(row._mapping)
    for name in _TIMES:
        if values[name] is not None:
            values[name] = datetime.fromtimestamp(values[name], UTC)
    return Run(**{**values, "notes": tuple(json.loads(values["notes"]))})


def _kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """*values* of a run as columns have them."""
    kept = dict(values)
    for name in _TIMES:
        if kept.get(name) is not None:
            kept[name] = kept[name].timestamp()
    if "notes" in kept:
        kept["notes"] = json.dumps(list(kept["notes"]), ensure_ascii=False)
    return kept


def clock(connection: Connection, schedule_id: str) -> tuple[str, float] | None:
    """The timetable, and until when its firings are dealt with."""
    row = connection.execute(
        select(report_clock).where(report_clock.c.schedule_id == schedule_id)
    ).one_or_none()
    return None if row is None else (row.timetable, row.since)


def set_clock(
    connection: Connection, schedule_id: str, timetable: str, since: float
) -> None:
    """The firings of a schedule are dealt with until *since*."""
    mine = report_clock.c.schedule_id == schedule_id
    values = {"timetable": timetable, "since": since}
    if not connection.execute(update(report_clock).where(mine).values(values)).rowcount:
        connection.execute(
            insert(report_clock).values(schedule_id=schedule_id, **values)
        )


def forget(connection: Connection, schedule_id: str) -> None:
    """The schedule is gone; its runs are kept as long as others are."""
    connection.execute(
        delete(report_clock).where(report_clock.c.schedule_id == schedule_id)
    )


def begin(connection: Connection, run: Run) -> bool:
    """Keep a new run; false where its schedule has one with this key."""
    values = _kept(asdict(run))
    try:
        with connection.begin_nested():
            connection.execute(insert(report_run).values(values))
    except IntegrityError:
        return False
    return True


def running(connection: Connection) -> list[Run]:
    """All that are being made, the oldest first."""
    rows = connection.execute(
        select(report_run)
        .where(report_run.c.state == RUNNING)
        .order_by(report_run.c.started_at)
    )
    return [_run(row) for row in rows]


def take(
    connection: Connection, id: str, before: str | None, owner: str, tries: int
) -> bool:
    """Make *owner* the one that makes a run, if *before* still was."""
    changed = connection.execute(
        update(report_run)
        .where(report_run.c.id == id, report_run.c.state == RUNNING)
        .where(report_run.c.owner.is_not_distinct_from(before))
        .values(owner=owner, tries=tries)
    )
    return bool(changed.rowcount)


def release(connection: Connection, id: str, owner: str) -> None:
    """Leave a run to whoever takes it; it does not count as a try."""
    connection.execute(
        update(report_run)
        .where(report_run.c.id == id, report_run.c.state == RUNNING)
        .where(report_run.c.owner == owner)
        .values(owner=None, tries=report_run.c.tries - 1)
    )


def settle(
    connection: Connection, id: str, owner: str | None, values: Mapping[str, Any]
) -> bool:
    """End a run with *values*, if *owner* still makes it."""
    changed = connection.execute(
        update(report_run)
        .where(report_run.c.id == id, report_run.c.state == RUNNING)
        .where(report_run.c.owner.is_not_distinct_from(owner))
        .values(_kept(values))
    )
    return bool(changed.rowcount)


def by_id(connection: Connection, id: str) -> Run | None:
    """One run."""
    row = connection.execute(
        select(report_run).where(report_run.c.id == id)
    ).one_or_none()
    return None if row is None else _run(row)


def listed(
    connection: Connection, schedule_id: str | None = None, limit: int = 100
) -> Sequence[Run]:
    """The newest first; of one schedule where it is named."""
    wanted = select(report_run).order_by(
        report_run.c.started_at.desc(), report_run.c.scheduled_at.desc()
    )
    if schedule_id is not None:
        wanted = wanted.where(report_run.c.schedule_id == schedule_id)
    return [_run(row) for row in connection.execute(wanted.limit(limit))]


def queued_as(connection: Connection, origin: str, key: str) -> str | None:
    """The id of the message that an origin queued under a key."""
    found: str | None = connection.scalar(
        select(message.c.id).where(
            message.c.origin == origin, message.c.idempotency_key == key
        )
    )
    return found


def sweep(connection: Connection, before: float) -> None:
    """Forget runs that ended before a moment."""
    connection.execute(delete(report_run).where(report_run.c.ended_at < before))
