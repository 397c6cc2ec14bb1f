"""
An HTTPS listener on loopback: one request per connection, one thread each.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from attrs import field, frozen

SILENCE_LIMIT_S = 30
BODY_LIMIT = 1 << 20


@frozen(kw_only=True)
class Answer:
    """What goes back; status 0 closes the connection without a word."""

    status: int
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""


Respond = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""From method, target (path and query), headers and body to the answer."""


class HttpsListener(ThreadingHTTPServer):
    """
    Listens on 127.0.0.1 from `start` to `stop`.

    *respond* runs in the connection's thread; CancelledError from it closes the
    connection. TLS is begun there too, so that a silent client holds up nobody.
    """

    daemon_threads = False  # so that `stop` waits for them, and nothing leaks
    request_queue_size = 128

    def __init__(self, context: ssl.SSLContext, port: int, respond: Respond) -> None:
        self.context = context
        self.respond = respond
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="loopback HTTPS server",
            daemon=True,
        )

    def start(self) -> None:
        """Take connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, cut every connection, wait for the threads."""
        self.shutdown()
        self._thread.join()
        with self._guard:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def server_bind(self) -> None:
        """Bind, without the name look-up that HTTPServer makes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(SILENCE_LIMIT_S)
        with suppress(OSError, CancelledError):  # the client left, or distrusts us
            secured = self.context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
            with secured:
                with self._guard:
                    self._open.add(secured)
                try:
                    secured.do_handshake()
                    _Handler(secured, client_address, self)
                finally:
                    with self._guard:
                        self._open.discard(secured)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, BODY_LIMIT))
        headers = dict(self.headers.items())
        listener = cast("HttpsListener", self.server)
        answer = listener.respond(self.command, self.path, headers, body)
        if answer.status == 0:
            return
        self.send_response(answer.status)
        sent = {"Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the record of the authorization server is the log."""
