"""Telling the host of acknowledgements, in a thread of its own: it may take long."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from email_profiles_hookspecs.errors import EmailProfilesError

from ...store import alarm_mails
from ...store.alarm_mails import Answer
from .desk import Desk
from .events import AlarmEvent, storable

if TYPE_CHECKING:
    from ...runtime import EmailProfiles

log = logging.getLogger(__name__)

AGAIN_S = 30
"""Seconds till the host is told again of what it did not take."""


@frozen(kw_only=True)
class Acknowledgement:
    """
    What the host is told: *who* acknowledged *events*, *note*, and when.

    *notification* is the name of the alarm notification that told of them. It comes
    at least once, always with the same *id*.
    """

    id: str
    notification: str
    who: str
    note: str
    at: datetime
    events: tuple[AlarmEvent, ...] = field(repr=False)


@define(eq=False)
class Telling:
    """
    Tells the host, if there is one here, of what it did not take yet.

    Nobody waits for that: a host that hangs holds up no mail and no page.
    """

    profiles: EmailProfiles
    desk: Desk
    tell: Callable[[Acknowledgement], None] | None
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _wanted: bool = field(default=False, init=False)
    _again_at: float = field(default=0, init=False)
    _tried: tuple[float, str] = field(default=(0, ""), init=False)

    def wake(self, *, at_once: bool = False) -> None:
        """
        See to it that the host is told, unless it failed just now.

        *at_once*: even then.
        """
        early = self.profiles.clock.monotonic() < self._again_at
        if self.tell is None or (early and not at_once):
            return
        with self._guard:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="email-profiles-acknowledged", daemon=True
                )
                self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Whether the host has been told, as far as it took it, by then."""
        with self._guard:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
            return not thread.is_alive()
        return thread is None

    def _run(self) -> None:
        while self._goes_on():
            try:
                self._round()
            except EmailProfilesError as error:
                log.error("telling the host of acknowledgements: %s", error)
            except (Exception, SystemExit):
                log.exception("telling the host of acknowledgements failed; going on")

    def _goes_on(self) -> bool:
        with self._guard:
            wanted, self._wanted = self._wanted, False
            if not wanted:
                self._thread = None
        return wanted

    def _round(self) -> None:
        """What it was never told of first, then some of what it did not take."""
        if self.tell is None:
            return
        now = self.profiles.clock.monotonic()
        with self.profiles.database.read() as connection:
            untold = alarm_mails.untold(connection, self._tried)
        taken = [self._tell_one(answer, self.tell) for answer in untold]
        tried = [(one.at, one.id) for one in untold if one.error]
        self._tried = tried[-1] if tried else (0, "")
        if not all(taken):
            self._again_at = now + AGAIN_S

    def _tell_one(
        self, answer: Answer, tell: Callable[[Acknowledgement], None]
    ) -> bool:
        told_at: float | None = self.profiles.clock.now().timestamp()
        error = ""
        try:
            tell(self._acknowledgement(answer))
        except (Exception, SystemExit) as raised:
            log.exception("the host did not take an acknowledgement by %s", answer.who)
            told_at, error = None, storable(f"{type(raised).__name__}: {raised}")
        self.profiles.database.write(
            lambda connection: alarm_mails.tell(connection, answer.id, told_at, error)
        )
        return told_at is not None

    def _acknowledgement(self, answer: Answer) -> Acknowledgement:
        with self.profiles.database.read() as connection:
            bodies = alarm_mails.acknowledged(connection, answer.id)
            mail = alarm_mails.by_id(connection, answer.mail_id)
            notification = None
            if mail is not None:
                notification = self.desk.by_id(connection, mail.document_id)
        return Acknowledgement(
            id=answer.id,
            notification="" if notification is None else notification.name,
            who=answer.who,
            note=answer.note,
            at=datetime.fromtimestamp(answer.at, UTC),
            events=tuple(AlarmEvent.from_document(json.loads(one)) for one in bodies),
        )
