"""
A long line in front of a loopback server.

`Delay` forwards what it is given after half a round trip, each way, in the chunks in
which it came. The handshake of TCP, which loopback does at once, is modelled: the
server sees a client's first octets one and a half round trips after it connected, and
the client the server's greeting after two. Bandwidth, slow start and loss are not
modelled; time alone is.

Threads that sleep are used, not an event loop, whose timers are a millisecond late.
"""

from __future__ import annotations

import queue
import socket
import socketserver
import threading
import time
from contextlib import suppress
from typing import cast

from loopback import HOST, LoopbackServer

CHUNK = 1 << 20


class Delay(LoopbackServer):
    """A server that is *round_trip* seconds away from *port*."""

    def __init__(self, port: int, round_trip: float) -> None:
        super().__init__(Line)
        self.target = port
        self.round_trip = round_trip


class Line(socketserver.BaseRequestHandler):
    """One connection: four threads, of which two receive and two deliver."""

    request: socket.socket

    def handle(self) -> None:
        connected = time.monotonic()
        delay = cast(Delay, self.server)
        trip = delay.round_trip
        with socket.create_connection((HOST, delay.target)) as server:
            for end in (self.request, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there = Direction(self.request, server, trip / 2, connected + 1.5 * trip)
            back = Direction(server, self.request, trip / 2, connected + 2 * trip)
            threads = there.start() + back.start()
            for thread in threads:
                thread.join()


class Direction:
    """From *source* to *target*, *delay* seconds later; nothing before *earliest*."""

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        delay: float,
        earliest: float,
    ) -> None:
        self.source, self.target = source, target
        self.delay, self.earliest = delay, earliest
        self.under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def start(self) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self.receive, self.deliver)
        ]
        for thread in threads:
            thread.start()
        return threads

    def receive(self) -> None:
        octets = b"there is more"
        while octets:
            try:
                octets = self.source.recv(CHUNK)
            except OSError:
                octets = b""
            due = max(time.monotonic() + self.delay, self.earliest)
            self.under_way.put((due, octets))

    def deliver(self) -> None:
        with suppress(OSError):  # who hung up gets no more
            while True:
                due, octets = self.under_way.get()
                time.sleep(max(0, due - time.monotonic()))
                if not octets:
                    self.target.shutdown(socket.SHUT_WR)
                    return
                self.target.sendall(octets)
