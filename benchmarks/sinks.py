"""
Mail servers that accept everything and keep nothing, on loopback.

`postfix_sink` starts Postfix's smtp-sink, the yardstick: a C program that many have
measured against. It knows no CHUNKING, no TLS and no tokens, so `Sink` does: it answers
at once, and what comes in one packet is answered in one.
"""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

from loopback import HOST, LoopbackServer

BACKLOG = "100"
START_S = 5


@contextmanager
def postfix_sink() -> Iterator[int]:
    """The port of an smtp-sink; it is stopped at the end."""
    places = os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
    )
    program = shutil.which("smtp-sink", path=places)
    if program is None:
        raise SystemExit(
            "smtp-sink is not there; it comes with Postfix (Debian: package postfix)"
        )
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []  # as root it insists on one
    sink = subprocess.Popen([program, *user, f"{HOST}:{port}", BACKLOG])
    try:
        _await(sink, port)
        yield port
    finally:
        sink.terminate()
        sink.wait()


def _await(sink: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((HOST, port)).close()
            return
        except ConnectionRefusedError:
            if sink.poll() is not None or time.monotonic() > until:
                raise SystemExit("smtp-sink did not start") from None
            time.sleep(0.02)


class Sink(LoopbackServer):
    """
    Offers *extensions* in EHLO, and TLS from the start where there is a *context*.

    *messages* counts what was accepted; it is right while one session at a time sends.
    """

    def __init__(self, *extensions: str, context: ssl.SSLContext | None = None) -> None:
        super().__init__(Session)
        self.extensions = extensions
        self.context = context
        self.messages = 0

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self.context is not None:  # the handshake is the session's, in its thread
            connection = self.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address


class Session(socketserver.BaseRequestHandler):
    """One session; replies wait until all that was received is read."""

    request: socket.socket

    def handle(self) -> None:
        sink = cast(Sink, self.server)
        # Replies of a pipelined session must not wait for acknowledgements.
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.at = b"", 0
        self.replies = [b"220 sink ESMTP\r\n"]
        lines = ["sink", *sink.extensions]
        hello = [f"250-{line}\r\n" for line in lines[:-1]] + [f"250 {lines[-1]}\r\n"]
        self.hello = "".join(hello).encode()
        with suppress(EOFError):
            while self.command(self.line(), sink):
                pass
            self.flush()

    def command(self, line: bytes, sink: Sink) -> bool:
        """Answer one; false after the last."""
        verb, _, rest = line.partition(b" ")
        match verb.upper():
            case b"MAIL" | b"RCPT" | b"RSET" | b"NOOP":
                self.replies.append(b"250 2.0.0 Ok\r\n")
            case b"BDAT":
                size, _, last = rest.partition(b" ")
                self.skip(int(size))
                sink.messages += bool(last)
                self.replies.append(b"250 2.0.0 Ok\r\n")
            case b"DATA":
                self.replies.append(b"354 Go on\r\n")
                self.content()
                sink.messages += 1
                self.replies.append(b"250 2.0.0 Ok: queued as SINK\r\n")
            case b"EHLO" | b"HELO":
                self.replies.append(self.hello)
            case b"AUTH":
                if b" " not in rest:  # no initial response
                    self.replies.append(b"334 \r\n")
                    self.line()
                self.replies.append(b"235 2.7.0 Welcome\r\n")
            case b"QUIT":
                self.replies.append(b"221 2.0.0 Bye\r\n")
                return False
            case _:
                self.replies.append(b"502 5.5.2 Not here\r\n")
        return True

    def line(self) -> bytes:
        while (end := self.received.find(b"\n", self.at)) < 0:
            self.receive()
        line = self.received[self.at : end]
        self.at = end + 1
        return line.rstrip(b"\r")

    def skip(self, size: int) -> None:
        """The content of one BDAT."""
        while (there := len(self.received) - self.at) < size:
            size -= there
            self.at += there
            self.receive()
        self.at += size

    def content(self) -> None:
        """The content after DATA; it never begins with its end, as no client is mad."""
        while (end := self.received.find(b"\r\n.\r\n", self.at)) < 0:
            self.at = max(self.at, len(self.received) - 4)
            self.receive()
        self.at = end + 5

    def receive(self) -> None:
        """More octets behind those not read yet; before, what is to be said is said."""
        self.flush()
        more = self.request.recv(256 * 1024)
        if not more:
            raise EOFError
        self.received = self.received[self.at :] + more
        self.at = 0

    def flush(self) -> None:
        if self.replies:
            self.request.sendall(b"".join(self.replies))
            self.replies = []
