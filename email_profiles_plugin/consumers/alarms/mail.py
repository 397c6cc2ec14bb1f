"""The message that a recipient gets: of one event, or of several. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from email_profiles_hookspecs import SendRequest

from . import templates
from .events import PRIORITIES, AlarmEvent
from .notification import Notification
from .templates import Template, fill, values_of

LONGEST_SUBJECT = 250
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_BLANKS = re.compile(r"\s+")


@frozen(kw_only=True)
class Digest:
    """
    What a message tells of: *count* events, of which *events* are the most urgent.

    *by_transition* counts all of them; *rank* is the highest priority's.
    """

    count: int
    events: tuple[AlarmEvent, ...] = field(repr=False)
    by_transition: Mapping[str, int]
    rank: int
    first: datetime
    last: datetime

    @classmethod
    def of(cls, event: AlarmEvent) -> Digest:
        """Of one event."""
        return cls(
            count=1,
            events=(event,),
            by_transition={event.transition: 1},
            rank=event.rank,
            first=event.event_time,
            last=event.event_time,
        )


@frozen(kw_only=True)
class Recipient:
    """Who gets a message; *link* to acknowledge by, "" for none."""

    who: str
    addresses: tuple[str, ...]
    link: str = field(default="", repr=False)


def origin(document_id: str) -> str:
    """Where the outbox says that messages of an alarm notification come from."""
    return f"alarm notification {document_id}"


def idempotency_key(mail_id: str) -> str:
    """By which a mail is known in the outbox, whatever becomes of its document."""
    return f"alarm-{mail_id}"


def compose(
    notification: Notification,
    digest: Digest,
    recipient: Recipient,
    *,
    profile: str,
    key: str,
    made_at: datetime,
) -> SendRequest:
    """
    The request for *recipient*'s message, by the email profile called *profile*.

    Whatever an event's texts hold, it can be sent: what can't stand in a subject or
    a body is replaced.
    """
    subject, message = _templates(notification, digest)
    values = {
        **_values(notification, digest),
        "notification": notification.name,
        "recipient": recipient.who,
        "acknowledge": recipient.link,
    }
    text = fill(message, values, notification.zone)
    if recipient.link and "acknowledge" not in templates.names(message):
        text = f"{text.rstrip()}\n\nAcknowledge: {recipient.link}\n"
    expires = notification.expires_s
    return SendRequest(
        profile=profile,
        from_address=notification.from_address,
        reply_to=notification.reply_to,
        to=recipient.addresses,
        subject=_line(fill(subject, values, notification.zone), LONGEST_SUBJECT),
        text=_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n")),
        priority=len(PRIORITIES) - digest.rank,
        lane="alarm",
        not_after=None if expires is None else made_at + timedelta(seconds=expires),
        idempotency_key=key,
        origin=origin(notification.id),
        dry_run=notification.test_mode,
    )


def _templates(notification: Notification, digest: Digest) -> tuple[Template, Template]:
    if digest.count > 1:
        return notification.consolidated_subject, notification.consolidated_message
    subject, message = notification.subject, notification.message
    override = notification.override(digest.events[0])
    if override is not None:
        subject = subject if override.subject is None else override.subject
        message = message if override.message is None else override.message
    return subject, message


def _values(notification: Notification, digest: Digest) -> dict[str, Any]:
    if digest.count == 1:
        return values_of(digest.events[0])
    counts = digest.by_transition
    return {
        "alarmEvents": _list(notification, digest),
        "alarmEvents.Count": digest.count,
        "alarmEvents.Active": counts.get("active", 0),
        "alarmEvents.Clear": counts.get("clear", 0),
        "alarmEvents.Ack": counts.get("ack", 0),
        "alarmEvents.Highest": PRIORITIES[digest.rank],
        "alarmEvents.First": digest.first,
        "alarmEvents.Last": digest.last,
    }


def _list(notification: Notification, digest: Digest) -> str:
    """A line for each event that is shown; how many are not."""
    lines = [
        _line(fill(notification.consolidated_line, values_of(one), notification.zone))
        for one in digest.events
    ]
    if more := digest.count - len(lines):
        lines.append(f"... and {more} more")
    return "".join(f"{line}\n" for line in lines)


def _line(text: str, most: int = 2000) -> str:
    """*text* on one line, of *most* characters, without what no header may hold."""
    flat = _BLANKS.sub(" ", _CONTROLS.sub(" ", text)).strip()
    if not flat.isprintable():
        flat = "".join(one if one.isprintable() else " " for one in flat)
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
