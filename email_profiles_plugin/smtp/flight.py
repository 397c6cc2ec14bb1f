"""
Flights: messages that follow each other over one connection.

With PIPELINING the next message's envelope travels right behind this one's final dot
(RFC 2920, 3.1): one round trip a message, whatever the number of recipients. With
CHUNKING (RFC 3030) whole messages travel together. Without either, one command at a
time. Replies are booked as they come, to the message and recipient they are for, so
that whatever was said before a connection broke counts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from attrs import define, field, frozen

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    ProtocolError,
    SubmissionError,
)

from .dialogue import Chunk, Command, Content, Extensions, Group, Move
from .mail import Advance, Submission, checked, stuffed
from .transaction import END_OF_DATA, Transaction, limited, parameters

Play = Generator[Move, Sequence[Reply], None]

MOST_OCTETS = 1024 * 1024
"""Octets of messages that travel together; a longer message travels alone."""

NO_BDAT = (500, 501, 502)
"""The server knows no BDAT after all, and takes the content for commands."""


class Withdrawn(Exception):
    """The server waits for content that is not ours to send any more."""


class OutOfStep(Exception):
    """The server lost its place among pipelined commands."""


class NoChunking(Exception):
    """The server knows no BDAT, though it offers it."""


@frozen(kw_only=True)
class Manner:
    """
    How a connection is used.

    *window*: how many messages travel together by BDAT, 0 for DATA; *cold*: idle for
    so long that the first envelope goes before any content, lest it be lost.
    """

    extensions: Extensions = field(factory=Extensions)
    recipients: int = 100
    pipelining: bool = False
    window: int = 0
    cold: bool = False


@define(kw_only=True, eq=False)
class _Leg:
    """One transaction of a submission, and the commands of its envelope."""

    submission: Submission
    transaction: Transaction
    content: Content | Chunk
    commands: list[tuple[str, str]] = field(factory=list, init=False)


@define(kw_only=True, eq=False)
class Flight:
    """
    Plays what *advance* gives, *most* transactions at the most.

    Kept up to date for whoever goes on after it: *reset*, RSET has to lead what comes
    next; *begun*, how many transactions it took up; *proven*, the server has taken a
    BDAT; *closing*, it said 421; *lost*, it lost its place among pipelined commands.
    """

    advance: Advance
    manner: Manner
    most: int = 1_000_000
    reset: bool = False
    proven: bool = False
    begun: int = field(default=0, init=False)
    closing: bool = field(default=False, init=False)
    lost: bool = field(default=False, init=False)
    _waiting: list[Submission] = field(factory=list, init=False)
    """Those who have more recipients than one transaction takes."""

    def play(self) -> Play:
        """The dialogue. Raises OutOfStep, NoChunking, Withdrawn, contract errors."""
        return self._by_chunks() if self.manner.window else self._by_data()

    def _by_data(self) -> Play:
        pipelining, said = self.manner.pipelining, False
        leg = self._next([])
        while leg is not None:
            if not said:
                yield from self._say(leg)
            yield from self._hear(leg)
            following, said = None, False
            if leg.transaction.good:
                following = self._hand_over(leg)
                yield self._content(leg)
                if pipelining and following is not None:
                    yield from self._say(following)
                    said = True
                    yield from self._meanwhile()
                yield from self._hear_end(leg)
            elif leg.transaction.wanted:
                dot = Content(b".\r\n")
                yield Group(stage="DATA", writes=(dot,), tell=leg.submission.tell)
            self._end(leg, following)
            if self.lost:
                raise OutOfStep
            if self.closing and not said:
                return
            leg = following or self._next([])

    def _by_chunks(self) -> Play:
        cold = self.manner.cold
        while legs := self._board([], self.manner.window if self.proven else 1):
            if cold:
                cold = False
                yield from self._alone(legs.pop(0))
                if self.closing:
                    return
            for flush in _flushes(legs):
                yield from self._together(flush)
                if self.closing:
                    return

    def _alone(self, leg: _Leg) -> Play:
        """What an idle connection is tried with holds no content."""
        yield from self._say(leg)
        yield from self._hear(leg)
        if leg.transaction.good:
            leg.submission.send(leg.transaction.good)
            self._board([leg.submission], 0)
            if leg.submission.withdrawn:
                raise Withdrawn
            yield self._content(leg)
            yield from self._hear_end(leg)
        self._end(leg)
        if self.lost:
            raise OutOfStep

    def _together(self, legs: Sequence[_Leg]) -> Play:
        """Several messages in one flush, each behind a RSET."""
        for leg in legs:
            leg.submission.send(leg.transaction.recipients)
        self._board([leg.submission for leg in legs], 0)
        legs = [leg for leg in legs if not leg.submission.withdrawn]
        for leg in legs:
            yield from self._say(leg)
            yield self._content(leg)
        yield from self._meanwhile()
        fault: ProtocolError | None = None
        for leg in legs:
            yield from self._hear(leg, ahead=False)
            wrong = yield from self._hear_end(leg)
            fault = fault or wrong  # the others have answers of their own
            self._end(leg)
        if fault is not None:
            raise fault
        if self.lost:
            raise OutOfStep

    def _meanwhile(self) -> Play:
        """What was put leaves now; while the server is at work, more is made ready."""
        yield Group(stage=END_OF_DATA, replies=0, flush=True)
        self.advance([], 0)

    def _hand_over(self, leg: _Leg) -> _Leg | None:
        """The content may go; what its envelope goes behind it, if there is more."""
        one = leg.submission
        one.send(leg.transaction.good)
        if one.left:
            self._waiting.insert(0, one)
        following = self._next([one])
        if one.withdrawn:
            raise Withdrawn
        return following

    def _next(self, completing: Sequence[Submission]) -> _Leg | None:
        legs = self._board(completing, 1)
        return legs[0] if legs else None

    def _board(self, completing: Sequence[Submission], want: int) -> list[_Leg]:
        """Say who completes; take up *want* more, or as many as there are."""
        legs: list[_Leg] = []
        want = 0 if self.closing else min(want, self.most - self.begun)
        while self._waiting and len(legs) < want:
            legs += self._take_up(self._waiting.pop(0))
        while completing or len(legs) < want:
            asked = want - len(legs)
            more = self.advance(completing, asked)
            completing = []
            for one in more:
                legs += self._take_up(one)
            if not more or (legs and len(more) < asked):
                break  # what came alone goes alone
        return legs

    def _take_up(self, one: Submission) -> list[_Leg]:
        """Its next transaction; none where the server can't take the message."""
        offered, mail = self.manner.extensions, one.mail
        left = one.left
        try:
            line = f"MAIL FROM:<{mail.mail_from}>{parameters(mail, offered)}"
            content: Content | Chunk
            if self.manner.window:
                content = Chunk(checked(mail.octets))
            else:
                content = Content(stuffed(mail.octets))
        except EmailProfilesError as error:
            one.error = error
            return []
        except ValueError as error:
            one.error = SubmissionError("content", str(error))
            return []
        self.begun += 1
        transaction = Transaction(
            mail=line,
            recipients=left[: limited(left, self.manner.recipients, offered)],
            answers=one.answers,
            pipelined=self.manner.pipelining,
        )
        return [_Leg(submission=one, transaction=transaction, content=content)]

    def _say(self, leg: _Leg) -> Play:
        """The envelope; at once where the server takes it in one go."""
        data = isinstance(leg.content, Content)
        reset = self.reset or not data
        leg.commands = list(leg.transaction.commands(reset=reset, data=data))
        self.reset = False
        if self.manner.pipelining:
            writes = tuple([Command(line, line) for _, line in leg.commands])
            tell = leg.submission.tell
            yield Group(stage="MAIL", writes=writes, replies=0, tell=tell)

    def _hear(self, leg: _Leg, *, ahead: bool = True) -> Play:
        """
        The replies to the envelope; where it did not go together, it goes now.

        *ahead* of the content: what forbids to send it ends the flight.
        """
        transaction, commands = leg.transaction, leg.commands
        number = 0
        while number < len(commands):
            group = self._ask(leg, number)
            if group is None:
                break
            for reply in (yield group):
                stage, line = commands[number]
                transaction.hear(stage, line, reply)
                if stage == "MAIL" and transaction.closing is None:
                    leg.submission.heard = True
                number += 1
                self.lost |= transaction.lost
                if ahead and self.lost:
                    raise OutOfStep
        if ahead and transaction.fault is not None:
            raise transaction.fault
        if not ahead and not transaction.lost:  # who shall come again is in no doubt
            leg.submission.recall(transaction.leftover)

    def _ask(self, leg: _Leg, number: int) -> Group | None:
        """For the reply to a command, and to those after it as far as they came."""
        (stage, line), tell = leg.commands[number], leg.submission.tell
        if self.manner.pipelining:
            replies = len(leg.commands) - number
            return Group(stage=stage, replies=replies, some=True, tell=tell)
        if leg.transaction.hopeless(stage):
            return None
        return Group(stage=stage, writes=(Command(line, line),), tell=tell)

    def _content(self, leg: _Leg) -> Group:
        one = leg.submission
        return Group(
            stage=END_OF_DATA,
            writes=(leg.content,),
            replies=0,
            tell=one.tell,
            handed=one.hand_over,
        )

    def _hear_end(
        self, leg: _Leg
    ) -> Generator[Move, Sequence[Reply], ProtocolError | None]:
        """The reply to the content; returns why the session has to end, if it has."""
        one, transaction = leg.submission, leg.transaction
        (reply,) = yield Group(stage=END_OF_DATA, tell=one.tell, final=True)
        taken = reply.code // 100 == 2
        fault = transaction.fault
        if taken and not transaction.begun:
            fault = ProtocolError("MAIL", f"{reply}, though MAIL was refused")
        if fault is not None and taken:  # under which envelope, nobody knows
            for recipient in transaction.recipients:
                one.answers.pop(recipient, None)
            return fault
        transaction.hear_end(reply)
        self.lost |= transaction.lost
        one.awaiting = ()
        if isinstance(leg.content, Chunk):
            if reply.code in NO_BDAT and not self.proven:
                for recipient in transaction.good:
                    one.answers.pop(recipient, None)
                raise NoChunking
            self.proven |= taken
        return fault

    def _end(self, leg: _Leg, following: _Leg | None = None) -> None:
        """Note what the transaction means for those that follow."""
        one, transaction = leg.submission, leg.transaction
        self.reset |= not transaction.good
        if transaction.closing is not None:
            self.closing = True
            one.answers.update(dict.fromkeys(one.left, transaction.closing))
        goes_on = following is not None and following.submission is one
        if one.left and not goes_on and one not in self._waiting:
            self._waiting.insert(0, one)


def _flushes(legs: Sequence[_Leg]) -> Iterator[list[_Leg]]:
    """*legs* in parts that travel together: bounded in octets."""
    flush: list[_Leg] = []
    octets = 0
    for leg in legs:
        octets += len(leg.submission.mail.octets)
        if flush and octets > MOST_OCTETS:
            yield flush
            flush, octets = [], len(leg.submission.mail.octets)
        flush.append(leg)
    if flush:
        yield flush
