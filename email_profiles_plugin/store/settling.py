"""Statements that end a message, and announce it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, or_, select, update

from ..settlement import WAITING, final
from .tables import message, recipient


def states(connection: Connection, id: str) -> dict[str, Any]:
    """Each recipient's state."""
    rows = connection.execute(
        select(recipient.c.address, recipient.c.state)
        .where(recipient.c.message_id == id)
        .order_by(recipient.c.position)
    )
    return {row.address: row.state for row in rows}


def close(
    connection: Connection,
    ids: Sequence[str],
    *,
    by: str,
    now: float,
    values: Mapping[str, Any],
) -> None:
    """Settle messages none of whose recipients waits; they are to be announced."""
    for id in ids:
        connection.execute(
            update(message)
            .where(message.c.id == id)
            .values(
                state="settled",
                owner=None,
                handed=False,
                outcome=final(states(connection, id)),
                settled_at=now,
                settled_by=by,
                announced_at=None,
                **values,
            )
        )


def move_recipients(
    connection: Connection, id: str, old: Sequence[str], new: str, now: float
) -> int:
    """Put all recipients that are in one of the *old* states into a new one."""
    moved = connection.execute(
        update(recipient)
        .where(recipient.c.message_id == id)
        .where(recipient.c.state.in_(old))
        .values(state=new, decided_at=None if new in WAITING else now)
    )
    return moved.rowcount


def unannounced(
    connection: Connection, settled_by: Sequence[str], limit: int = 100
) -> list[str]:
    """Rows that were settled by one of these (or by nobody) and not announced."""
    return list(
        connection.scalars(
            select(message.c.id)
            .where(message.c.state == "settled")
            .where(message.c.announced_at.is_(None))
            .where(
                or_(
                    message.c.settled_by.in_(settled_by), message.c.settled_by.is_(None)
                )
            )
            .order_by(message.c.settled_at)
            .limit(limit)
        )
    )


def announced(connection: Connection, ids: Sequence[str], now: float) -> None:
    """Observers were told of these."""
    connection.execute(
        update(message).where(message.c.id.in_(ids)).values(announced_at=now)
    )


def waits(connection: Connection, id: str) -> bool:
    """Some recipient is still to be served."""
    return any(state in WAITING for state in states(connection, id).values())
