"""Statements on workers: who delivers, and whether they still do."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Connection, delete, insert, select, update

from .tables import worker


@frozen(kw_only=True)
class Beat:
    """What an observer sees of a worker: a counter, and when it is to count on."""

    id: str
    beats: int
    lease_s: float


def register(
    connection: Connection, *, id: str, host: str, pid: int, lease_s: float, now: float
) -> None:
    """A new worker."""
    connection.execute(
        insert(worker).values(
            id=id,
            host=host,
            pid=pid,
            beats=0,
            lease_s=lease_s,
            started_at=now,
            beat_at=now,
        )
    )


def beat(connection: Connection, id: str, now: float) -> bool:
    """Count on; false for a worker that others have declared dead."""
    changed = connection.execute(
        update(worker)
        .where(worker.c.id == id)
        .where(worker.c.ended_at.is_(None))
        .values(beats=worker.c.beats + 1, beat_at=now)
    )
    return bool(changed.rowcount)


def living(connection: Connection) -> list[Beat]:
    """All workers that did not end, and were not declared dead."""
    rows = connection.execute(
        select(worker.c.id, worker.c.beats, worker.c.lease_s).where(
            worker.c.ended_at.is_(None)
        )
    )
    return [Beat(id=row.id, beats=row.beats, lease_s=row.lease_s) for row in rows]


def end(connection: Connection, id: str, now: float) -> bool:
    """It ended, or was found dead; false if that was known already."""
    changed = connection.execute(
        update(worker)
        .where(worker.c.id == id)
        .where(worker.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    return bool(changed.rowcount)


def sweep(connection: Connection, before: float) -> None:
    """Forget workers that ended long ago."""
    connection.execute(delete(worker).where(worker.c.ended_at < before))
