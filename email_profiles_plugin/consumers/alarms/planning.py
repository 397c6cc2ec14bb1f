"""Who is notified of which event, and when; who is not, and why. Pure rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from attrs import define, evolve, field, frozen

from ...addresses import parse
from .events import AlarmEvent
from .notification import Notification, Person, matches
from .schedules import on_duty

EVERYONE = ""
"""Stands for all recipients in a record of who was not notified."""

NO_CONTACT = "no contact: has no mail address"
NO_MAILBOX = "no contact: has no address that mail can go to"
OFF_SCHEDULE = "off schedule"
NO_SCHEDULE = "there is no schedule of that name"
SAME_ADDRESS = "has only addresses of others who are notified"
THROTTLED = "throttled"
DISABLED = "the alarm notification is disabled"
NOBODY = "there is nobody to notify"

ENDS: Mapping[str, str] = {
    "clear": "cleared meanwhile",
    "ack": "acknowledged meanwhile",
    "shelve": "shelved meanwhile",
    "suppress": "suppressed meanwhile",
    "out_of_service": "taken out of service meanwhile",
}
"""Why who waits for an active alarm's message does not get it any more."""

_SILENT: Mapping[str, str] = {
    "SHLVD": "the alarm is shelved",
    "DSUPR": "the alarm is suppressed by design",
    "OOSRV": "the alarm is out of service",
}


@frozen(kw_only=True)
class Notice:
    """*who* is to be told of *event* at *due_at*; *alone*: in a message of its own."""

    event: AlarmEvent
    who: str
    due_at: float
    alone: bool


@frozen(kw_only=True)
class LeftOut:
    """*who* is not told of *event*."""

    event: AlarmEvent
    who: str
    reason: str


@frozen(kw_only=True)
class Turn:
    """A person who is notified, *wait_s* after the first ones."""

    who: str
    addresses: tuple[str, ...]
    wait_s: int = 0


@frozen(kw_only=True)
class Audience:
    """Who is notified at some moment, and who is not, with the reason."""

    turns: tuple[Turn, ...]
    left_out: tuple[tuple[str, str], ...]


@define
class Plan:
    """What becomes of some events."""

    notices: list[Notice] = field(factory=list)
    left_out: list[LeftOut] = field(factory=list)


def audience(
    notification: Notification,
    moment: datetime,
    roster: Sequence[Person] | None = None,
) -> Audience:
    """
    Who is notified of something that happens at *moment*, in order.

    *roster*: what a host has calculated, instead of the document's. Each mailbox is
    told once, in the first place that it has; people of one name are one recipient.
    """
    people = notification.roster if roster is None else roster
    found = _Seating()
    for one in notification.recipients:
        found.seat(one, (one,), 0)
    wait = 0
    for person in people:
        if reason := _absence(notification, person, moment):
            found.left_out.setdefault(person.name, reason)
        elif found.seat(person.name, person.addresses, wait):
            wait += notification.delay_between_messages_s
    if not found.turns:
        for one in notification.fallback:
            found.seat(one, (one,), 0)
    return found.audience()


@define
class _Seating:
    """Takes people in, by name, each mailbox once."""

    turns: dict[str, Turn] = field(factory=dict)
    left_out: dict[str, str] = field(factory=dict)
    mailboxes: set[str] = field(factory=set)

    def seat(self, who: str, addresses: Sequence[str], wait_s: int) -> bool:
        """Whether they have a turn of their own."""
        new: list[str] = []
        for one in addresses:
            key = _mailbox(one)
            if key and key not in self.mailboxes:
                self.mailboxes.add(key)
                new.append(one)
        before = self.turns.get(who)
        if new and before is not None:
            both = (*before.addresses, *new)
            self.turns[who] = evolve(before, addresses=both)
        elif new:
            self.turns[who] = Turn(who=who, addresses=tuple(new), wait_s=wait_s)
        else:
            self.left_out.setdefault(who, SAME_ADDRESS)
        return bool(new) and before is None

    def audience(self) -> Audience:
        """Nobody is both told and left out."""
        rest = [one for one in self.left_out.items() if one[0] not in self.turns]
        return Audience(turns=tuple(self.turns.values()), left_out=tuple(rest))


def _mailbox(address: str) -> str:
    """The same for each way to write a mailbox; "" where *address* is none."""
    try:
        return parse(address).key
    except ValueError:
        return ""


def _absence(notification: Notification, person: Person, moment: datetime) -> str:
    """Why *person* is not notified at *moment*; "" if that is no question."""
    if not person.addresses:
        return NO_CONTACT
    if not any(map(_mailbox, person.addresses)):
        return NO_MAILBOX
    if person.schedule is None:
        return ""
    schedule = notification.schedules.get(person.schedule)
    if schedule is None:
        return NO_SCHEDULE
    return "" if on_duty(schedule, moment) else OFF_SCHEDULE


def reason_to_filter(notification: Notification, event: AlarmEvent) -> str:
    """Why nobody is notified of *event*; "" if people are."""
    wanted = notification.filter
    if not notification.enabled:
        return DISABLED
    if event.transition not in wanted.transitions:
        return f"filtered out: transition {event.transition}"
    if event.priority not in wanted.priorities:
        return f"filtered out: priority {event.priority}"
    if not matches(event.source, wanted.sources) or matches(
        event.source, wanted.excluded_sources
    ):
        return "filtered out: source path"
    if event.transition in ("active", "clear", "ack"):
        return _SILENT.get(event.isa_state, "")
    return ""


def plan(
    notification: Notification,
    events: Sequence[AlarmEvent],
    people: Audience,
    *,
    now: float,
    mailed_at: Mapping[str, float],
    told: Counter[tuple[str, str]],
    known: Collection[tuple[str, str]] = (),
) -> Plan:
    """
    What becomes of *events*, which all come in *now*.

    *mailed_at*: when each recipient's last consolidated message was made; *told*: how
    many events of an alarm (by its key) each was told of in the throttle's time;
    *known*: what was decided before, by the event's key and recipient. Each other event
    comes to a notice or a reason for everybody, or to one for all.
    """
    made = Plan()
    for event in events:
        if reason := reason_to_filter(notification, event):
            left = LeftOut(event=event, who=EVERYONE, reason=reason)
            made.left_out.append(left)
            continue
        for who, reason in people.left_out:
            made.left_out.append(LeftOut(event=event, who=who, reason=reason))
        if not people.turns:
            left = LeftOut(event=event, who=EVERYONE, reason=NOBODY)
            made.left_out.append(left)
        gathered = notification.consolidates(event)
        for turn in people.turns:
            if (event.key, turn.who) in known:
                continue
            if _is_throttled(notification, told, event, turn.who):
                made.left_out.append(
                    LeftOut(event=event, who=turn.who, reason=THROTTLED)
                )
                continue
            told[event.alarm_key, turn.who] += 1
            due = now
            if gathered:
                due = due_at(notification, now, mailed_at.get(turn.who))
            made.notices.append(
                Notice(
                    event=event,
                    who=turn.who,
                    due_at=due + turn.wait_s,
                    alone=not gathered,
                )
            )
    return made


def _is_throttled(
    notification: Notification,
    told: Counter[tuple[str, str]],
    event: AlarmEvent,
    who: str,
) -> bool:
    limit = notification.throttle
    return limit is not None and told[event.alarm_key, who] >= limit.most


def due_at(notification: Notification, now: float, mailed_at: float | None) -> float:
    """
    When an event that comes in *now*, the first since the last message, is told.

    A last message in the future is one by a clock that was set back since.
    """
    gather = notification.consolidation
    if gather is None:
        return now
    due = now + gather.delay_s
    if mailed_at is not None and mailed_at <= now:
        due = max(due, mailed_at + gather.frequency_s)
    return due
