"""Acknowledging from the mail: what a link shows, what it does, how the host learns."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ...store import alarm_mails
from ...store.alarm_mails import Answer
from . import links
from .acceptance import Acceptance, Ending
from .desk import Desk
from .events import AlarmEvent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ...runtime import EmailProfiles

log = logging.getLogger(__name__)

MOST_SHOWN = 500
"""Events that a page lists."""

LONGEST_NOTE = 1000
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


@frozen(kw_only=True)
class Acknowledged:
    """Who acknowledged some of what a page shows."""

    who: str
    note: str
    at: datetime


@frozen(kw_only=True)
class Page:
    """
    What a link shows.

    *state*: `open`, `done` (all is acknowledged), `expired` or `unknown`. It is for
    *who*, of *count* events, of which *events* are listed.
    """

    state: Literal["open", "done", "expired", "unknown"]
    notification: str = ""
    who: str = ""
    count: int = 0
    events: tuple[AlarmEvent, ...] = field(default=(), repr=False)
    acknowledged: tuple[Acknowledged, ...] = ()
    note_required: bool = False
    zone: str = "UTC"


@define(eq=False)
class Acknowledging:
    """Shows what links are for, and takes acknowledgements, each to the host."""

    profiles: EmailProfiles
    desk: Desk
    acceptance: Acceptance
    tell: Callable[[Acknowledgement], None] | None
    _turn: threading.Lock = field(factory=threading.Lock, init=False)
    _again_at: float = field(default=0, init=False)

    def page(self, token: str) -> Page:
        """What the link with this *token* shows; nothing is changed."""
        opened = self._opened(token)
        if opened.state == "forged":
            return Page(state="unknown")
        with self.profiles.database.read() as connection:
            mail = alarm_mails.by_id(connection, opened.mail_id)
            told = alarm_mails.told(connection, opened.mail_id, MOST_SHOWN)
            if mail is None or told is None:
                return Page(state="unknown")
            if opened.state == "expired":
                return Page(state="expired")
            notification = self.desk.by_id(connection, mail.document_id)
            answers = alarm_mails.answers(connection, mail.id)
            left = alarm_mails.unacknowledged(connection, mail.id)
        link = None if notification is None else notification.link
        return Page(
            state="open" if left else "done",
            notification="" if notification is None else notification.name,
            who=mail.who,
            count=sum(told.by_transition.values()),
            events=tuple(map(_event, told.bodies)),
            acknowledged=tuple(
                Acknowledged(who=one.who, note=one.note, at=_moment(one.at))
                for one in answers
            ),
            note_required=link is not None and link.note_required,
            zone="UTC" if notification is None else notification.zone.key,
        )

    def acknowledge(self, token: str, note: str = "") -> Page:
        """
        Acknowledge what the link with this *token* is for, and tell the host.

        Once: what is acknowledged stays as it was. Returns what the page shows then;
        Invalid for a note that is missing or too long.
        """
        page = self.page(token)
        if page.state != "open":
            return page
        note = note.strip()
        if problem := _note_problem(note, page.note_required):
            raise Invalid("acknowledgement", [Problem(path="$.note", message=problem)])
        answer = Answer(
            id=self.profiles.chance.unique(),
            mail_id=self._opened(token).mail_id,
            who=page.who,
            note=note.encode("utf-8", "replace").decode(),
            at=self.profiles.clock.now().timestamp(),
        )
        self.profiles.database.write(lambda connection: self._note(connection, answer))
        self.tell_host(at_once=True)
        return self.page(token)

    def _note(self, connection: Connection, answer: Answer) -> None:
        fresh = alarm_mails.acknowledge(connection, answer)
        endings = [
            Ending(alarm_id=id, transition="ack", at=_moment(time))
            for id, time in fresh
        ]
        self.acceptance.end(connection, endings)

    def tell_host(self, *, at_once: bool = False) -> None:
        """
        Tell the host of what it did not take yet, if there is one to tell here.

        What the host raises is noted, and it is told again some time later.
        """
        now = self.profiles.clock.monotonic()
        if self.tell is None or (now < self._again_at and not at_once):
            return
        with self._turn:
            with self.profiles.database.read() as connection:
                untold = alarm_mails.untold(connection)
            for answer in untold:
                self._tell_one(answer, self.tell, now)

    def _tell_one(
        self, answer: Answer, tell: Callable[[Acknowledgement], None], now: float
    ) -> None:
        with self.profiles.database.read() as connection:
            bodies = alarm_mails.acknowledged(connection, answer.id)
            mail = alarm_mails.by_id(connection, answer.mail_id)
            notification = None
            if mail is not None:
                notification = self.desk.by_id(connection, mail.document_id)
        told_at: float | None = self.profiles.clock.now().timestamp()
        error = ""
        try:
            tell(
                Acknowledgement(
                    id=answer.id,
                    notification="" if notification is None else notification.name,
                    who=answer.who,
                    note=answer.note,
                    at=_moment(answer.at),
                    events=tuple(map(_event, bodies)),
                )
            )
        except Exception as raised:
            log.exception("the host did not take an acknowledgement by %s", answer.who)
            told_at, error = None, f"{type(raised).__name__}: {raised}"
            self._again_at = now + AGAIN_S
        self.profiles.database.write(
            lambda connection: alarm_mails.tell(connection, answer.id, told_at, error)
        )

    def _opened(self, token: str) -> links.Opened:
        keys = self.profiles.keyring.derived(links.PURPOSE)
        return links.read(keys, token, self.profiles.clock.now().timestamp())


def _note_problem(note: str, required: bool) -> str:
    if required and not note:
        return "is required"
    if len(note) > LONGEST_NOTE:
        return f"has {len(note)} characters; {LONGEST_NOTE} are allowed"
    return ""


def _event(body: str) -> AlarmEvent:
    return AlarmEvent.from_document(json.loads(body))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
