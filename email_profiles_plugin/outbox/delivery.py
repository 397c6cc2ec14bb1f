"""Delivery: threads that claim rows, submit them, and record what came of it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from attrs import define, field, frozen

from email_profiles_hookspecs import Credential, Profile
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    StoreUnavailable,
    TokenTimeout,
)
from email_profiles_hookspecs.services import Clock

from ..settlement import LANES, Settlement
from ..store import queue
from ..store.claims import Claimed
from ..store.database import Database
from ..store.queue import Due
from ..submission import ATTEMPT_S, MOMENT_S, Submitter
from ..token_rules import read_timing
from .record import Record
from .sending import Sending
from .worker import Worker

log = logging.getLogger(__name__)

BULK = LANES.index("bulk")


@frozen(kw_only=True)
class Pace:
    """
    How delivery goes about: threads, and seconds between looks.

    A profile that has much to send keeps a thread for *turn_s*, then others are
    looked at.
    """

    threads: int = 4
    look_s: float = 1.0
    turn_s: float = 2.0


@define(kw_only=True, eq=False)
class Delivery:
    """
    Sends what is due, in threads of this process.

    A thread looks for the most urgent lane first, before every flush. A profile that
    fails holds one thread at most; where a profile may have two connections or
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
    _asked: dict[str, float] = field(factory=dict, init=False)
    """Since when a profile waits for a token."""
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
        sending = Sending(
            record=self.record,
            worker=self.worker,
            profile=profile,
            owner=claimed.owner,
            lapses=lapses,
            given=claimed,
            stopping=lambda: self._stopping,
        )
        self._send(sending, credential, ATTEMPT_S)
        return sending.settlement

    def _send(
        self, sending: Sending, credential: Credential, patience_s: float
    ) -> None:
        try:
            self.submitter.submit(
                sending.profile, credential, sending.advance, patience_s
            )
        finally:
            sending.finish()

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
        waiting = {one.profile_id for one in due}
        for profile_id in self._asked.keys() - waiting:  # its mail is gone
            self._asked.pop(profile_id, None)
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
            self._rest(due.profile_id)
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
        self._rest(due.profile_id)
        return None

    def _rest(self, profile_id: str, looks: int = 5) -> None:
        """Leave a profile alone for some looks, or until something is changed."""
        with self._changed:
            until = self.clock.monotonic() + looks * self.pace.look_s
            self._skip[profile_id] = until

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
        credential = self._credential(profile)
        if credential is None:
            return False
        until = self.clock.monotonic() + self.pace.turn_s
        sending = Sending(
            record=self.record,
            worker=self.worker,
            profile=profile,
            owner=owner,
            lapses=lapses,
            more=lambda: self._goes_on(profile, until),
            stopping=lambda: self._stopping,
            below_lane=below_lane,
            resting=self._resting,
        )
        self._send(sending, credential, MOMENT_S)
        if sending.pause is not None:
            reason = sending.pause.finding.verdict.reason
            log.warning("profile %r is paused: %s", profile.name, reason)
        if not sending.begun:  # at its limits, or others were quicker
            self._rest(profile.id, looks=1)
        return bool(sending.begun)

    def _goes_on(self, profile: Profile, until: float) -> bool:
        """Its turn is not over, and no caller waits for the connection."""
        if self._stopping or self.submitter.pool.awaited(profile.id):
            return False
        return self.clock.monotonic() < until

    def _credential(self, profile: Profile) -> Credential | None:
        """
        What the profile signs in with; None, and it rests, where that can't be had.

        A thread that others need waits a moment only. A token that takes longer is
        waited for without it, as long as the profile's access_token_timeout_s says.
        """
        now = self.clock.monotonic()
        since = self._asked.setdefault(profile.id, now)
        try:
            credential = self.submitter.credential(profile, now + MOMENT_S)
        except EmailProfilesError as error:
            patience = read_timing(profile.auth).access_token_timeout_s
            if isinstance(error, TokenTimeout) and now - since < patience - MOMENT_S:
                self._rest(profile.id)
                return None
            log.warning("profile %r is paused: %s", profile.name, error)
            self.record.pause(profile, str(error), error.remedy)
            credential = None
        self._asked.pop(profile.id, None)
        return credential

    def _resting(self) -> tuple[str, ...]:
        """The profiles that are left alone for a while."""
        moment = self.clock.monotonic()
        with self._changed:
            return tuple(id for id, until in self._skip.items() if until > moment)
