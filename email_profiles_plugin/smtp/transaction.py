"""One mail transaction (RFC 5321, 3.3): what each recipient was answered, and where."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from attrs import field, frozen

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import NotOffered, ProtocolError

from .dialogue import (
    Answer,
    Command,
    Completion,
    Content,
    Extensions,
    Group,
    Move,
)

END_OF_DATA = "end of data"
"""The stage of the reply to the final dot."""

MAX_LINE = 998
"""Octets of a line of a message, without its CRLF (RFC 5322, 2.1.1)."""

_TOO_MANY = (452, 552)


@frozen(kw_only=True)
class Mail:
    """A message on its way to some recipients; *octets* as they were rendered."""

    mail_from: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    smtputf8: bool = False


@frozen(kw_only=True)
class Transaction:
    """
    What a transaction came to.

    *answers* by recipient; *leftover* were not asked, or asked to come again in the
    next transaction (452); *reset*: RSET has to lead what comes next; *closing*: the
    server said 421 and ends the session.
    """

    answers: Mapping[str, Answer]
    leftover: tuple[str, ...] = ()
    reset: bool = False
    closing: bool = False


def stuffed(octets: bytes) -> bytes:
    """
    The octets with dots doubled at line starts and the final dot (RFC 5321, 4.5.2).

    Refuses, with ValueError, what could be read as two messages, or as none: a bare
    CR or LF, NUL, a line over 998 octets, a missing final CRLF.
    """
    ends = octets.count(b"\r\n")
    if (
        not octets.endswith(b"\r\n")
        or not ends == octets.count(b"\r") == octets.count(b"\n")
        or b"\0" in octets
        or max(map(len, octets.split(b"\r\n"))) > MAX_LINE
    ):
        raise ValueError("not a message: bare CR or LF, NUL, or a line too long")
    stuffed = octets.replace(b"\r\n.", b"\r\n..") if b"\n." in octets else octets
    return (b"." if octets.startswith(b".") else b"") + stuffed + b".\r\n"


def limited(recipients: Sequence[str], limit: int, extensions: Extensions) -> int:
    """How many of *recipients* go into the next transaction (LIMITS: RFC 9422)."""
    announced = extensions.number("LIMITS", "RCPTMAX")
    return min(len(recipients), limit, announced or limit)


def parameters(mail: Mail, extensions: Extensions) -> str:
    """MAIL's parameters; NotOffered where the server can't take this message."""
    said = ""
    if "SIZE" in extensions:
        most = extensions.number("SIZE")
        if most is not None and len(mail.octets) > most:
            raise NotOffered(
                "MAIL",
                f"the message has {len(mail.octets)} octets, the server takes {most}",
                "send less, or a link to the file",
            )
        said = f" SIZE={len(mail.octets)}"
    if mail.smtputf8:
        if "SMTPUTF8" not in extensions:
            raise NotOffered(
                "MAIL",
                "the server does not take addresses beyond ASCII (SMTPUTF8)",
                "use addresses with an ASCII local part",
            )
        said += " BODY=8BITMIME SMTPUTF8"
    return said


def transact(
    mail: Mail, extensions: Extensions, *, pipelining: bool, reset: bool = False
) -> Generator[Move, Sequence[Reply], Transaction]:
    """
    Hand *mail* over to all its recipients in one transaction.

    With *pipelining* the whole envelope travels in one group (RFC 2920); *reset* puts
    RSET before it.
    """
    if not mail.recipients:
        raise ValueError("a transaction needs a recipient")
    content = Content(stuffed(mail.octets))
    commands = [
        ("MAIL", f"MAIL FROM:<{mail.mail_from}>{parameters(mail, extensions)}"),
        *(("RCPT", f"RCPT TO:<{recipient}>") for recipient in mail.recipients),
        ("DATA", "DATA"),
    ]
    if reset:
        commands.insert(0, ("RSET", "RSET"))
    play = _together if pipelining else _one_by_one
    replies = yield from play(commands)
    if reset:
        first = replies[0]
        if first.code == 421:
            answers = dict.fromkeys(mail.recipients, Answer("RSET", first))
            return Transaction(answers=answers, closing=True)
        if first.code // 100 != 2:
            raise ProtocolError("RSET", f"the server refused RSET: {first}")
        replies = replies[1:]
    booked, go = _book(mail, replies)
    if not go:
        if booked.reset and _asks_for_data(replies, len(commands) - reset):
            yield Group(stage="DATA", writes=(Content(b".\r\n"),))
        return booked
    decided = (*booked.answers, *booked.leftover)
    awaiting = tuple(one for one in mail.recipients if one not in decided)
    (reply,) = yield Group(
        stage=END_OF_DATA,
        writes=(content,),
        completes=(Completion(booked.answers, awaiting),),
    )
    answers = {**booked.answers, **dict.fromkeys(awaiting, Answer(END_OF_DATA, reply))}
    closing = reply.code == 421
    return Transaction(answers=answers, leftover=booked.leftover, closing=closing)


def _together(
    commands: Sequence[tuple[str, str]],
) -> Generator[Move, Sequence[Reply], Sequence[Reply]]:
    writes = tuple(Command(line, line) for _, line in commands)
    return (yield Group(stage="MAIL", writes=writes, replies=len(writes)))


def _one_by_one(
    commands: Sequence[tuple[str, str]],
) -> Generator[Move, Sequence[Reply], Sequence[Reply]]:
    """As far as it makes sense: no RCPT without MAIL, no DATA without recipients."""
    replies: list[Reply] = []
    recipients = 0
    for stage, line in commands:
        if stage == "DATA" and not recipients:
            break
        (reply,) = yield Group(stage=stage, writes=(Command(line, line),))
        replies.append(reply)
        good = reply.code // 100 == 2
        recipients += stage == "RCPT" and good
        if reply.code == 421 or (stage in ("RSET", "MAIL") and not good):
            break
    return replies


def _asks_for_data(replies: Sequence[Reply], asked: int) -> bool:
    return len(replies) == asked and replies[-1].code // 100 == 3


def _book(mail: Mail, replies: Sequence[Reply]) -> tuple[Transaction, bool]:
    """What the envelope's replies say of each recipient, and whether content may go."""
    first, *rest = replies
    data = rest[len(mail.recipients)] if len(rest) > len(mail.recipients) else None
    closing = next((reply for reply in replies if reply.code == 421), None)
    if first.code // 100 != 2:
        if data is not None and data.code // 100 == 3:
            raise ProtocolError("MAIL", f"content asked for after MAIL's {first}")
        answers = dict.fromkeys(mail.recipients, Answer("MAIL", first))
        return Transaction(answers=answers, closing=first.code == 421), False
    answers, leftover, good = {}, [], []
    for recipient, reply in zip(mail.recipients, rest, strict=False):
        if reply.code // 100 == 2:
            good.append(recipient)
        elif reply.code in _TOO_MANY and good:
            leftover.append(recipient)
        else:
            answers[recipient] = Answer("RCPT", reply)
    if closing is not None:  # 421 answers its command and all that follow
        stage = "DATA" if data is closing else "RCPT"
        for recipient in mail.recipients:
            answers.setdefault(recipient, Answer(stage, closing))
        return Transaction(answers=answers, closing=True), False
    if data is not None and data.code // 100 != 3:
        answers.update(dict.fromkeys(good, Answer("DATA", data)))
    go = bool(good) and data is not None and data.code // 100 == 3
    return Transaction(answers=answers, leftover=tuple(leftover), reset=not go), go
