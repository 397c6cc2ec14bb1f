"""Sending: rows of one profile on their way, claimed and booked as a flight goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from attrs import define, field

from email_profiles_hookspecs import Profile
from email_profiles_hookspecs.errors import FromNotAllowed, StoreUnavailable

from ..settlement import LANES, Settlement
from ..smtp.mail import Mail, Submission
from ..store.claims import Claimed
from .booking import Attempt
from .intake import may_send_as
from .record import Record, Step, Wanted
from .worker import Worker

log = logging.getLogger(__name__)

BOOKINGS = 600
"""How often the result of an attempt is tried to be recorded."""

PATIENCE_S = 1
"""Seconds from one such try to the next."""


@define(kw_only=True, eq=False)
class Sending:
    """
    The source of a flight: rows of *profile*, by the worker's *owner* id.

    Each step is one transaction: it books what ended, marks what is about to be
    handed over, and claims what goes next. *given* is a row that is claimed already;
    more are claimed only while *more* says so. A worker that lapsed since *lapses*
    were counted hands nothing over, and claims nothing.
    """

    record: Record
    worker: Worker
    profile: Profile
    owner: str
    lapses: int
    given: Claimed | None = None
    more: Callable[[], bool] = lambda: False
    stopping: Callable[[], bool] = lambda: False
    below_lane: int = len(LANES)
    resting: Callable[[], tuple[str, ...]] = tuple
    begun: int = field(default=0, init=False)
    """How many rows were taken up."""
    settlement: Settlement | None = field(default=None, init=False)
    """What the last attempt came to; None if its row was taken from us."""
    pause: Settlement | None = field(default=None, init=False)
    """What says that the profile has to rest."""
    _under_way: list[Attempt] = field(factory=list, init=False)

    def advance(
        self, completing: Sequence[Submission], want: int
    ) -> Sequence[Submission]:
        """The flight's `Advance`."""
        if not completing and not want:
            return ()
        ended = [one for one in self._under_way if one.submission.done]
        handing = [one for one in self._under_way if one.submission in completing]
        if self.given is not None and want:
            given, self.given = self.given, None
            return self._begin([given])
        wanted = self._wanted(want)
        if not (ended or handing or wanted):
            return ()
        step = self.record.step(
            self.profile,
            ended=ended,
            handing=handing,
            wanted=wanted,
            rests=self.pause is not None,
        )
        self._note(ended, step)
        fresh = self.worker.fresh(self.lapses)
        for one in handing:
            if not fresh or one.claimed.id not in step.mine:
                one.submission.withdrawn = True
        return self._begin(step.claimed)

    def finish(self) -> None:
        """Record what is not recorded yet; worth waiting for the database."""
        try:
            for one in list(self._under_way):
                self._note([one], self._booked(one))
        finally:
            for one in self._under_way:
                self.worker.release(one.claimed.id, one.claimed.attempt)

    def _wanted(self, want: int) -> Wanted | None:
        if not want or self.pause is not None or not self.more():
            return None
        if not self.worker.fresh(self.lapses):
            return None
        return Wanted(
            owner=self.owner,
            limit=want,
            below_lane=self.below_lane,
            considerate=self.begun > 0,
            resting=self.resting(),
        )

    def _begin(self, claimed: Sequence[Claimed]) -> list[Submission]:
        """Take rows up, but those that the profile may not send any more."""
        begun = []
        for row in claimed:
            self.begun += 1
            self.worker.hold(row.id, row.attempt)
            session: list[str] = []
            mail = Mail(
                mail_from=row.mail_from,
                recipients=row.recipients,
                octets=row.octets,
                smtputf8=row.smtputf8,
            )
            submission = Submission(mail=mail, tell=session.append)
            attempt = Attempt(claimed=row, submission=submission, session=session)
            self._under_way.append(attempt)
            try:
                may_send_as(self.profile, (row.mail_from, row.sender))
            except FromNotAllowed as error:
                self._under_way.remove(attempt)
                try:
                    self.record.refuse(row, self.profile, error)
                finally:
                    self.worker.release(row.id, row.attempt)
                continue
            begun.append(submission)
        return begun

    def _note(self, ended: Sequence[Attempt], step: Step) -> None:
        for one, settlement in zip(ended, step.settlements, strict=True):
            self._under_way.remove(one)
            self.worker.release(one.claimed.id, one.claimed.attempt)
            self.settlement = settlement
            if settlement is None:
                id = one.claimed.id
                log.warning("%s: its result came too late and was kept aside", id)
            elif settlement.pause:
                self.pause = settlement

    def _booked(self, one: Attempt) -> Step:
        for left in reversed(range(BOOKINGS)):
            try:
                rests = self.pause is not None
                return self.record.step(self.profile, ended=[one], rests=rests)
            except StoreUnavailable as error:
                if not left or (self.stopping() and left < BOOKINGS - 5):
                    raise
                log.error("%s: its result has to wait: %s", one.claimed.id, error)
                threading.Event().wait(PATIENCE_S)
        raise AssertionError("a range ends")
