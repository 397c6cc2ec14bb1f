"""Acceptance: events become rows, and nothing else happens; then mails are claimed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, frozen

from ...store import alarm_claims, alarms
from ...store.alarm_claims import Mail
from ...store.alarms import EventRow, NoticeRow
from .desk import Desk
from .events import AlarmEvent
from .notification import Notification, Person
from .planning import ENDS, EVERYONE, Audience, LeftOut, Plan, audience, plan

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ...runtime import EmailProfiles

MOST_EVENTS = 200
MOST_NOTICES = 20_000
"""In one transaction."""


@frozen(kw_only=True)
class Accepted:
    """
    What came of some events: *mails* to make now; *before*: mails of such as had been
    told of already; *waiting*: something is due later.
    """

    mails: tuple[Mail, ...]
    before: tuple[str, ...]
    waiting: bool


@frozen(kw_only=True)
class Ending:
    """An alarm that was active is over at some time, or known to somebody."""

    alarm_id: str
    transition: str
    at: datetime


@define(eq=False)
class Acceptance:
    """Takes events in; every one of them, and everybody concerned, is on record."""

    profiles: EmailProfiles
    desk: Desk

    def accept(
        self,
        notification: Notification,
        events: Sequence[AlarmEvent],
        roster: Sequence[Person] | None,
    ) -> Iterator[Accepted]:
        """Store them, some at a time, each time durably."""
        moment = self.profiles.clock.now()
        people = audience(notification, moment, roster)
        concerned = len(people.turns) + len(people.left_out)
        size = max(min(MOST_EVENTS, MOST_NOTICES // max(concerned, 1)), 1)
        for at in range(0, len(events), size):
            some = events[at : at + size]
            yield self.profiles.database.write(
                partial(
                    self._accept,
                    notification=notification,
                    events=some,
                    people=people,
                    moment=moment,
                )
            )

    def refuse(
        self, notification: Notification, events: Sequence[AlarmEvent], reason: str
    ) -> None:
        """Record that nobody is told of *events*."""
        now = self.profiles.clock.now().timestamp()
        made = Plan(
            left_out=[
                LeftOut(event=event, who=EVERYONE, reason=reason) for event in events
            ]
        )

        def work(connection: Connection) -> None:
            known = alarms.known(
                connection, notification.id, [one.key for one in events]
            )
            alarms.record(connection, [_event_row(one, now) for one in events])
            rows = [row for row in _rows(made, notification) if _key(row) not in known]
            alarms.notify(connection, notification.id, rows, {})
            self.end(connection, _endings(events))

        self.profiles.database.write(work)

    def _accept(
        self,
        connection: Connection,
        notification: Notification,
        events: Sequence[AlarmEvent],
        people: Audience,
        moment: datetime,
    ) -> Accepted:
        now = moment.timestamp()
        known = alarms.known(connection, notification.id, [one.key for one in events])
        made = plan(
            notification,
            events,
            people,
            now=now,
            mailed_at=alarms.mailed_at(connection, notification.id),
            told=self._told(connection, notification, events, now),
            known=known,
        )
        alarms.record(connection, [_event_row(one, now) for one in events])
        rows = {
            _key(row): row
            for row in _rows(made, notification)
            if _key(row) not in known
        }
        addresses = {turn.who: turn.addresses for turn in people.turns}
        fresh = alarms.notify(connection, notification.id, [*rows.values()], addresses)
        self.end(connection, _endings(events))
        mails = alarm_claims.claim_new(
            connection,
            notification.id,
            [one.key for one in events],
            fresh,
            now,
            self.profiles.chance.unique,
        )
        return Accepted(
            mails=tuple(mails),
            before=tuple({mail for mail in known.values() if mail is not None}),
            waiting=any(row.due_at is not None for row in rows.values()),
        )

    def _told(
        self,
        connection: Connection,
        notification: Notification,
        events: Sequence[AlarmEvent],
        now: float,
    ) -> Counter[tuple[str, str]]:
        if notification.throttle is None:
            return Counter()
        return alarms.told(
            connection,
            notification.id,
            (one.alarm_key for one in events),
            now - notification.throttle.per_s,
        )

    def end(self, connection: Connection, endings: Sequence[Ending]) -> None:
        """Whoever waits for an alarm that is over, one way or another, is left out."""
        over = {one.alarm_id: one for one in endings}
        awaited = alarms.ended(connection, [*over]) if over else []
        for document_id, alarm_id in awaited:
            notification = self.desk.by_id(connection, document_id)
            dropouts = notification.dropouts if notification is not None else ()
            for one in endings:
                if one.alarm_id == alarm_id and one.transition in dropouts:
                    alarms.end(
                        connection,
                        document_id,
                        alarm_id,
                        one.at.timestamp(),
                        ENDS[one.transition],
                    )


def _endings(events: Sequence[AlarmEvent]) -> list[Ending]:
    return [
        Ending(alarm_id=one.id, transition=one.transition, at=one.event_time)
        for one in events
        if one.transition in ENDS
    ]


def _event_row(event: AlarmEvent, now: float) -> EventRow:
    return EventRow(
        id=event.key,
        alarm_id=event.id,
        alarm_key=event.alarm_key,
        transition=event.transition,
        rank=event.rank,
        event_time=event.event_time.timestamp(),
        received_at=now,
        body=event.text,
    )


def _key(row: NoticeRow) -> tuple[str, str]:
    return row.event_id, row.who


def _rows(made: Plan, notification: Notification) -> Iterator[NoticeRow]:
    for notice in made.notices:
        yield NoticeRow(
            event_id=notice.event.key,
            document_id=notification.id,
            who=notice.who,
            alone=notice.alone,
            due_at=notice.due_at,
        )
    for left in made.left_out:
        yield NoticeRow(
            event_id=left.event.key,
            document_id=notification.id,
            who=left.who,
            reason=left.reason,
        )
