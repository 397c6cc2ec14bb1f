"""Statements that claim rows: by a worker, for one attempt."""

from __future__ import annotations

import json
from typing import Any

from attrs import field, frozen
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    insert,
    or_,
    select,
    update,
)

from email_profiles_hookspecs import Reply

from ..settlement import LANES, WAITING
from ..verdict import LONGEST_RETRY_S
from .tables import attempt, message, octets, recipient

ALARM = LANES.index("alarm")

MOST_OCTETS = 1024 * 1024
"""Octets that are claimed together, but for one message: who claims has to send."""

MORE = 50
"""Candidates beside those wanted, where some may have too many recipients."""


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


def is_due(now: Any) -> ColumnElement[bool]:
    """Its time has come; or is so far ahead that the clock was wrong at the time."""
    return or_(message.c.due_at <= now, message.c.due_at > now + LONGEST_RETRY_S)


# Statements are built once: building one costs more than running it.

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
    is_due(bindparam("now")),
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
_BEGIN = insert(attempt)


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
    most_recipients: int | None = None,
) -> list[Claimed]:
    """
    Take up to *limit* rows of a profile (or the row *id*), and begin their attempts.

    By lane, then by due time; an alarm comes alone. *below_lane* leaves lanes from that
    one on; what would make it more than *most_recipients* in all is left, too.
    """
    most = limit if most_recipients is None else limit + MORE
    given: dict[str, Any] = {"now": now, "most": most}
    if id is not None:
        found = connection.execute(_OF_ID, {**given, "of_id": id})
    else:
        wanted = {"of_profile": profile_id, "below_lane": below_lane}
        found = connection.execute(_OF_PROFILE, {**given, **wanted})
    claimed: list[Claimed] = []
    rows = found.all()
    if rows and rows[0].lane == ALARM:
        limit = 1  # an alarm is in doubt for nobody else's sake
    room = MOST_OCTETS
    for row in rows:
        room -= row.size
        if len(claimed) == limit or (claimed and room < 0):
            break
        people = tuple(connection.scalars(_TO_SERVE, {"of_id": row.id}))
        if most_recipients is not None:
            if len(people) > most_recipients:
                continue
            most_recipients -= len(people)
        claimed.append(_take(connection, row, people, owner, now, revision))
    return claimed


def _take(
    connection: Connection,
    row: Row[Any],
    people: tuple[str, ...],
    owner: str,
    now: float,
    revision: int,
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
        recipients=people,
        octets=row.octets,
        smtputf8=row.smtputf8,
        lane=row.lane,
        tries=row.tries,
        max_attempts=row.max_attempts,
    )
