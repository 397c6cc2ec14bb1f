"""Statements by which a person changes a row: only where no worker holds it."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from ..settlement import WAITING
from .settling import move_recipients, waits
from .tables import message

NOT_SERVED = (*WAITING, "refused", "unknown", "expired", "cancelled")


def is_queued(connection: Connection, id: str) -> bool:
    """It waits in the queue, held by nobody."""
    state = select(message.c.state).where(message.c.id == id).with_for_update()
    return connection.scalar(state) == "queued"


def is_on_its_way(connection: Connection, id: str) -> bool:
    """It is in the queue, or somebody is sending it."""
    state = select(message.c.state).where(message.c.id == id).with_for_update()
    return connection.scalar(state) != "settled"


def again(connection: Connection, id: str, now: float) -> bool:
    """
    Queue it anew for all that were not served, with all its tries and its full time.

    False where it is being sent, was a dry run, or has reached everybody.
    """
    row = connection.execute(
        select(message).where(message.c.id == id).with_for_update()
    ).one_or_none()
    if row is None or row.state == "sending" or row.outcome == "dry run":
        return False
    move_recipients(connection, id, NOT_SERVED, "waiting", now)
    if not waits(connection, id):
        return False
    connection.execute(
        update(message)
        .where(message.c.id == id)
        .values(
            state="queued",
            owner=None,
            handed=False,
            outcome=None,
            tries=0,
            due_at=now,
            expires_at=max(row.expires_at, now + (row.expires_at - row.queued_at)),
            settled_at=None,
            settled_by=None,
            announced_at=None,
        )
    )
    return True
