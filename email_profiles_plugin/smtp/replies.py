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

MOST_KNOWN = 32
"""Replies that are remembered, to be read faster when they come again."""

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
    enhanced, first = "", lines[0]
    match = _ENHANCED.match(first) if first[1:2] == "." else None
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
    _buffer: bytes = field(default=b"", init=False, repr=False)
    _at: int = field(default=0, init=False)
    """Where in the buffer the next line begins."""
    _known: dict[bytes, Reply] = field(factory=dict, init=False, repr=False)
    """Replies of one line that came before: a server has few of them."""
    _lines: list[str] = field(factory=list, init=False, repr=False)
    _code: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)

    @property
    def idle(self) -> bool:
        """Nothing is left over; before a TLS handshake, anything left was injected."""
        return self._at == len(self._buffer) and not self._lines

    def feed(self, octets: bytes) -> None:
        """Take what came."""
        self._buffer = self._buffer[self._at :] + octets
        self._at = 0

    def next(self) -> Reply | None:
        """The next whole reply, or None until more octets come."""
        buffer = self._buffer
        while (end := buffer.find(b"\n", self._at)) >= 0:
            if end - self._at > MAX_LINE:
                break
            line = buffer[self._at : end].removesuffix(b"\r")
            self._at = end + 1
            if not self._lines and (known := self._known.get(line)) is not None:
                return known
            if self._take(line):
                reply = _reply(self._code, self._lines)
                if len(self._lines) == 1 and len(self._known) < MOST_KNOWN:
                    self._known[line] = reply
                self._lines, self._code, self._size = [], 0, 0
                return reply
        if len(buffer) - self._at > MAX_LINE:
            raise ProtocolError(self.stage, "the server sent a line without end")
        return None

    def _take(self, line: bytes) -> bool:
        """Add one line; true if it is the last of its reply."""
        match = _LINE.fullmatch(line)
        if match is None:
            shown = "" if self.quiet else f": {printable(line[:60])!r}"
            raise ProtocolError(self.stage, f"the server sent no SMTP reply{shown}")
        digits, more, text = match.groups(b"")
        code = int(digits)
        if self._code and code != self._code:
            raise ProtocolError(self.stage, "the codes within one reply differ")
        self._code = code
        self._lines.append(printable(text) if text else "")
        self._size += len(line)
        if len(self._lines) > MAX_LINES or self._size > MAX_REPLY:
            raise ProtocolError(self.stage, "the server sent a reply without end")
        return more != b"-"
