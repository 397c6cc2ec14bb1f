"""A server that says what a test tells it to, whether that is SMTP or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from attrs import define, field


@define(eq=False)
class Line:
    """One connection, as the script sees it."""

    socket: socket.socket
    heard: list[bytes]
    _buffer: bytearray = field(factory=bytearray, init=False)

    def say(self, text: str | bytes) -> None:
        """Send a reply (CRLF is added) or, given octets, just those."""
        octets = text if isinstance(text, bytes) else text.encode() + b"\r\n"
        self.socket.sendall(octets)

    def hear(self) -> bytes:
        """The next line, without its CRLF; EOFError when the client hung up."""
        while b"\n" not in self._buffer:
            octets = self.socket.recv(65536)
            if not octets:
                raise EOFError
            self._buffer += octets
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        self.heard.append(line.rstrip(b"\r"))
        return self.heard[-1]

    def hear_octets(self, count: int) -> bytes:
        """The next *count* octets, whatever is in them; EOFError as above."""
        while len(self._buffer) < count:
            octets = self.socket.recv(65536)
            if not octets:
                raise EOFError
            self._buffer += octets
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        return octets

    def hear_content(self) -> None:
        """All lines up to the final dot."""
        while self.hear() != b".":
            pass

    def greet(self, *extensions: str) -> None:
        """Greeting, EHLO and its answer."""
        self.say("220 scripted")
        self.hear()
        offered = ["scripted", *extensions]
        for text in offered[:-1]:
            self.say(f"250-{text}")
        self.say(f"250 {offered[-1]}")

    def accept(self) -> None:
        """MAIL, one RCPT and DATA, up to the 354; not the content."""
        for _ in range(2):
            self.hear()
            self.say("250 ok")
        self.hear()
        self.say("354 go")

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Become TLS, as the server."""
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def wait(self) -> bytes:
        """Say nothing until the client hangs up; what it said meanwhile."""
        while octets := self.socket.recv(65536):
            self._buffer += octets
        return bytes(self._buffer)


Script = Callable[[Line], None]


@define(eq=False)
class ScriptedServer:
    """
    Plays *script* with each client, on 127.0.0.1; a context manager.

    A script that returns ends its connection. What was heard is in `heard`, a list
    for each connection; `open` counts those that have not ended.
    """

    script: Script
    heard: list[list[bytes]] = field(factory=list, init=False)
    port: int = field(default=0, init=False)
    _listener: socket.socket = field(init=False)
    _threads: list[threading.Thread] = field(factory=list, init=False)
    _lines: list[Line] = field(factory=list, init=False)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in list(self._lines):
            with contextlib.suppress(OSError):
                line.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    @property
    def open(self) -> int:
        """How many connections have not ended."""
        return sum(thread.is_alive() for thread in self._threads[1:])

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = Line(connection, [])
            self.heard.append(line.heard)
            self._lines.append(line)
            self._start(self._serve, line)

    def _serve(self, line: Line) -> None:
        try:
            with contextlib.suppress(OSError, EOFError):
                self.script(line)
        finally:
            line.socket.close()
