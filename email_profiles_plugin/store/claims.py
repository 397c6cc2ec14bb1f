"""Statements of a worker: claim, hand over, book, give back; fenced by the attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    insert,
    or_,
    select,
    update,
)

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

    @property
    def fence(self) -> dict[str, Any]:
        """What every later step is conditional on, as parameters of a statement."""
        return {"of_id": self.id, "of_owner": self.owner, "of_attempt": self.attempt}


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


# Statements are built once: building one costs more than running it.

_HELD = and_(
    message.c.id == bindparam("of_id"),
    message.c.state == "sending",
    message.c.owner == bindparam("of_owner"),
    message.c.attempt == bindparam("of_attempt"),
)
_IS_HELD = select(message.c.id).where(_HELD)
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
_CANDIDATES = (
    select(message, octets.c.octets)
    .join(octets)
    .where(message.c.state == "queued")
    .where(message.c.expires_at > bindparam("now"))
    .order_by(message.c.lane, message.c.due_at, message.c.queued_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=message)
)
_OF_PROFILE = _CANDIDATES.where(
    message.c.profile_id == bindparam("of_profile"),
    message.c.due_at <= bindparam("now"),
    message.c.lane < bindparam("below_lane"),
)
_OF_ID = _CANDIDATES.where(message.c.id == bindparam("of_id"))
_TAKE = (
    update(message)
    .where(message.c.id == bindparam("of_id"))
    .values(
        state="sending",
        owner=bindparam("to_owner"),
        attempt=bindparam("to_attempt"),
        handed=False,
    )
)
_TO_SERVE = (
    select(recipient.c.address)
    .where(recipient.c.message_id == bindparam("of_id"))
    .where(recipient.c.state.in_(WAITING))
    .order_by(recipient.c.position)
)
_ASK_AGAIN = (
    update(recipient)
    .where(recipient.c.message_id == bindparam("of_id"))
    .where(recipient.c.state == "deferred")
    .values(state="waiting")
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
_BEGIN = insert(attempt)
_OWNED = (
    select(message).where(message.c.owner == bindparam("of_owner")).with_for_update()
)


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
    given: dict[str, Any] = {"now": now, "most": limit}
    if id is not None:
        found = connection.execute(_OF_ID, {**given, "of_id": id})
    else:
        wanted = {"of_profile": profile_id, "below_lane": below_lane}
        found = connection.execute(_OF_PROFILE, {**given, **wanted})
    return [_take(connection, row, owner, now, revision) for row in found.all()]


def _take(
    connection: Connection, row: Row[Any], owner: str, now: float, revision: int
) -> Claimed:
    number = row.attempt + 1
    of_row = {"of_id": row.id}
    connection.execute(_TAKE, {**of_row, "to_owner": owner, "to_attempt": number})
    if number > 1:
        connection.execute(_ASK_AGAIN, of_row)
    connection.execute(
        _BEGIN,
        {
            "message_id": row.id,
            "number": number,
            "part": 0,
            "worker": owner,
            "profile_revision": revision,
            "started_at": now,
            "verdict": "",
            "stage": "",
            "error": "",
            "remedy": "",
            "queue_id": "",
            "transcript": "",
        },
    )
    return Claimed(
        id=row.id,
        owner=owner,
        attempt=number,
        profile_id=row.profile_id,
        profile_name=row.profile_name,
        mail_from=row.mail_from,
        sender=json.loads(row.request).get("sender"),
        recipients=tuple(connection.scalars(_TO_SERVE, of_row)),
        octets=row.octets,
        smtputf8=row.smtputf8,
        lane=row.lane,
        tries=row.tries,
        max_attempts=row.max_attempts,
    )


def mark_handed(connection: Connection, claimed: Claimed, now: float) -> bool:
    """From here on nobody can say it was not sent; false if it is no longer ours."""
    if not connection.execute(_HAND, claimed.fence).rowcount:
        return False
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


def owned(connection: Connection, owner: str) -> Sequence[Row[Any]]:
    """The rows that a worker is sending."""
    return connection.execute(_OWNED, {"of_owner": owner}).all()


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
