"""Delivery: threads that claim rows, submit them, and record what came of it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from attrs import define, field, frozen

from email_profiles_hookspecs import Credential, Profile
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    FromNotAllowed,
    StoreUnavailable,
)
from email_profiles_hookspecs.services import Clock

from ..settlement import LANES, Settlement
from ..smtp.dialogue import Answer
from ..smtp.transaction import Mail
from ..store import queue
from ..store.claims import Claimed
from ..store.database import Database
from ..store.queue import Due
from ..submission import Submission, Submitter, Withdrawn
from .intake import may_send_as
from .record import Record
from .worker import Worker

log = logging.getLogger(__name__)

BOOKINGS = 600
"""How often, a second apart, the result of an attempt is tried to be recorded."""

BULK = LANES.index("bulk")


@frozen(kw_only=True)
class Pace:
    """How delivery goes about: threads, and seconds between looks."""

    threads: int = 4
    look_s: float = 1.0


@define(kw_only=True, eq=False)
class Delivery:
    """
    Sends what is due, in threads of this process.

    A thread looks for the most urgent lane first, before every message. A profile
    that fails holds one thread at most; where a profile may have two connections or
    more, bulk leaves one of them free.
    """

    database: Database
    clock: Clock
    worker: Worker
    record: Record
    submitter: Submitter
    profile: Callable[[str, str], Profile | None]
    pace: Pace = field(factory=Pace)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)
    _busy: Counter[str] = field(factory=Counter, init=False)
    _skip: dict[str, float] = field(factory=dict, init=False)
    _threads: list[threading.Thread] = field(factory=list, init=False)
    _stopping: bool = field(default=False, init=False)
    _patience: threading.Event = field(factory=threading.Event, init=False)
    _work: int = field(default=0, init=False)

    def start(self) -> None:
        """Begin to deliver."""
        for number in range(self.pace.threads):
            name = f"email-profiles-delivery-{number}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout: float = 30) -> None:
        """Finish what is being sent, begin nothing new; wait *timeout* seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = self.clock.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - self.clock.monotonic(), 0))

    def wake(self) -> None:
        """Something was queued, or a profile was changed: look now."""
        with self._changed:
            self._work += 1
            self._skip.clear()
            self._changed.notify_all()

    def begin(
        self, profile: Profile, credential: Credential, claimed: Claimed, lapses: int
    ) -> Future[Settlement | None]:
        """Attempt it in a thread of its own, for a caller who may stop waiting."""
        future: Future[Settlement | None] = Future()

        def run() -> None:
            try:
                future.set_result(self.attempt(profile, credential, claimed, lapses))
            except BaseException as error:
                future.set_exception(error)

        thread = threading.Thread(target=run, name="email-profiles-send", daemon=True)
        with self._changed:
            alive = [one for one in self._threads if one.is_alive()]
            self._threads = [*alive, thread]
            thread.start()
        return future

    def attempt(
        self, profile: Profile, credential: Credential, claimed: Claimed, lapses: int
    ) -> Settlement | None:
        """Submit one claimed row and record the result; None if it was taken away."""
        with self.worker.holding(claimed.id):
            return self._attempt(profile, credential, claimed, lapses)

    def _attempt(
        self, profile: Profile, credential: Credential, claimed: Claimed, lapses: int
    ) -> Settlement | None:
        session: list[str] = []

        def before(answers: Mapping[str, Answer], awaiting: Sequence[str]) -> None:
            mine = self.record.handed(claimed, answers, awaiting)
            if not mine or not self.worker.fresh(lapses):
                raise Withdrawn

        try:
            may_send_as(profile, (claimed.mail_from, claimed.sender))
        except FromNotAllowed as error:
            self.record.refuse(claimed, profile, error)
            return None
        mail = Mail(
            mail_from=claimed.mail_from,
            recipients=claimed.recipients,
            octets=claimed.octets,
            smtputf8=claimed.smtputf8,
        )
        submission = self.submitter.submit(
            profile, credential, mail, session.append, before
        )
        settlement = self._booked(claimed, profile, submission, "\n".join(session))
        if settlement is None:
            log.warning("%s: its result came too late and was kept aside", claimed.id)
        return settlement

    def _booked(
        self, claimed: Claimed, profile: Profile, submission: Submission, session: str
    ) -> Settlement | None:
        """Record the result; the server's word is worth waiting for the database."""
        for left in reversed(range(BOOKINGS)):
            try:
                return self.record.ended(claimed, profile, submission, session)
            except StoreUnavailable as error:
                if not left or (self._stopping and left < BOOKINGS - 5):
                    raise
                log.error("%s: its result has to wait: %s", claimed.id, error)
                self._patience.wait(1)
        raise AssertionError("a range ends")

    def _run(self) -> None:
        while not self._stopping:
            work = self._work
            try:
                found = self._once()
            except EmailProfilesError as error:
                log.error("delivery is held up: %s", error)
                found = False
            except (Exception, SystemExit):
                log.exception("delivery: an unexpected error; going on")
                found = False
            with self._changed:
                if not found and work == self._work and not self._stopping:
                    self._changed.wait(self.pace.look_s)

    def _once(self) -> bool:
        """Send one message; false if there was none to send."""
        now = self.clock.now().timestamp()
        with self.database.read() as connection:
            due = queue.due(connection, now)
        return any(self._tend(one) for one in due)

    def _tend(self, due: Due) -> bool:
        """Send one message of a profile; whatever goes wrong is its own affair."""
        try:
            profile = self._usable(due)
            if profile is None:
                return False
            with self._place(due, profile) as below_lane:
                return bool(below_lane) and self._serve(profile, below_lane)
        except StoreUnavailable:
            raise
        except (Exception, SystemExit):
            log.exception("profile %r: an unexpected error", due.profile_name)
            self._rest(due)
            return False

    def _usable(self, due: Due) -> Profile | None:
        """The profile, if it can be resolved and is enabled; else skip it a while."""
        moment = self.clock.monotonic()
        with self._changed:
            if self._skip.get(due.profile_id, 0) > moment:
                return None
        profile = self.profile(due.profile_id, due.profile_name)
        if profile is not None and profile.enabled:
            return profile
        if profile is None:
            log.warning("profile %r is not found; its mail waits", due.profile_name)
        self._rest(due)
        return None

    def _rest(self, due: Due) -> None:
        """Leave a profile alone for a few looks, or until something is changed."""
        with self._changed:
            until = self.clock.monotonic() + 5 * self.pace.look_s
            self._skip[due.profile_id] = until

    @contextmanager
    def _place(self, due: Due, profile: Profile) -> Iterator[int]:
        """A place on the profile's connections: below which lane it may claim."""
        most = 1 if due.failures else profile.limits.max_connections
        with self._changed:
            busy = self._busy[profile.id]
            below_lane = len(LANES) if busy < most else 0
            if below_lane and most > 1 and busy >= most - 1:
                below_lane = BULK
            self._busy[profile.id] += bool(below_lane)
        try:
            yield below_lane
        finally:
            with self._changed:
                self._busy[profile.id] -= bool(below_lane)

    def _serve(self, profile: Profile, below_lane: int) -> bool:
        lapses = self.worker.lapses
        owner = self.worker.enlist()
        try:
            credential = self.submitter.credential(profile)
        except EmailProfilesError as error:
            log.warning("profile %r is paused: %s", profile.name, error)
            self.record.pause(profile, str(error), error.remedy)
            return False
        claimed = self.record.claim(profile, owner, below_lane=below_lane)
        for one in claimed:
            settlement = self.attempt(profile, credential, one, lapses)
            if settlement is not None and settlement.pause:
                reason = settlement.finding.verdict.reason
                log.warning("profile %r is paused: %s", profile.name, reason)
        return bool(claimed)
