"""
The conversations of SMTP, as generators that read from top to bottom like the RFC.

A dialogue yields a *group*, what to write together and how many replies to wait for,
and is sent those replies. It opens no socket and reads no clock.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Mapping, Sequence

from attrs import Attribute, evolve, field, frozen

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import (
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
)
from email_profiles_hookspecs.sasl import Exchange, Sasl

from .replies import printable

AUTH_LINE = 512
"""Octets of an AUTH line with initial response; real servers cut longer ones."""

MAX_DIGITS = 18
"""Digits of a limit that a server announces; a longer one is none."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")


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
    """A message as DATA sends it: dot-stuffed, with its final dot."""

    octets: bytes = field(repr=False)

    @property
    def shown(self) -> str:
        return f"[{len(self.octets)} octets]"


@frozen
class Chunk:
    """A message as BDAT sends it: counted, in one chunk that is the last."""

    message: bytes = field(repr=False)

    @property
    def octets(self) -> bytes:
        return b"BDAT %d LAST\r\n%b" % (len(self.message), self.message)

    @property
    def shown(self) -> str:
        return f"BDAT {len(self.message)} LAST [{len(self.message)} octets]"


Tell = Callable[[str], None]


def unheard(line: str) -> None:
    """Where nobody listens to a session: its lines are not even made."""


def nothing() -> None:
    """Where nobody has to know that something was handed over."""


@frozen(kw_only=True)
class Group:
    """
    What is written together, and how many replies are waited for.

    Each write brings a reply. A group that waits for none leaves with the next one
    that waits, or that says *flush*; who comes later asks for its replies by a group
    without writes. *some*: as many of its replies as are there do, if it is one. *tell*
    takes the lines as a log may hold them, *handed* is called when the last octet has
    left our hands. The reply to a *final* dot may take longer than others.
    What *hide* holds is masked in the replies, should the server echo it.
    """

    stage: str
    writes: tuple[Command | Content | Chunk, ...] = ()
    replies: int = 1
    some: bool = False
    flush: bool = False
    tell: Tell | None = None
    handed: Callable[[], None] = nothing
    final: bool = False
    hide: tuple[bytes, ...] = field(default=(), repr=False)

    def reads(self, reply: Reply) -> bool:
        """The dialogue, and nobody else, reads the text: it has to be as it came."""
        return self.stage == "EHLO" or (self.stage, reply.code) == ("AUTH", 334)


@frozen
class Answer:
    """The reply that decided on a recipient, and the stage at which it came."""

    stage: str
    reply: Reply


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
            word, _, rest = line.partition(" ")
            keyword, equals, first = word.partition("=")
            if equals and keyword.upper() == "AUTH":  # as old servers write it
                word, rest = keyword, f"{first} {rest}"
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
            if key.upper() == name and _is_number(value):
                return int(value) or None
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


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
        initial = _step(sasl, responses, None)
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
            reply = yield from _answer(sasl, responses, reply, said)
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


def _step(sasl: Sasl, responses: Exchange, challenge: bytes | None) -> bytes | None:
    """What the mechanism says next, None at its end; whatever it raises: SaslError."""
    try:
        return responses.send(challenge)
    except StopIteration:
        return None
    except SaslError:
        raise
    except Exception as error:
        name = type(error).__name__
        raise SaslError(f"{sasl.mechanism} can't go on: {name}") from error


def _answer(
    sasl: Sasl, responses: Exchange, reply: Reply, said: list[bytes]
) -> Generator[Move, Sequence[Reply], Reply]:
    """The client's answer to a 334; `*`, which ends the exchange, without one."""
    try:
        answer = _step(sasl, responses, b64decode(reply.text.strip(), validate=True))
    except ValueError:
        answer = None
    except SaslError:
        yield from _prove("*", "*", said)
        raise
    if answer is None:
        reply = yield from _prove("*", "*", said)
        if reply.code == 334:
            raise ProtocolError("AUTH", "the server asked on after the end")
        return reply
    said.append(answer)
    return (yield from _prove(b64encode(answer).decode(), "***", said))


def _finish(responses: Exchange) -> None:
    """Tell the exchange that the server said yes; it has to agree."""
    try:
        responses.send(None)
    except StopIteration:
        return
    except Exception as error:
        why = error if isinstance(error, SaslError) else type(error).__name__
        raise ProtocolError("AUTH", f"the server said yes, but: {why}") from error
    raise ProtocolError("AUTH", "the server said yes before it proved itself")


def masked(reply: Reply, said: Sequence[bytes]) -> Reply:
    """
    The reply without what was said in the exchange, should the server echo it.

    Masked are whole answers and their parts between NUL or \\1, at any length (short
    ones as words of their own), then their words; in Base64, too, also cut short.
    """
    encoded = [b64encode(answer).decode().lower() for answer in said]

    def hide(found: re.Match[str]) -> str:
        return "***" if any(found[0].lower() in one for one in encoded) else found[0]

    text = _BASE64.sub(hide, reply.text)
    whole = {one for answer in said for one in (answer, *re.split(b"[\0\1]", answer))}
    words = {one for part in whole for one in part.split(b" ") if len(one) >= 4}
    for parts in (whole, words):
        for part in sorted(filter(None, parts), key=len, reverse=True):
            for spelt in (printable(part), b64encode(part).decode()):
                pattern = re.escape(spelt)
                if len(part) < 4:
                    pattern = rf"(?<!\w){pattern}(?!\w)"
                text = re.sub(pattern, "***", text, flags=re.IGNORECASE)
    return evolve(reply, text=text)
