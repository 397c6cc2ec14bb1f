"""Acknowledging from the mail: what a link shows, and what it does."""

from __future__ import annotations

import json
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
from .events import AlarmEvent, storable
from .telling import Telling

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ...runtime import EmailProfiles

MOST_SHOWN = 500
"""Events that a page lists."""

LONGEST_NOTE = 1000


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
    telling: Telling

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
            note=storable(note),
            at=self.profiles.clock.now().timestamp(),
        )
        self.profiles.database.write(lambda connection: self._note(connection, answer))
        self.telling.wake(at_once=True)
        return self.page(token)

    def _note(self, connection: Connection, answer: Answer) -> None:
        fresh = alarm_mails.acknowledge(connection, answer)
        endings = [
            Ending(alarm_id=id, transition="ack", at=_moment(time))
            for id, time in fresh
        ]
        self.acceptance.end(connection, endings)

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
