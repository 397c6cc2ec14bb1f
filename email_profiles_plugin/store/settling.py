"""Statements that end a message, and announce it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update

from ..settlement import WAITING, final
from .attempts import write_reply
from .claims import Claimed, Ending
from .tables import message, recipient

_STATES = (
    select(recipient.c.address, recipient.c.state)
    .where(recipient.c.message_id == bindparam("of_id"))
    .order_by(recipient.c.position)
)
_CLOSE = (
    update(message)
    .where(message.c.id == bindparam("of_id"))
    .values(
        state="settled",
        owner=None,
        handed=False,
        outcome=bindparam("to_outcome"),
        settled_at=bindparam("now"),
        settled_by=bindparam("to_by"),
        announced_at=None,
    )
)
_CLOSE_WITH_RESULT = _CLOSE.values(
    error=bindparam("to_error"),
    reply=bindparam("to_reply"),
    queue_id=bindparam("to_queue_id"),
    announced_at=bindparam("to_announced"),
)
_CLOSE_WITH_ERROR = _CLOSE.values(error=bindparam("to_error"))


def states(connection: Connection, id: str) -> dict[str, Any]:
    """Each recipient's state."""
    rows = connection.execute(_STATES, {"of_id": id})
    return {row.address: row.state for row in rows}


def close(
    connection: Connection, id: str, *, by: str, now: float, error: str | None = None
) -> None:
    """
    Settle a message none of whose recipients waits; it is to be announced.

    *by* is the worker that does; without *error* that of its last attempt stays. Does
    nothing while somebody waits.
    """
    if waits(connection, id):
        return
    given = {**_closing(connection, id, by, now), "to_error": error}
    if error is None:
        del given["to_error"]
        connection.execute(_CLOSE, given)
    else:
        connection.execute(_CLOSE_WITH_ERROR, given)


def close_with_result(
    connection: Connection,
    claimed: Claimed,
    ending: Ending,
    now: float,
    *,
    observed: bool,
) -> None:
    """Settle a message by what its last attempt came to; to be told if *observed*."""
    connection.execute(
        _CLOSE_WITH_RESULT,
        {
            **_closing(connection, claimed.id, claimed.owner, now),
            "to_error": ending.error,
            "to_reply": write_reply(ending.reply),
            "to_queue_id": ending.queue_id,
            "to_announced": None if observed else now,
        },
    )


def _closing(connection: Connection, id: str, by: str, now: float) -> dict[str, Any]:
    outcome = final(states(connection, id))
    return {"of_id": id, "to_outcome": outcome, "to_by": by, "now": now}


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
    connection: Connection, *, by: str = "", before: float = 0, limit: int = 1000
) -> list[str]:
    """Rows not announced: settled by this worker, or by anybody before *before*."""
    return list(
        connection.scalars(
            select(message.c.id)
            .where(message.c.state == "settled")
            .where(message.c.announced_at.is_(None))
            .where(message.c.outcome != "dry run")
            .where(or_(message.c.settled_by == by, message.c.settled_at < before))
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
