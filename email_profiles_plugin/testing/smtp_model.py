"""A server without a socket: octets in, replies out, to play all that can happen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

_ADDRESS = re.compile(rb"<([^>]*)>")


@frozen(kw_only=True)
class Plan:
    """How a message fares: a code for each step; recipients not named are taken."""

    mail: int = 250
    recipients: Mapping[str, int] = field(factory=dict)
    data: int = 354
    end: int = 250


@frozen(kw_only=True)
class Taken:
    """A message that the model accepted."""

    mail_from: str
    recipients: tuple[str, ...]
    octets: bytes


@define(kw_only=True, eq=False)
class SmtpModel:
    """
    Plays the server after EHLO, as RFC 5321, 2920 and 3030 have it.

    Messages are told apart by their MAIL FROM address: *plans* says how each fares.
    `feed` returns the replies to what has come whole; what was accepted is in
    `taken`. *close_after* octets the model says 421 to whatever it was about to read.
    """

    plans: Mapping[str, Plan] = field(factory=dict)
    close_after: int | None = None
    padding: int = 0
    """Octets by which each reply is longer than it has to be."""
    taken: list[Taken] = field(factory=list, init=False)
    closed: bool = field(default=False, init=False)
    replies: int = field(default=0, init=False)

    _buffer: bytes = field(default=b"", init=False)
    _read: int = field(default=0, init=False)
    _sender: str | None = field(default=None, init=False)
    _recipients: list[str] = field(factory=list, init=False)
    _in_data: bool = field(default=False, init=False)

    def feed(self, octets: bytes) -> list[bytes]:
        """The replies that *octets* bring, each with its CRLF."""
        if self.close_after is not None:
            octets = octets[: max(self.close_after - self._read, 0)]
        self._read += len(octets)
        self._buffer += octets
        said: list[bytes] = []
        while not self.closed and (code := self._next()) is not None:
            said.append(self._say(code))
        full = self.close_after is not None and self._read >= self.close_after
        if full and not self.closed:
            self.closed = True
            said.append(self._say(421))
        return said

    def _say(self, code: int) -> bytes:
        self.replies += 1
        return b"%d said%b\r\n" % (code, b"." * self.padding)

    def _next(self) -> int | None:
        """The code for the next thing that is here whole; None without."""
        if self._in_data:
            return self._data()
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return None
        words = line.split(b" ")
        verb = words[0].upper()
        if verb == b"BDAT":
            return self._chunk(words, rest)
        self._buffer = rest
        return self._perform(verb, line)

    def _perform(self, verb: bytes, line: bytes) -> int:
        address = _ADDRESS.search(line)
        given = address[1].decode() if address else ""
        if verb == b"RSET":
            self._forget()
            return 250
        if verb == b"MAIL":
            if self._sender is not None:
                return 503
            code = self._plan(given).mail
            self._sender = given if code == 250 else None
            return code
        if verb == b"RCPT" and self._sender is not None:
            code = self._plan(self._sender).recipients.get(given, 250)
            self._recipients += [given] if code == 250 else []
            return code
        if verb == b"DATA" and self._sender is not None and self._recipients:
            code = self._plan(self._sender).data
            self._in_data = code == 354
            return code
        return 503 if verb in (b"RCPT", b"DATA") else 500

    def _data(self) -> int | None:
        whole = b"\r\n" + self._buffer
        content, end, rest = whole.partition(b"\r\n.\r\n")
        if not end:
            return None
        self._buffer, self._in_data = rest, False
        return self._take((content + b"\r\n").replace(b"\r\n.", b"\r\n")[2:])

    def _chunk(self, words: Sequence[bytes], rest: bytes) -> int | None:
        size = int(words[1])
        if len(rest) < size:
            return None
        content, self._buffer = rest[:size], rest[size:]
        if not self._recipients:
            self._forget()
            return 503
        return self._take(content)

    def _take(self, content: bytes) -> int:
        assert self._sender is not None
        code = self._plan(self._sender).end
        if code == 250:
            recipients = tuple(self._recipients)
            self.taken.append(
                Taken(mail_from=self._sender, recipients=recipients, octets=content)
            )
        self._forget()
        return code

    def _plan(self, sender: str) -> Plan:
        return self.plans.get(sender, Plan())

    def _forget(self) -> None:
        self._sender, self._recipients = None, []
