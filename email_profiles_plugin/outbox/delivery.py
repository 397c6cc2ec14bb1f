"""Delivery: threads that claim rows, submit them, and record what came of it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from attrs import define, field, frozen

from email_profiles_hookspecs import Credential, Profile
from email_profiles_hookspecs.errors import EmailProfilesError, FromNotAllowed
from email_profiles_hookspecs.services import Clock

from ..settlement import LANES, Settlement
from ..smtp.dialogue import Answer
from ..smtp.transaction import Mail
from ..store import queue
from ..store.claims import Claimed
from ..store.database import Database
from ..store.queue import Due
from ..submission import Submitter, Withdrawn
from .intake import may_send_as
from .record import Record
from .worker import Worker

log = logging.getLogger(__name__)

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

    def attempt(
        self, profile: Profile, credential: Credential, claimed: Claimed, lapses: int
    ) -> Settlement | None:
        """Submit one claimed row and record the result; None if it was taken away."""
        session: list[str] = []

        def before(answers: Mapping[str, Answer]) -> None:
            mine = self.record.handed(claimed, answers)
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
        settlement = self.record.ended(claimed, profile, submission, "\n".join(session))
        if settlement is None:
            log.warning("%s: its result came too late and was kept aside", claimed.id)
        return settlement

    def _run(self) -> None:
        while not self._stopping:
            work = self._work
            try:
                found = self._once()
            except EmailProfilesError as error:
                log.error("delivery is held up: %s", error)
                found = False
            except Exception:
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
        for one in due:
            profile = self._usable(one)
            if profile is None:
                continue
            with self._place(one, profile) as below_lane:
                if below_lane and self._serve(profile, below_lane):
                    return True
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
        with self._changed:
            self._skip[due.profile_id] = moment + 5 * self.pace.look_s
        return None

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
