"""
A server as a tape: what it says, how that is cut, and what the network does to it.

Octets are said as they are, but for those from 0xE0 on: they stand for a whole reply,
or for something that happens to the connection.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

from attrs import define, field

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import ConnectFailed
from email_profiles_plugin.smtp.dialogue import Chunk, Command, Content, Group
from email_profiles_plugin.smtp.replies import MAX_LINE, MAX_LINES, MAX_REPLY
from email_profiles_plugin.smtp.wire import CHUNK, Wire

ECHO, ECHO_DECODED = 0xE0, 0xE1
"""The last line that the client said, as it was and out of Base64."""

AUTH = (
    b"250-STARTTLS\r\n250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER"
)
HELLO = {
    0xE3: b"250-hi\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-SIZE 1000\r\n%b\r\n" % AUTH,
    0xE4: b"250-hi\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n%b\r\n" % AUTH,
    0xE5: b"250-hi\r\n250-SMTPUTF8\r\n250-LIMITS RCPTMAX=1\r\n%b\r\n" % AUTH,
}
"""Answers to EHLO, for each manner of sending."""

SCRAM = b"334 cj1hYmNkZWYscz1XMjJaYUowU05ZN3NvRXNVRWpiNmdRPT0saT00MDk2\r\n"
"""A first message for the nonce `abc`."""

CANNED: Mapping[int, bytes] = MappingProxyType(
    {
        0xE2: b"220 hi\r\n",
        **HELLO,
        0xE6: b"250 2.0.0 ok\r\n",
        0xE7: b"354 go\r\n",
        0xE8: b"235 ok\r\n",
        0xE9: SCRAM,
        0xEA: b"334 UGFzc3dvcmQ6\r\n",
        0xEB: b"421 4.3.2 bye\r\n",
        0xEC: b"550 5.1.1 no\r\n",
        0xED: b"452 later\r\n",
        0xEE: b"503 what\r\n",
        0xEF: b"502 unknown\r\n",
    }
)

CUT, PAUSE, SILENCE, CLOSE, RESET, TAKES, DEAF = range(0xF0, 0xF7)
"""
The end of a packet; more in time; no more in time; FIN; RST; the next octet says how
many octets are taken before the client has to wait; nothing is taken any more.
"""

Write = Command | Content | Chunk


@define(eq=False)
class Tape:
    """
    What servers say, one connection after the other; *prefix* begins each.

    A connection beyond the end of the tape fails, so that all sessions end. *now* is
    the time: a wait that brings nothing lets it pass.
    """

    octets: bytes
    now: float
    prefix: tuple[bytes, ...] = ()
    at: int = 0
    plugs: list[Plug] = field(factory=list, init=False)
    calls: int = field(default=0, init=False)

    def __call__(self) -> float:
        """The clock; time passes by looking at it, so that no loop on it is endless."""
        self.now += 1e-5
        return self.now

    @property
    def over(self) -> bool:
        return self.at >= len(self.octets)

    @property
    def next(self) -> int:
        return CLOSE if self.over else self.octets[self.at]

    def plug(self) -> Plug:
        """The next connection."""
        if self.over:
            raise ConnectFailed("connect", "the tape is over")
        self.plugs.append(Plug(self, list(self.prefix)))
        return self.plugs[-1]

    def count(self) -> None:
        """No session calls the network without end."""
        self.calls += 1
        assert self.calls < 2000 + 50 * len(self.octets), "a session without end"


@define(eq=False)
class Plug:
    """One connection to the tape: a socket, and the selector for it."""

    tape: Tape
    ahead: list[bytes]
    """Packets that come before the tape goes on."""
    writes: list[Write] = field(factory=list, init=False)
    sent: bytearray = field(factory=bytearray, init=False)
    given: bytearray = field(factory=bytearray, init=False)
    packets: list[tuple[int, int, int]] = field(factory=list, init=False)
    """Octets given, octets sent and writes put so far, at each packet."""
    timeout: float = field(default=0, init=False)
    closed: bool = field(default=False, init=False)
    _room: int | None = field(default=None, init=False)
    _deaf: bool = field(default=False, init=False)

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 25

    getsockname = getpeername

    def version(self) -> str:
        return "TLSv1.3"

    def close(self) -> None:
        self.closed = True

    def send(self, octets: bytes | memoryview) -> int:
        self.tape.count()
        if self._deaf:
            raise BrokenPipeError(32, "Broken pipe")
        taken = bytes(octets[: self._room])
        if self._room is not None:
            self._room -= len(taken)
        if not taken and octets:
            raise BlockingIOError
        self.sent += taken
        return len(taken)

    def recv(self, most: int) -> bytes:
        self.tape.count()
        packet = self._packet()
        self.given += packet
        self.packets.append((len(self.given), len(self.sent), len(self.writes)))
        return packet

    def _packet(self) -> bytes:
        if self.ahead:
            return self.ahead.pop(0)
        packet, tape = b"", self.tape
        while len(packet) < CHUNK // 2:
            token = tape.next
            if token == TAKES:
                tape.at += 1
                self._room = 0 if tape.over else tape.next
            elif token == DEAF:
                self._deaf = True
            elif token in (ECHO, ECHO_DECODED):
                packet += self._echo(token, (bytes(self.given) + packet))
            elif token < CUT or token > DEAF:
                packet += CANNED.get(token, bytes([token]))
            elif packet:
                return packet
            elif token not in (CUT, PAUSE) or (token == PAUSE and not self.timeout):
                return self._fail(token)
            tape.at += 1
        return packet

    def _echo(self, token: int, before: bytes) -> bytes:
        """In a reply that says yes it is whole: nobody masks what comes after AUTH."""
        said = bytes(self.sent).rpartition(b"\r\n")[0].rpartition(b"\n")[2]
        if token == ECHO_DECODED:
            try:
                said = b64decode(said.rpartition(b" ")[2]).translate(None, b"\r\n")
            except ValueError:
                return b""
        line = before.rpartition(b"\n")[2]
        if line[:1] not in (b"2", b"3"):
            return said
        return said + b"\r\n" if line[3:4] == b" " else b""

    def _fail(self, token: int) -> bytes:
        if token in (PAUSE, SILENCE) and not self.timeout:
            raise BlockingIOError
        self.tape.at += 1
        if token == SILENCE:
            self.tape.now += self.timeout
            raise TimeoutError
        if token == RESET:
            raise ConnectionResetError(104, "Connection reset by peer")
        return b""

    # As its own selector, and as the context that makes it TLS

    def select(self, timeout: float) -> bool:
        self.tape.count()
        token = self.tape.next
        if not timeout:
            return token not in (PAUSE, SILENCE)
        if token in (PAUSE, SILENCE):
            self.tape.at += 1
        if token == SILENCE:
            self.tape.now += timeout
        self._room = None
        return token != SILENCE

    def modify(self, connection: Self, events: int) -> None:
        """Both directions are looked at, always."""


@define(eq=False)
class Context:
    """TLS that is a tape like any other."""

    def wrap_socket(self, plain: Plug, server_hostname: str) -> Plug:
        if plain.tape.next in (CLOSE, RESET):
            raise ConnectionResetError(104, "Connection reset by peer")
        return plain


@define
class TapedWire(Wire):
    """The wire, as it is, over a tape."""

    tape: Tape = field(kw_only=True)

    def connect(self) -> None:
        self._adopt(self.tape.plug())
        self.tell("connected")

    def _adopt(self, connection: Plug) -> None:  # type: ignore[override]
        self._socket = self._selector = connection  # type: ignore[assignment]

    def _exchange(self, group: Group) -> Sequence[Reply]:
        if not self._tally.ended:
            self.tape.plugs[-1].writes += group.writes
        return super()._exchange(group)

    def _take(self, stage: str) -> bool:
        taken, tally = super()._take(stage), self._tally
        # 421 may come again and again; nothing is read behind it
        assert len(tally._heard) <= len(self.tape.plugs[-1].writes) + CHUNK // 5
        assert len(tally.reader._buffer) <= MAX_LINE + CHUNK
        assert len(tally.reader._lines) <= MAX_LINES + 1
        assert sum(map(len, tally.reader._lines)) <= 4 * (MAX_REPLY + MAX_LINE)
        return taken
