"""
The conversations of SMTP, as generators that read from top to bottom like the RFC.

A dialogue yields a *group*, what to write in one flush and how many replies to wait
for, and is sent those replies. It opens no socket and reads no clock.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Generator, Mapping, Sequence

from attrs import Attribute, field, frozen

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import (
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
)
from email_profiles_hookspecs.sasl import Exchange, Sasl

AUTH_LINE = 512
"""Octets of an AUTH line with initial response; real servers cut longer ones."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _one_line(instance: object, attribute: Attribute[str], value: str) -> None:
    if _CONTROL.search(value):
        raise ValueError("a command holds no control characters")


@frozen
class Command:
    """One line to the server; *shown* is what a log or transcript may hold of it."""

    line: str = field(repr=False, validator=_one_line)
    shown: str

    @property
    def octets(self) -> bytes:
        return self.line.encode() + b"\r\n"


@frozen
class Content:
    """A message as it goes over the wire: dot-stuffed, with its final dot."""

    octets: bytes = field(repr=False)

    @property
    def shown(self) -> str:
        return f"[{len(self.octets)} octets]"


@frozen
class Answer:
    """The reply that decided on a recipient, and the stage at which it came."""

    stage: str
    reply: Reply


@frozen
class Completion:
    """
    A message whose last octet is in a group: after it nobody can take it back.

    *answers* are those recipients on whom the server has decided already, *awaiting*
    those on whom the reply to the final dot decides.
    """

    answers: Mapping[str, Answer]
    awaiting: tuple[str, ...]


@frozen(kw_only=True)
class Group:
    """
    What is written in one flush, and how many replies it has to bring.

    The reply to a group that completes a message may take longer than others. What
    *hide* holds is masked in the replies, should the server echo it.
    """

    stage: str
    writes: tuple[Command | Content, ...] = ()
    replies: int = 1
    completes: tuple[Completion, ...] = ()
    hide: tuple[bytes, ...] = field(default=(), repr=False)


@frozen
class StartTls:
    """Hand the connection to TLS; no reply belongs to it."""


Move = Group | StartTls


@frozen
class Extensions:
    """What the server offered after EHLO: keyword to parameters, in capitals."""

    offered: Mapping[str, str] = field(factory=dict)

    @classmethod
    def from_reply(cls, reply: Reply) -> Extensions:
        """Read an EHLO reply; its first line is a name (RFC 5321, 4.1.1.1)."""
        offered: dict[str, str] = {}
        for line in reply.text.split("\n")[1:]:
            word, _, rest = line.replace("=", " ", 1).partition(" ")
            offered[word.upper()] = f"{offered.get(word.upper(), '')} {rest}".strip()
        return cls(offered)

    def __contains__(self, keyword: object) -> bool:
        return keyword in self.offered

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms, each once."""
        return tuple(dict.fromkeys(self.offered.get("AUTH", "").upper().split()))

    def number(self, keyword: str, name: str = "") -> int | None:
        """A limit: `SIZE 1000`, or *name* in `LIMITS RCPTMAX=100`; None without."""
        for word in self.offered.get(keyword, "").split():
            key, _, value = word.rpartition("=")
            if key.upper() == name and value.isascii() and value.isdigit():
                return int(value) or None
        return None


def say(
    stage: str, line: str, shown: str | None = None
) -> Generator[Move, Sequence[Reply], Reply]:
    """One command, one reply."""
    command = Command(line, line if shown is None else shown)
    (reply,) = yield Group(stage=stage, writes=(command,))
    return reply


def demand(stage: str, reply: Reply, first_digit: int) -> Reply:
    """The reply, if it is of the class that lets the session go on."""
    if reply.code // 100 != first_digit:
        raise Refused(stage, reply)
    return reply


def greet(
    helo_name: str, *, starttls: bool
) -> Generator[Move, Sequence[Reply], Extensions]:
    """
    Greeting, EHLO and, where the profile asks for it, STARTTLS and EHLO again.

    STARTTLS that is asked for and not offered is an error, never a fallback. What the
    server offered in the clear is forgotten (RFC 3207, 4.2).
    """
    (greeting,) = yield Group(stage="greeting")
    demand("greeting", greeting, 2)
    extensions = yield from hello(helo_name)
    if starttls:
        if "STARTTLS" not in extensions:
            raise NotOffered(
                "STARTTLS",
                "the server does not offer STARTTLS",
                "ask for SSL/TLS if the port is one for that (465), or look who "
                "removed STARTTLS on the way",
            )
        demand("STARTTLS", (yield from say("STARTTLS", "STARTTLS")), 2)
        yield StartTls()
        extensions = yield from hello(helo_name)
    return extensions


def hello(helo_name: str) -> Generator[Move, Sequence[Reply], Extensions]:
    """EHLO; HELO where the server knows no EHLO (RFC 5321, 3.2)."""
    reply = yield from say("EHLO", f"EHLO {helo_name}")
    if reply.code in (500, 502):
        demand("EHLO", (yield from say("EHLO", f"HELO {helo_name}")), 2)
        return Extensions()
    return Extensions.from_reply(demand("EHLO", reply, 2))


def authenticate(
    extensions: Extensions, offers: Sequence[Sasl]
) -> Generator[Move, Sequence[Reply], str]:
    """
    AUTH by the first of *offers* that the server has; returns the mechanism.

    SCRAM may be refused for a user that has no verifier at the server, so that one
    more mechanism is tried after it. No AUTH is ever followed by anything in its
    group (RFC 4954, 4).
    """
    usable = [offer for offer in offers if offer.mechanism in extensions.mechanisms]
    if not usable:
        ours = ", ".join(offer.mechanism for offer in offers)
        theirs = ", ".join(extensions.mechanisms) or "no AUTH at all"
        raise NotOffered("AUTH", f"the profile can do {ours}; the server has {theirs}")
    try:
        return (yield from exchange(usable[0]))
    except Refused as refusal:
        scram = usable[0].mechanism.startswith("SCRAM")
        if not scram or len(usable) == 1 or refusal.reply.code // 100 != 5:
            raise
    return (yield from exchange(usable[1]))


def exchange(sasl: Sasl) -> Generator[Move, Sequence[Reply], str]:
    """One SASL exchange (RFC 4954, 4), to its 235."""
    responses = sasl.respond()
    said: list[bytes] = []
    try:
        initial = next(responses, None)
        line = f"AUTH {sasl.mechanism}"
        encoded = None if initial is None else b64encode(initial).decode()
        if initial is not None:
            said.append(initial)
        if encoded is not None and len(line) + len(encoded) + 3 <= AUTH_LINE:
            reply = yield from _prove(f"{line} {encoded or '='}", f"{line} ***", said)
        else:
            reply = yield from say("AUTH", line)
            if encoded is not None and reply.code == 334:
                reply = yield from _prove(encoded, "***", said)
        while reply.code == 334:
            reply = yield from _answer(responses, reply, said)
        demand("AUTH", reply, 2)
        _finish(responses)
    finally:
        responses.close()
    return sasl.mechanism


def _prove(
    line: str, shown: str, said: Sequence[bytes]
) -> Generator[Move, Sequence[Reply], Reply]:
    """Say what nobody may see; nor in the reply, should the server echo it."""
    writes = (Command(line, shown),)
    (reply,) = yield Group(stage="AUTH", writes=writes, hide=tuple(said))
    return reply


def _answer(
    responses: Exchange, reply: Reply, said: list[bytes]
) -> Generator[Move, Sequence[Reply], Reply]:
    """The client's answer to a 334; `*`, which ends the exchange, without one."""
    try:
        challenge = b64decode(reply.text.strip(), validate=True)
        answer = responses.send(challenge)
    except (StopIteration, binascii.Error):
        answer = None
    except SaslError:
        yield from say("AUTH", "*")
        raise
    if answer is None:
        return (yield from say("AUTH", "*"))
    said.append(answer)
    return (yield from _prove(b64encode(answer).decode(), "***", said))


def _finish(responses: Exchange) -> None:
    """Tell the exchange that the server said yes; it has to agree."""
    try:
        responses.send(None)
    except StopIteration:
        return
    except SaslError as error:
        raise ProtocolError("AUTH", f"the server said yes, but: {error}") from error
    raise ProtocolError("AUTH", "the server said yes before it proved itself")


def masked(reply: Reply, said: Sequence[bytes]) -> Reply:
    """The reply without what was said in the exchange, should the server echo it."""
    text = reply.text
    for answer in said:
        parts = [answer, *re.split(rb"[\x00\x01 ]", answer)]
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= 4:
                text = text.replace(part.decode("utf-8", "replace"), "***")
                text = text.replace(b64encode(part).decode(), "***")
    return Reply(code=reply.code, enhanced=reply.enhanced, text=text)
