"""A message on its way, and what one attempt at it comes to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from attrs import define, field, frozen

from email_profiles_hookspecs.errors import EmailProfilesError

from ..encodings import lines_fit
from .dialogue import Answer, Tell, unheard
from .replies import CLOSING

_TEXT = bytes({*range(256)} - {*b"\r\n\0"})
"""All octets but those that have to stand where they belong, or nowhere."""


@frozen(kw_only=True)
class Mail:
    """A message on its way to some recipients; *octets* as they were rendered."""

    mail_from: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    smtputf8: bool = False


def checked(octets: bytes) -> bytes:
    """
    The octets, if they are one message: they end with CRLF, and have no line too long.

    ValueError for what could be read as two messages, or as none: a bare CR or LF,
    NUL, a line over 998 octets, a missing final CRLF.
    """
    ends = octets.translate(None, _TEXT)
    whole = octets.endswith(b"\r\n") and ends == b"\r\n" * (len(ends) // 2)
    if not (whole and lines_fit(octets)):
        raise ValueError("not a message: bare CR or LF, NUL, or a line too long")
    return octets


def stuffed(octets: bytes) -> bytes:
    """The octets, if `checked`, with dots doubled at line starts, and the final dot."""
    first = b"." if octets.startswith(b".") else b""
    stuffed = checked(octets).replace(b"\r\n.", b"\r\n..")
    return b"%b%b.\r\n" % (first, stuffed)


@define(kw_only=True, eq=False)
class Submission:
    """
    One attempt at a message: what each recipient was answered, as it comes.

    *awaiting* are those whose message was put on its way and not answered yet: once
    it was *handed_over* whole, they are in doubt. *heard*: the server has said a word
    on it. *error* ended it early; *withdrawn*: it is not ours to send any more. *tell*
    takes the session's lines.
    """

    mail: Mail
    tell: Tell = unheard
    answers: dict[str, Answer] = field(factory=dict)
    awaiting: tuple[str, ...] = ()
    handed_over: bool = False
    heard: bool = False
    error: EmailProfilesError | None = None
    withdrawn: bool = False

    @property
    def left(self) -> tuple[str, ...]:
        """Those who are still to be asked."""
        asked = {*self.answers, *self.awaiting}
        return tuple(one for one in self.mail.recipients if one not in asked)

    @property
    def done(self) -> bool:
        """Nothing more comes of it."""
        if self.error is not None or self.withdrawn:
            return True
        return all(one in self.answers for one in self.mail.recipients)

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Those of whom nobody can say whether the server took their message."""
        awaiting = self.awaiting if self.handed_over else ()
        return tuple(one for one in awaiting if one not in self.answers)

    def send(self, recipients: Sequence[str]) -> None:
        """The message goes on its way to *recipients*."""
        self.awaiting, self.handed_over = tuple(recipients), False

    def recall(self, recipients: Sequence[str]) -> None:
        """The server does not take the message for these, and has said so."""
        if recipients:
            gone = {*recipients}
            self.awaiting = tuple(one for one in self.awaiting if one not in gone)

    def start_again(self) -> None:
        """It goes over another connection: what ended this one decides on nobody."""
        for recipient, answer in list(self.answers.items()):
            if answer.reply.code == CLOSING and answer.stage in ("RSET", "MAIL"):
                del self.answers[recipient]
        self.awaiting, self.handed_over, self.heard = (), False, False
        self.tell("that connection has ended; once more over a new one")

    def hand_over(self) -> None:
        """The last octet has left our hands."""
        self.handed_over = True


Advance = Callable[[Sequence[Submission], int], Sequence[Submission]]
"""
Where a flight's messages come from: called with those whose last octet is about to
go, and how many more are wanted. Marks as withdrawn what may not go, and returns what
follows. What it raises ends the flight, with nothing of these sent. Called with neither
while the server is at work: a moment to make more ready.
"""


def in_turn(submissions: Iterable[Submission], ahead: int = 8) -> Advance:
    """
    A source that gives *submissions* one after the other, and withdraws none.

    Takes *ahead* of them at a time, while the server is at work where it can: what
    makes them is warm in the processor's caches after the first.
    """
    source, ready = iter(submissions), deque[Submission]()

    def advance(completing: Sequence[Submission], want: int) -> list[Submission]:
        spare = not completing and not want
        if len(ready) < (ahead // 2 if spare else want):
            ready.extend(islice(source, max(ahead, want)))
        return [ready.popleft() for _ in range(min(want, len(ready)))]

    return advance
