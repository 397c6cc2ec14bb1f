"""A TCP server on a free loopback port, for the time of a `with` block."""

from __future__ import annotations

import socketserver
import sys
import threading
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"


class LoopbackServer(socketserver.ThreadingTCPServer):
    """Each connection gets a thread; none of them keeps the process alive."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__((HOST, 0), handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up without QUIT, which is their right; anything else shows."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()
