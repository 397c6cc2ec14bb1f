"""
An SMTP server on loopback, for tests and for the demo; it keeps what it is given.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Literal, Self

from attrs import define, field, frozen

from .gate import Gate


@frozen(kw_only=True)
class Delivered:
    """
    One message as it arrived.

    `octets` is the content with dots unstuffed and CRLF kept; `mail_from` is empty
    for the null sender; `identity` is who authenticated; `tls` is whether the
    content came over TLS; `queue_id` is the id in the reply.
    """

    mail_from: str
    recipients: tuple[str, ...]
    octets: bytes = field(repr=False)
    identity: str | None
    tls: bool
    queue_id: str

    @property
    def message(self) -> EmailMessage:
        """The content, parsed."""
        return email.message_from_bytes(self.octets, policy=email.policy.default)


@define(kw_only=True, eq=False)
class SmtpServer:
    """
    A server on 127.0.0.1, in a thread of its own; a context manager.

    Whatever is set below may be changed while it runs, and counts from the next
    command on; `tls`, `size_limit` and `smtputf8` count from the next connection.
    After `stop`, `start` listens on the same port again.
    """

    tls: Literal["none", "starttls", "implicit"] = "none"
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    """Needed unless `tls` is none."""
    users: MutableMapping[str, str] | None = field(default=None, repr=False)
    """Password by user name. None, and no `accept_token`: AUTH is not offered."""
    accept_token: Callable[[str, str], bool] | None = None
    """
    Whether (username, token) is good; in a worker thread. Raising means 454.
    """
    mechanisms: Sequence[str] | None = None
    """What to offer, in this order. None: all that `users`, `accept_token` allow."""
    auth_required: bool = True
    """530 to mail from whoever hasn't authenticated, if AUTH is offered at all."""
    auth_before_tls: bool = False
    """Offer AUTH before STARTTLS too, as a badly set up server does."""
    auth_line_limit: int = 12288
    """Octets that an AUTH command may have; Dovecot takes about 1,000."""
    refuse: MutableMapping[str, str] = field(factory=dict)
    """Reply by recipient, such as `550 5.1.1 no such user`."""
    refuse_sender: MutableMapping[str, str] = field(factory=dict)
    """Reply by MAIL FROM address."""
    replies: MutableMapping[str, str] = field(factory=dict)
    """
    Reply by verb, instead of performing the command; `CONNECT` is the greeting.

    A reply that begins with 421 closes the connection, here and everywhere. Of BDAT,
    the octets are read first.
    """
    data_reply: str | None = None
    """The answer to the content; unless it begins with 2, nothing is delivered."""
    auth_reply: str | None = None
    """The answer at the end of an AUTH exchange, whatever was said in it."""
    size_limit: int | None = 32 * 1024 * 1024
    """Octets, offered as SIZE."""
    pipelining: bool = True
    chunking: bool = False
    """
    Offer CHUNKING and take BDAT (RFC 3030): all that is set here for DATA counts.

    The octets of a chunk that is refused are read all the same, and the rest of its
    transaction is 503. Off, BDAT is 502 and what follows it is taken for commands.
    """
    smtputf8: bool = True
    before_reply: Callable[[str, str], str | None] | None = None
    """
    Called with the verb and the reply, in the server's loop: must not block.

    What it returns is sent instead; None closes the connection. The verb is
    `CONNECT` for the greeting and `.` for the answer to the content, which is to the
    last chunk if it came by BDAT. A refusal in place of the 354, or of a 250 to a
    chunk, counts as one.
    """
    hostname: str = "localhost"
    port: int = 0
    """0: a free one, known once it has started."""

    host: str = field(default="127.0.0.1", init=False)
    hold: Gate = field(factory=Gate, init=False, repr=False)
    """Closed, it keeps back the answer to the content, which is delivered already."""
    messages: list[Delivered] = field(factory=list, init=False, repr=False)
    commands: list[str] = field(factory=list, init=False, repr=False)
    """The verbs in order, of all sessions."""
    lines: list[str] = field(factory=list, init=False, repr=False)
    """The commands whole; what AUTH carries is masked."""
    sessions: int = field(default=0, init=False)
    """Connections accepted so far, whatever became of them."""
    open_sessions: int = field(default=0, init=False)
    """Connections open now; over implicit TLS, once the handshake is done."""
    peak_sessions: int = field(default=0, init=False)
    """The most that were open at one time."""

    _changed: threading.Condition = field(
        factory=threading.Condition, init=False, repr=False
    )
    _connections: set[Any] = field(factory=set, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _shut: Callable[[], object] | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.tls != "none" and self.ssl_context is None:
            raise ValueError(f"tls={self.tls!r} needs an ssl_context")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def offered_mechanisms(self) -> tuple[str, ...]:
        """The mechanisms that EHLO offers once TLS allows it."""
        from .smtp_authentication import PASSWORD_MECHANISMS, TOKEN_MECHANISMS

        possible = (
            *(PASSWORD_MECHANISMS if self.users is not None else ()),
            *(TOKEN_MECHANISMS if self.accept_token is not None else ()),
        )
        wanted = possible if self.mechanisms is None else self.mechanisms
        return tuple(m for m in wanted if m in possible)

    def start(self) -> None:
        """Listen; `port` is known when this returns. OSError if it can't."""
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)),
            name="loopback SMTP server",
            daemon=True,
        )
        self._thread.start()
        self.port = listening.result(timeout=30)

    def stop(self) -> None:
        """Cut every connection and stop listening; what it was given stays here."""
        if self._thread is None:
            return
        if self._shut is not None:
            with suppress(RuntimeError):  # the loop ended by itself
                self._shut()
        self._thread.join(timeout=30)
        self._thread = self._shut = None

    def wait_for(self, count: int, timeout: float = 10) -> list[Delivered]:
        """All messages, once there are *count*; TimeoutError after *timeout* s."""
        self.wait_until(lambda server: len(server.messages) >= count, timeout)
        return list(self.messages)

    def wait_until(
        self, condition: Callable[[SmtpServer], bool], timeout: float = 10
    ) -> None:
        """
        Return once *condition* holds, asked again whenever a record changes.

        TimeoutError after *timeout* seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                raise TimeoutError(
                    f"not in {timeout} s: {len(self.messages)} messages, "
                    f"{self.open_sessions} of {self.sessions} sessions open"
                )

    async def _serve(self, listening: Future[int]) -> None:
        from .smtp_session import SmtpSession

        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        self._shut = lambda: loop.call_soon_threadsafe(stopping.set)
        try:
            listener = await loop.create_server(
                lambda: SmtpSession(self, loop), self.host, self.port, backlog=128
            )
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(listener.sockets[0].getsockname()[1])
        await stopping.wait()
        listener.close()
        for connection in self._connections:
            connection.abort()
        self._connections.clear()
        # asyncio.run turns the loop until the aborted transports have closed

    # What the sessions report

    def note_connection(self, connection: Any) -> None:
        """A connection was accepted."""
        with self._changed:
            self.sessions += 1
            self._connections.add(connection)
            self._changed.notify_all()

    def note_opened(self, connection: Any) -> None:
        """A session begins: the greeting comes next."""
        with self._changed:
            self.open_sessions += 1
            self.peak_sessions = max(self.peak_sessions, self.open_sessions)
            self._changed.notify_all()

    def note_closed(self, connection: Any) -> None:
        """A session has ended."""
        with self._changed:
            self.open_sessions -= 1
            self._connections.discard(connection)
            self._changed.notify_all()

    def note_command(self, verb: str, line: str) -> None:
        """A command has come; *line* holds no secret."""
        with self._changed:
            self.commands.append(verb)
            self.lines.append(line)
            self._changed.notify_all()

    def note_delivered(
        self, envelope: Any, identity: str | None, tls: bool, queue_id: str
    ) -> None:
        """A message has come whole and is accepted."""
        delivered = Delivered(
            mail_from="" if envelope.mail_from == "<>" else envelope.mail_from,
            recipients=tuple(envelope.rcpt_tos),
            octets=envelope.original_content,
            identity=identity,
            tls=tls,
            queue_id=queue_id,
        )
        with self._changed:
            self.messages.append(delivered)
            self._changed.notify_all()
