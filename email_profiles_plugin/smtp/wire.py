"""The only module that touches a socket: it plays dialogues over one connection."""

from __future__ import annotations

import contextlib
import errno
import queue
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic
from typing import Self, TypeVar

from attrs import define, field

from email_profiles_hookspecs import Reply, SmtpSettings
from email_profiles_hookspecs.errors import (
    ConnectFailed,
    Disconnected,
    ProtocolError,
    SubmissionError,
    TimedOut,
)

from ..addresses import a_labels
from . import tls
from .dialogue import Group, Move, StartTls, Tell, unheard
from .tally import Tally

T = TypeVar("T")
Address = tuple[int, int, int, str, tuple[str, int]]

CHUNK = 64 * 1024
"""Octets written or read at a time."""

SOON_S = 0.0001
"""Seconds within which a server on this machine, or next to it, has answered."""

SHARE_S = 1
"""Seconds that each of several addresses may take, while there is time."""

_KEEPALIVE = ("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)
"""Seconds idle, seconds between probes, probes; where the platform has them."""

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_NOTHING_YET = (*_WOULD_BLOCK, TimeoutError)


@define
class Wire:
    """
    A connection that plays dialogues; reads while it writes.

    *tell* is given each line of the session as a log may hold it. Every wait is
    bounded by the profile's timeouts and by *deadline* (monotonic seconds), whatever
    is sooner. After any error but a refusal the connection is of no more use.
    """

    settings: SmtpSettings
    context: ssl.SSLContext | None
    tell: Tell = unheard
    deadline: float = float("inf")

    _near: bool = field(default=True, init=False)
    """The server answers sooner than a thread that sleeps wakes up."""
    _socket: socket.socket = field(init=False)
    _tally: Tally = field(init=False)
    _selector: selectors.BaseSelector = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tally = Tally(lambda line: self.tell(line))

    @property
    def timeout(self) -> float:
        """The profile's timeout in seconds."""
        return self.settings.timeout_ms / 1000

    @property
    def host(self) -> str:
        """The server's name in A-labels, for the resolver and the certificate."""
        name = self.settings.hostname
        try:
            return name if name.isascii() else a_labels(name.removesuffix("."))
        except ValueError as error:
            raise ConnectFailed(
                "connect", f"{name} is no host name: {error}", "correct the hostname"
            ) from error

    @property
    def encrypted(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket)

    @property
    def loopback(self) -> bool:
        """The peer is this machine: what is said does not leave it."""
        return self._end(lambda: self._socket.getpeername()[0]).is_loopback

    def connect(self) -> None:
        """Connect, with TLS at once where the profile uses SSL/TLS."""
        until = min(self.deadline, monotonic() + self.timeout)
        addresses = self._resolve(until)
        failure: OSError | None = None
        for tried, address in enumerate(addresses):
            try:
                self._reach(address, until, len(addresses) - tried)
                break
            except OSError as error:
                self.close()
                failure = error
        else:
            raise self._unreachable(failure)
        self.tell(f"connected to {address[4][0]} port {address[4][1]}")
        if self.settings.use_ssl:
            self.secure()

    def secure(self) -> None:
        """Do the TLS handshake; anything received before it ends the session."""
        if not self._tally.quiet:
            raise ProtocolError("STARTTLS", "the server spoke between 220 and TLS")
        assert self.context is not None, "TLS was not asked for"
        until = min(self.deadline, monotonic() + self.timeout)
        plain, host = self._socket, self.host.removesuffix(".")
        self._selector.close()
        try:
            plain.settimeout(max(until - monotonic(), 0.001))
            wrapped = self.context.wrap_socket(plain, server_hostname=host)
            self._adopt(wrapped)
        except (OSError, ValueError) as error:
            self.close()
            raise tls.failed(error, self.settings) from error
        self.tell(f"{wrapped.version()} established")

    def play(self, dialogue: Generator[Move, Sequence[Reply], T]) -> T:
        """Run *dialogue* to its end and return its result."""
        try:
            move = next(dialogue)
            while True:
                if isinstance(move, StartTls):
                    self.secure()
                    move = next(dialogue)
                else:
                    move = dialogue.send(self._exchange(move))
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            dialogue.close()

    @property
    def address_literal(self) -> str:
        """Our end as EHLO may name it (RFC 5321, 4.1.3)."""
        address = self._end(lambda: self._socket.getsockname()[0])
        return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"

    def readable(self) -> bool:
        """
        The server said something unasked, or hung up; a look, no round trip.

        What TLS has to say for itself, such as a session ticket, is nothing.
        """
        if self._tally.quiet and self._selector.select(0):
            self._socket.settimeout(0)
            self._take("idle")
        return not self._tally.quiet

    def quit(self) -> None:
        """Say QUIT without waiting for the answer, and close."""
        with contextlib.suppress(OSError, ValueError):
            self._socket.settimeout(0)
            self._socket.send(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        """Close; harmless when closed, or never connected."""
        if hasattr(self, "_selector"):
            self._selector.close()
        if hasattr(self, "_socket"):
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _exchange(self, group: Group) -> Sequence[Reply]:
        """Write a group while reading; return when all its replies are there."""
        tally = self._tally
        if group.writes:
            tally.put(group)
        if tally.waits and (group.replies or group.flush):
            self._write(group)
        replies: list[Reply] = []
        while len(replies) < group.replies:
            if group.some and replies and not tally.heard:
                break
            replies.append(tally.answer(group) or self._hear(group))
        return replies

    def _write(self, group: Group) -> None:
        """Write all that was put; a fault is the tally's, to be raised in its turn."""
        self._tally.listen(group)
        left = memoryview(self._tally.leaving())
        since = 0.0
        self._socket.settimeout(0)
        try:
            while left and not self._tally.ended:
                try:
                    sent = self._socket.send(left[:CHUNK])
                except _WOULD_BLOCK:
                    since = since or monotonic()
                    self._take(group.stage)
                    self._wait_to_write(since + self.timeout, group.stage)
                    continue
                self._tally.left(sent)
                left, since = left[sent:], 0.0
        except SubmissionError as error:
            self._tally.failure = error
        except OSError as error:
            while self._take(group.stage):  # what it said before it hung up counts
                pass
            self._tally.failure = self._tally.failure or Disconnected(
                group.stage, f"the connection broke: {error}"
            )

    def _hear(self, group: Group) -> Reply:
        """Wait for the next reply; for the whole of it, however it drips."""
        patience = self.timeout
        if group.final:
            patience = self.settings.final_reply_timeout_ms / 1000
        began = now = monotonic()
        until = min(began + patience, self.deadline)
        reply = self._soon(group, began) if self._near else None
        while reply is None and now < until:
            self._socket.settimeout(until - now)
            self._take(group.stage)
            reply = self._tally.answer(group)
            now = monotonic()
        if reply is None:
            raise TimedOut(group.stage, "the server did not answer in time")
        self._near = now - began < 2 * SOON_S
        return reply

    def _soon(self, group: Group, began: float) -> Reply | None:
        """Look a few times before falling asleep: waking up takes longer than that."""
        self._socket.settimeout(0)
        reply = None
        while reply is None and monotonic() - began < SOON_S:
            self._take(group.stage)
            reply = self._tally.answer(group)
        return reply

    def _take(self, stage: str) -> bool:
        """Read what is there, or comes in time; false if nothing, or a fault."""
        try:
            octets = self._socket.recv(CHUNK)
            why = "the server closed the connection"
        except _NOTHING_YET as error:
            if error.errno != errno.ETIMEDOUT:  # that is the network's word, not ours
                return False
            octets, why = b"", "the peer is gone"
        except OSError as error:
            octets, why = b"", f"the connection broke: {error}"
        if not octets:
            self._tally.failure = Disconnected(stage, why)
            return False
        self._tally.take(octets)
        return True

    def _wait_to_write(self, until: float, stage: str) -> None:
        """Until the server takes more, or has said something."""
        events = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.modify(self._socket, events)
        left = min(until, self.deadline) - monotonic()
        ready = left > 0 and self._selector.select(left)
        self._selector.modify(self._socket, selectors.EVENT_READ)
        if not ready:
            raise TimedOut(stage, "the server took no more octets in time")

    def _end(self, look: Callable[[], str]) -> IPv4Address | IPv6Address:
        """The address of an end of the connection, if that is still there."""
        try:
            return ip_address(look().partition("%")[0])
        except OSError as error:
            raise Disconnected(
                self._tally.reader.stage, f"the connection broke: {error}"
            ) from error

    def _reach(self, address: Address, until: float, sharing: int) -> None:
        """Connect to one of the addresses that are *sharing* the time left."""
        left = until - monotonic()
        self._socket = connection = socket.socket(*address[:3])
        connection.settimeout(max(left / sharing, min(left, SHARE_S), 0.001))
        connection.connect(address[4])
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if option := getattr(socket, name, None):
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
        self._adopt(connection)

    def _adopt(self, connection: socket.socket) -> None:
        self._socket = connection
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)
        connection.setblocking(False)

    def _resolve(self, until: float) -> list[Address]:
        """Look the name up in a thread: getaddrinfo can't be interrupted."""
        found: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()
        host, port = self.host, self.settings.port

        def look() -> None:
            try:
                found.put(
                    socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[arg-type]
                )
            except Exception as error:
                found.put(OSError(str(error)))

        try:
            threading.Thread(target=look, name="resolver", daemon=True).start()
            answer = found.get(timeout=max(until - monotonic(), 0.001))
        except queue.Empty:
            raise TimedOut(
                "connect", "the name server did not answer in time"
            ) from None
        except RuntimeError as error:  # no thread to be had
            answer = OSError(str(error))
        if isinstance(answer, OSError):
            raise ConnectFailed(
                "connect",
                f"{self.settings.hostname} is not found: {answer}",
                "correct the hostname, or look at the name server",
            )
        return answer

    def _unreachable(self, error: OSError | None) -> SubmissionError:
        where = f"{self.settings.hostname} port {self.settings.port}"
        if isinstance(error, TimeoutError):
            return TimedOut(
                "connect", f"{where} did not answer in time", "a firewall may be silent"
            )
        return ConnectFailed(
            "connect", f"{where}: {error}", "look at the port, and whether it is open"
        )
