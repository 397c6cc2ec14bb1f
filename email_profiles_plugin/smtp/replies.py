"""Bytes from a server become replies, however they are cut (RFC 5321, 4.2)."""

from __future__ import annotations

import re

from attrs import define, evolve, field

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import ProtocolError

MAX_LINE = 8 * 1024
"""Octets of one line; RFC 5321, 4.5.3.1.5 asks for 512, servers send more."""

MAX_LINES = 256
"""Lines of one reply: EHLO answers of real servers stay under 30."""

MAX_REPLY = 64 * 1024
"""Octets of one reply."""

CLOSING = 421
"""Answers its command and all that follow it (RFC 5321, 3.8)."""

MAX_SHOWN = 2000
"""Characters of a reply that are kept where nobody reads it but people."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")


def cut(reply: Reply) -> Reply:
    """The reply with as much of its text as people need."""
    if len(reply.text) <= MAX_SHOWN:
        return reply
    return evolve(reply, text=f"{reply.text[:MAX_SHOWN]}...")


def printable(octets: bytes) -> str:
    """Readable on any terminal: what is not printable is shown, never acted on."""
    text = octets.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _reply(code: int, lines: list[str]) -> Reply:
    """One reply; the enhanced status (RFC 2034) is taken off each line."""
    enhanced = ""
    match = _ENHANCED.match(lines[0])
    if match and match[1][0] == str(code)[0]:
        enhanced = match[1]
        lines = [line.removeprefix(enhanced).lstrip() for line in lines]
    return Reply(code=code, enhanced=enhanced, text="\n".join(lines))


@define
class ReplyReader:
    """
    Cuts a stream into replies.

    A line that can't belong to SMTP, a line or a reply without end, and codes that
    change within a reply raise ProtocolError with the stage that is set; *quiet*:
    without quoting what came.
    """

    stage: str = "greeting"
    quiet: bool = False
    _buffer: bytearray = field(factory=bytearray, init=False)
    _lines: list[str] = field(factory=list, init=False)
    _code: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)

    @property
    def idle(self) -> bool:
        """Nothing is left over; before a TLS handshake, anything left was injected."""
        return not self._buffer and not self._lines

    def feed(self, octets: bytes) -> None:
        """Take what came."""
        self._buffer += octets

    def next(self) -> Reply | None:
        """The next whole reply, or None until more octets come."""
        while (end := self._buffer.find(b"\n")) >= 0:
            if end > MAX_LINE:
                break
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            if self._take(line):
                reply = _reply(self._code, self._lines)
                self._lines, self._code, self._size = [], 0, 0
                return reply
        if len(self._buffer) > MAX_LINE:
            raise ProtocolError(self.stage, "the server sent a line without end")
        return None

    def _take(self, line: bytes) -> bool:
        """Add one line; true if it is the last of its reply."""
        match = _LINE.fullmatch(line)
        if match is None:
            shown = "" if self.quiet else f": {printable(line[:60])!r}"
            raise ProtocolError(self.stage, f"the server sent no SMTP reply{shown}")
        code = int(match[1])
        if self._code and code != self._code:
            raise ProtocolError(self.stage, "the codes within one reply differ")
        self._code = code
        self._lines.append(printable(match[3] or b""))
        self._size += len(line)
        if len(self._lines) > MAX_LINES or self._size > MAX_REPLY:
            raise ProtocolError(self.stage, "the server sent a reply without end")
        return match[2] != b"-"
