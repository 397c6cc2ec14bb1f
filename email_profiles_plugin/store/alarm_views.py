"""Statements that read who was told of which alarm, and who was not, and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, select

from .alarm_tables import alarm_acknowledgement, alarm_event, alarm_mail, alarm_notice
from .tables import document, message


@frozen(kw_only=True)
class NoticeEntry:
    """
    What became of one event for one recipient; *who* "": for everybody.

    *state*: `waiting` (till *due_at*), `queued` (in the outbox, as *message_id*),
    `failed` or `left out`, these two for a *reason*. *outcome*: the message's, once it
    has one; *acknowledged_by* and *acknowledged_at* are of the event.
    """

    notification: str
    alarm_id: str
    name: str
    source: str
    transition: str
    priority: str
    event_time: datetime
    received_at: datetime
    who: str
    state: str
    reason: str
    due_at: datetime | None
    message_id: str | None
    outcome: str | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    acknowledgement_note: str | None


_NOT_TOLD = ("refused", "expired", "cancelled")
"""Outcomes of messages that reached nobody."""

_NEWEST = (alarm_event.c.received_at.desc(), alarm_event.c.id)
_NOTICES = alarm_notice.outerjoin(
    alarm_mail, alarm_mail.c.id == alarm_notice.c.mail_id
).outerjoin(message, message.c.id == alarm_mail.c.message_id)
_TRAIL = (
    select(
        document.c.name.label("notification"),
        alarm_event.c.body,
        alarm_event.c.event_time,
        alarm_event.c.received_at,
        alarm_notice.c.who,
        alarm_notice.c.reason,
        alarm_notice.c.due_at,
        alarm_mail.c.state,
        alarm_mail.c.error,
        alarm_mail.c.message_id,
        message.c.outcome,
        message.c.error.label("why"),
        alarm_acknowledgement.c.who.label("by"),
        alarm_acknowledgement.c.at,
        alarm_acknowledgement.c.note,
    )
    .select_from(
        _NOTICES.join(alarm_event)
        .outerjoin(document, document.c.id == alarm_notice.c.document_id)
        .outerjoin(
            alarm_acknowledgement,
            alarm_acknowledgement.c.id == alarm_event.c.acknowledgement_id,
        )
    )
    .order_by(*_NEWEST, alarm_notice.c.who)
)


def trail(
    connection: Connection,
    *,
    document_id: str | None = None,
    alarm_id: str | None = None,
    who: str | None = None,
    left_out: bool = False,
    limit: int = 100,
) -> list[NoticeEntry]:
    """The newest events first; *left_out*: only those who were not told."""
    wanted: list[ColumnElement[bool]] = []
    if document_id is not None:
        wanted.append(alarm_notice.c.document_id == document_id)
    if who is not None:
        wanted.append(alarm_notice.c.who == who)
    if left_out:
        wanted.append(
            (alarm_notice.c.reason != "")
            | (alarm_mail.c.state == "failed")
            | message.c.outcome.in_(_NOT_TOLD)
        )
    noticed = (
        select(alarm_notice.c.event_id)
        .select_from(_NOTICES)
        .where(alarm_notice.c.event_id == alarm_event.c.id, *wanted)
        .exists()
    )
    newest = select(alarm_event.c.id).where(noticed).order_by(*_NEWEST).limit(limit)
    if alarm_id is not None:
        newest = newest.where(alarm_event.c.alarm_id == alarm_id)
    found = _TRAIL.where(alarm_event.c.id.in_(newest), *wanted).limit(limit)
    return [_entry(row) for row in connection.execute(found)]


def _entry(row: Any) -> NoticeEntry:
    event = json.loads(row.body)
    state, reason = "left out", row.reason
    if not reason:
        state, reason = row.state or "waiting", row.error or row.why or ""
    return NoticeEntry(
        notification=row.notification or "",
        alarm_id=event["id"],
        name=event["name"],
        source=event["source"],
        transition=event["transition"],
        priority=event["priority"],
        event_time=_moment(row.event_time),
        received_at=_moment(row.received_at),
        who=row.who,
        state="waiting" if state == "making" else state,
        reason=reason,
        due_at=_moment(row.due_at) if state == "waiting" else None,
        message_id=row.message_id,
        outcome=row.outcome,
        acknowledged_by=row.by,
        acknowledged_at=_moment(row.at),
        acknowledgement_note=row.note,
    )


def _moment(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
