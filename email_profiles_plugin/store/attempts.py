"""Statements of an attempt: hand over, book, end, give back; fenced by its number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, insert, or_, select, update

from email_profiles_hookspecs import Reply

from ..settlement import WAITING, Finding
from .claims import Claimed, Ending
from .tables import attempt, message, recipient, worker

REPLY_LIMIT = 2000
"""Characters of a reply that are kept."""

HANDED = "handed"
"""Stage of a recipient whose message was handed over and not answered yet."""

_HELD = and_(
    message.c.id == bindparam("of_id"),
    message.c.state == "sending",
    message.c.owner == bindparam("of_owner"),
    message.c.attempt == bindparam("of_attempt"),
)
_IS_HELD = select(message.c.id).where(_HELD).with_for_update()
_HELD_ROW = select(message).where(_HELD).with_for_update()
_HAND = update(message).where(_HELD).values(handed=True)
_REQUEUE = (
    update(message)
    .where(_HELD)
    .values(
        state="queued",
        owner=None,
        handed=False,
        due_at=bindparam("to_due"),
        tries=message.c.tries + bindparam("to_tries"),
        error=bindparam("to_error"),
        reply=bindparam("to_reply"),
    )
)
_DECIDE = (
    update(recipient)
    .where(recipient.c.message_id == bindparam("of_id"))
    .where(recipient.c.address == bindparam("of_address"))
    .where(or_(*(recipient.c.state == state for state in WAITING)))
    .values(
        state=bindparam("to_state"),
        attempt=bindparam("to_attempt"),
        stage=bindparam("to_stage"),
        reply=bindparam("to_reply"),
        decided_at=bindparam("now"),
    )
)
_ATTEMPT = and_(
    attempt.c.message_id == bindparam("of_id"),
    attempt.c.number == bindparam("of_attempt"),
    attempt.c.part == bindparam("of_part"),
)
_BEGUN = select(attempt).where(_ATTEMPT)
_AWAIT = (
    update(recipient)
    .where(recipient.c.message_id == bindparam("of_id"))
    .where(recipient.c.address == bindparam("of_address"))
    .values(stage=HANDED, attempt=bindparam("to_attempt"))
)
_DOUBT = (
    update(recipient)
    .where(recipient.c.message_id == bindparam("of_id"))
    .where(recipient.c.attempt == bindparam("of_attempt"))
    .where(recipient.c.stage == HANDED)
    .where(recipient.c.state == "waiting")
    .values(state="unknown", decided_at=bindparam("now"))
)
_NOTE_HANDED = update(attempt).where(_ATTEMPT).values(handed_at=bindparam("now"))
_END = (
    update(attempt)
    .where(_ATTEMPT)
    .values(
        ended_at=bindparam("now"),
        verdict=bindparam("to_verdict"),
        stage=bindparam("to_stage"),
        error=bindparam("to_error"),
        remedy=bindparam("to_remedy"),
        queue_id=bindparam("to_queue_id"),
        transcript=bindparam("to_transcript"),
    )
)
_OWNED = (
    select(message).where(message.c.owner == bindparam("of_owner")).with_for_update()
)
_ORPHANS = (
    select(message)
    .outerjoin(worker, worker.c.id == message.c.owner)
    .where(message.c.state == "sending")
    .where(or_(worker.c.id.is_(None), worker.c.ended_at.is_not(None)))
)
_BEGIN = insert(attempt)


def mark_handed(
    connection: Connection, claimed: Claimed, awaiting: Sequence[str], now: float
) -> bool:
    """
    From here on nobody can say that it was not sent to those *awaiting* the reply.

    False if the row is no longer ours.
    """
    if not connection.execute(_HAND, claimed.fence).rowcount:
        return False
    of_row = {"of_id": claimed.id, "to_attempt": claimed.attempt}
    connection.execute(_AWAIT, [{**of_row, "of_address": one} for one in awaiting])
    connection.execute(_NOTE_HANDED, {**_of(claimed), "now": now})
    return True


def book(
    connection: Connection,
    claimed: Claimed,
    states: Mapping[str, str],
    findings: Mapping[str, Finding],
    now: float,
) -> bool:
    """Write down what recipients have come to; false if the row is no longer ours."""
    if connection.scalar(_IS_HELD, claimed.fence) is None:
        return False
    if states:
        connection.execute(
            _DECIDE,
            [
                {
                    "of_id": claimed.id,
                    "of_address": address,
                    "to_state": state,
                    "to_attempt": claimed.attempt,
                    "to_stage": findings[address].stage,
                    "to_reply": write_reply(findings[address].reply),
                    "now": now,
                }
                for address, state in states.items()
            ],
        )
    return True


def end_attempt(
    connection: Connection, claimed: Claimed, ending: Ending, now: float
) -> None:
    """Complete the attempt's row."""
    connection.execute(_END, {**_of(claimed), **_said(ending), "now": now})


def keep_late(
    connection: Connection, claimed: Claimed, ending: Ending, now: float
) -> None:
    """Keep a result that came when the row was somebody else's already."""
    begun = connection.execute(_BEGUN, _of(claimed)).one()
    if connection.execute(_BEGUN, _of(claimed, part=1)).one_or_none() is None:
        connection.execute(_BEGIN, {**begun._mapping, "part": 1})
    connection.execute(_END, {**_of(claimed, part=1), **_said(ending), "now": now})


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
        _REQUEUE,
        {
            **claimed.fence,
            "to_due": due_at,
            "to_tries": int(tried),
            "to_error": ending.error,
            "to_reply": write_reply(ending.reply),
        },
    )


def held(connection: Connection, claimed: Claimed) -> Row[Any] | None:
    """The row as it is now, if it is still *claimed*'s."""
    row: Any = connection.execute(_HELD_ROW, claimed.fence).one_or_none()
    found: Row[Any] | None = row
    return found


def doubt(connection: Connection, claimed: Claimed, now: float) -> None:
    """Those whose message was handed over, and not answered, are unknown."""
    connection.execute(
        _DOUBT,
        {"of_id": claimed.id, "of_attempt": claimed.attempt, "now": now},
    )


def owned(connection: Connection, owner: str) -> Sequence[Row[Any]]:
    """The rows that a worker is sending."""
    return connection.execute(_OWNED, {"of_owner": owner}).all()


def orphans(connection: Connection) -> Sequence[Row[Any]]:
    """The rows that are being sent by a worker that has ended."""
    return connection.execute(_ORPHANS).all()


def write_reply(reply: Reply | None) -> str | None:
    """A reply as it is kept."""
    if reply is None:
        return None
    return json.dumps([reply.code, reply.enhanced, reply.text[:REPLY_LIMIT]])


def read_reply(text: str | None) -> Reply | None:
    """A reply as it was kept."""
    if text is None:
        return None
    code, enhanced, said = json.loads(text)
    return Reply(code=code, enhanced=enhanced, text=said)


def _of(claimed: Claimed, part: int = 0) -> dict[str, Any]:
    return {"of_id": claimed.id, "of_attempt": claimed.attempt, "of_part": part}


def _said(ending: Ending) -> dict[str, Any]:
    return {
        "to_verdict": ending.verdict,
        "to_stage": ending.stage,
        "to_error": ending.error,
        "to_remedy": ending.remedy,
        "to_queue_id": ending.queue_id,
        "to_transcript": ending.transcript,
    }
