"""The alarm notifier: takes a host's events, and sees to it that people are told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field

from email_profiles_hookspecs import Receipt
from email_profiles_hookspecs.errors import EmailProfilesError

from ...store import alarm_claims, alarm_mails, alarm_views, alarms
from ...store.alarm_claims import Mail
from ...store.alarm_views import NoticeEntry
from .acceptance import Acceptance
from .acknowledging import Acknowledging
from .desk import Desk
from .dispatch import Dispatch, Made
from .events import AlarmEvent
from .notification import Notification, Person
from .planning import reason_to_filter
from .telling import Acknowledgement, Telling

if TYPE_CHECKING:
    from ...runtime import EmailProfiles

log = logging.getLogger(__name__)

LOOK_S = 5
"""Seconds between looks at what other processes may have left to do."""

CLOSING_S = 5
"""Seconds for which `close` waits for a host that is being told something."""

HOUR_S, DAY_S = 3600, 86_400


@define(kw_only=True, eq=False)
class AlarmNotifier:
    """
    Alarm notification by the documents that *profiles* has.

    As a context manager, or between `start` and `close`, a thread sees to what is due
    later; a host may call `due` instead, from a timer of its own. Any number of them,
    in any number of processes, may share one store. *acknowledged* is told of what is
    acknowledged from a mail, in a thread of its own. What is older than
    *retention_days* is forgotten, unless a link in a mail can be used still.
    """

    profiles: EmailProfiles
    acknowledged: Callable[[Acknowledgement], None] | None = None
    retention_days: float = 30
    acknowledging: Acknowledging = field(init=False)
    _desk: Desk = field(init=False)
    _acceptance: Acceptance = field(init=False)
    _dispatch: Dispatch = field(init=False)
    _telling: Telling = field(init=False)
    _wake: threading.Event = field(factory=threading.Event, init=False)
    _stop: bool = field(default=False, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _swept_at: float | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._desk = Desk(self.profiles)
        self._acceptance = Acceptance(self.profiles, self._desk)
        self._dispatch = Dispatch(self.profiles, self._desk)
        self._telling = Telling(self.profiles, self._desk, self.acknowledged)
        self.acknowledging = Acknowledging(
            self.profiles, self._desk, self._acceptance, self._telling
        )

    def notify(
        self,
        events: Iterable[AlarmEvent],
        document: str | Mapping[str, Any],
        *,
        roster: Sequence[Person] | None = None,
    ) -> list[Receipt]:
        """
        Have the people of an alarm notification told of *events*.

        *document* names one, or is one; *roster* replaces its own, where a host
        calculates who is on call; whoever has no address in it that mail can go to is
        left out. Nothing but the database is waited for. Returns the
        receipts of messages that are queued now; what waits for others, or for its
        turn, follows, and who is not told is in the `trail`. An event that comes twice
        is told once: its message's receipt says `duplicate`.

        Raises NotFound, Invalid for a document that can't be used; where its profile
        is missing, disabled or may not send this, that is raised too, and recorded.
        """
        given = _checked(events)
        notification = self._desk.find(document)
        wanted = [one for one in given if not reason_to_filter(notification, one)]
        try:
            if wanted:
                self._desk.profile(notification)
        except EmailProfilesError as error:
            self._acceptance.refuse(notification, wanted, str(error))
            refused = {one.key for one in wanted}
            rest = [one for one in given if one.key not in refused]
            self._take(notification, rest, roster)
            raise
        receipts, errors = self._take(notification, given, roster)
        if errors and not receipts:
            raise errors[0]
        return receipts

    def _take(
        self,
        notification: Notification,
        events: Sequence[AlarmEvent],
        roster: Sequence[Person] | None,
    ) -> tuple[list[Receipt], list[Exception]]:
        receipts: list[Receipt] = []
        errors: list[Exception] = []
        waiting = False
        for accepted in self._acceptance.accept(notification, events, roster):
            receipts += self._before(accepted.before)
            waiting = waiting or accepted.waiting
            for made in self._dispatch.make(accepted.mails):
                if made.receipt is not None:
                    receipts.append(made.receipt)
                if made.error is not None and not made.again:
                    errors.append(made.error)
        if waiting:
            self._wake.set()
        return receipts, errors

    def _before(self, mail_ids: Sequence[str]) -> list[Receipt]:
        if not mail_ids:
            return []
        with self.profiles.database.read() as connection:
            rows = alarm_mails.receipts(connection, mail_ids)
        return [
            Receipt(
                id=row.id,
                message_id=row.message_id,
                queued_at=datetime.fromtimestamp(row.queued_at, UTC),
                duplicate=True,
            )
            for row in rows
        ]

    def _claim(self) -> list[Mail]:
        now = self.profiles.clock.now().timestamp()
        unique = self.profiles.chance.unique
        return self.profiles.database.write(
            lambda connection: alarm_claims.claim(connection, now, unique)
        )

    def due(self) -> int:
        """
        Do what is due by now; how many messages were queued.

        What another process began and did not finish is finished here.
        """
        made: list[Made] = []
        while mails := self._claim():
            made += self._dispatch.make(mails)
        now = self.profiles.clock.now().timestamp()
        while mails := self.profiles.database.write(
            lambda connection: alarm_mails.stale(connection, now)
        ):
            made += self._dispatch.make(mails)
        self._telling.wake()
        self._sweep()
        return sum(one.receipt is not None for one in made)

    def next_due(self) -> datetime | None:
        """When there will be something to do, as far as is known."""
        with self.profiles.database.read() as connection:
            moment = alarm_mails.next_due(connection)
        return None if moment is None else datetime.fromtimestamp(moment, UTC)

    def trail(
        self,
        notification: str | None = None,
        *,
        alarm_id: str | None = None,
        who: str | None = None,
        left_out: bool = False,
        limit: int = 100,
    ) -> list[NoticeEntry]:
        """
        Who was told of what, who was not and why, the newest events first.

        Of one *notification*, by its name, of one alarm, of one recipient; *left_out*:
        only those who were not told.
        """
        document_id = None
        if notification is not None:
            document_id = self.profiles.alarm_notifications.get(notification).id
        with self.profiles.database.read() as connection:
            return alarm_views.trail(
                connection,
                document_id=document_id,
                alarm_id=alarm_id,
                who=who,
                left_out=left_out,
                limit=limit,
            )

    def start(self) -> None:
        """Begin to see to what is due, in a thread of its own."""
        if self._thread is None:
            self._stop = False
            self._thread = threading.Thread(
                target=self._run, name="email-profiles-alarms", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop; what is due later is on record, and whoever starts next sees to it."""
        self._stop = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._telling.wait(CLOSING_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop:
            pause: float = LOOK_S
            try:
                self._wake.clear()
                self.due()
                moment = self.next_due()
                if moment is not None:
                    left = (moment - self.profiles.clock.now()).total_seconds()
                    pause = min(max(left, 0), LOOK_S)
            except EmailProfilesError as error:
                log.error("alarm notification: %s", error)
            except (Exception, SystemExit):
                log.exception("alarm notification: an unexpected error; going on")
            self._wake.wait(pause)

    def _sweep(self) -> None:
        moment = self.profiles.clock.monotonic()
        if self._swept_at is not None and moment - self._swept_at < HOUR_S:
            return
        self._swept_at = moment
        now = self.profiles.clock.now().timestamp()
        retention_s = self.retention_days * DAY_S
        live = self._desk.live_since(now, retention_s)
        while self.profiles.database.write(
            lambda connection: alarms.sweep(connection, now - retention_s, live)
        ):
            pass  # in small steps, so that others get their turn


def _checked(events: Iterable[AlarmEvent]) -> list[AlarmEvent]:
    """Each once; TypeError for what is no event, ValueError for one too long."""
    if isinstance(events, AlarmEvent):
        raise TypeError("expected a list of alarm events, got one")
    found: dict[str, AlarmEvent] = {}
    for one in events:
        if not isinstance(one, AlarmEvent):
            raise TypeError(f"expected alarm events, got a {type(one).__name__}")
        _ = one.text
        found.setdefault(one.key, one)
    return list(found.values())
