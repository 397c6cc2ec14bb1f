"""
One client's connection to the loopback SMTP server, on aiosmtpd.

aiosmtpd plays the protocol; here are the parts that it has no option for, and those
where it would forget a message that a client has handed over.
"""

from __future__ import annotations

import asyncio
import binascii
from asyncio.sslproto import SSLProtocol
from base64 import b64decode, b64encode
from collections import defaultdict
from contextlib import suppress
from functools import partial
from logging import getLogger
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import Session, TLSSetupException

from . import smtp_authentication as authentication
from .smtp_content import ContentRefused, ContentSession
from .smtp_hooks import SessionHooks

if TYPE_CHECKING:
    from .smtp_server import SmtpServer

log = getLogger(__name__)

LINE_LIMIT = 512  # RFC 5321, 4.5.3.1.4
AUTH_RESPONSE_LIMIT = 12288  # RFC 4954, 4
GO_AHEAD = "354 End data with <CR><LF>.<CR><LF>"


class Aborted(Exception):
    """The client gave an exchange up with `*`."""


class SmtpSession(ContentSession):
    """Plays what *server* is set to, reading its settings anew at every command."""

    line_length_limit = 2**16  # what the reader holds; tokens come in one line

    def __init__(self, server: SmtpServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        super().__init__(
            SessionHooks(server),
            hostname=server.hostname,
            ident="ESMTP",
            data_size_limit=server.size_limit,
            enable_SMTPUTF8=server.smtputf8,
            tls_context=server.ssl_context if server.tls == "starttls" else None,
            auth_require_tls=False,
            loop=loop,
        )
        self.line_length_limit = 1001  # from here on, what a line of DATA may have
        # aiosmtpd keeps these limits on the class, and widens them at every EHLO
        self.command_size_limits = defaultdict(lambda: LINE_LIMIT)
        self.command_size_limits["AUTH"] = server.auth_line_limit
        self._smtp_methods = {
            verb: partial(self._perform, verb, method)
            for verb, method in self._smtp_methods.items()
        }
        self.verb, self.said = "CONNECT", ""
        self._accepted: asyncio.BaseTransport | None = None
        self._established = False
        self.identity: str | None = None

    # Methods, not properties: aiosmtpd looks at every member before there is a session

    def is_secure(self) -> bool:
        """Whether what is said now is said over TLS."""
        return self._tls_protocol is not None or self.server.tls == "implicit"

    def login(self) -> Session:
        """What aiosmtpd knows of the client; made anew by STARTTLS."""
        assert self.session is not None
        return self.session

    def offered_mechanisms(self) -> tuple[str, ...]:
        """What EHLO offers now."""
        server = self.server
        hidden = server.tls == "starttls" and not (
            self.is_secure() or server.auth_before_tls
        )
        return () if hidden else server.offered_mechanisms

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._accepted is None:
            self._accepted = transport
            self.server.note_connection(self)
            if self.server.tls == "implicit":
                self._start_tls(transport)
                return
        super().connection_made(transport)
        self.identity = None  # STARTTLS forgets it (RFC 3207, 4.2)
        if not self._established:
            self._established = True
            self.server.note_opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        transport = self.transport
        super().connection_lost(error)
        if transport is not None:
            transport.close()  # or the TLS one warns that it is unclosed
        if self._established:
            self._established = False
            self.server.note_closed(self)

    def eof_received(self) -> bool:
        """
        Read what has come before the end: it was handed over.

        aiosmtpd would drop it, where a real server delivers.
        """
        self._reader.feed_eof()
        return not self.is_secure()

    def abort(self) -> None:
        """Cut the connection, whatever state it is in."""
        if isinstance(self._accepted, asyncio.WriteTransport):
            self._accepted.abort()

    def _start_tls(self, transport: asyncio.BaseTransport) -> None:
        context = self.server.ssl_context
        assert context is not None
        waiter: Any = None  # nobody waits: the greeting follows the handshake
        protocol: Any = SSLProtocol(self.loop, self, context, waiter, server_side=True)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    async def _leave(self) -> None:
        """Close the connection; never returns."""
        if self.transport is not None:
            self.transport.close()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
        await asyncio.sleep(0)

    # Commands and replies

    async def _perform(self, verb: str, method: Any, arg: str | None) -> None:
        self.verb = verb
        shown = arg
        if verb == "AUTH" and arg and " " in arg:
            shown = f"{arg.split()[0]} ***"
        self.server.note_command(verb, f"{verb} {shown}" if shown else verb)
        reply = self.server.replies.get(verb)
        if reply is None or (verb == "BDAT" and self.server.chunking):
            with suppress(ContentRefused):
                await method(arg)
        else:
            await self.push(reply)

    async def push(self, status: str | bytes | None) -> None:
        if status is None:  # the client is gone
            return
        reply: str | None = status if isinstance(status, str) else status.decode()
        if self.verb == "CONNECT":
            reply = self.server.replies.get("CONNECT", reply)
        if reply is not None and self.server.before_reply is not None:
            reply = self.server.before_reply(self.verb, reply)
        if reply is None:
            await self._leave()
            return
        self.said = reply
        self._writer.write(reply.encode("utf-8", "surrogateescape") + b"\r\n")
        await self._writer.drain()
        if reply.startswith("421"):
            await self._leave()
        if self.verb == "DATA" and status == GO_AHEAD:
            if not reply.startswith("3"):
                raise ContentRefused
            self.verb = "."

    async def handle_exception(self, error: Exception) -> str:
        if isinstance(error, asyncio.IncompleteReadError):
            await self._leave()
        if not isinstance(error, TLSSetupException):
            log.error("the loopback SMTP server failed", exc_info=error)
        return "451 4.3.0 Error in the test server"

    async def check_auth_needed(self, caller_method: str) -> bool:
        server = self.server
        if not server.auth_required or not server.offered_mechanisms:
            return False
        if self.login().authenticated or caller_method == "HELP":
            return False
        await self.push("530 5.7.0 Authentication required")
        return True

    # Authentication

    async def smtp_AUTH(self, arg: str | None) -> None:
        words = (arg or "").split()
        if await self.check_helo_needed("EHLO"):
            return
        if self.login().authenticated:
            await self.push("503 5.5.1 Already authenticated")
        elif not self.server.offered_mechanisms:
            await self.push("502 5.5.1 AUTH not implemented")
        elif not self.offered_mechanisms():
            await self.push("538 5.7.11 Encryption required for authentication")
        elif len(words) not in (1, 2):
            await self.push("501 5.5.4 Syntax: AUTH mechanism [initial-response]")
        elif words[0].upper() not in self.offered_mechanisms():
            await self.push("504 5.5.4 Unrecognized authentication mechanism")
        else:
            await self._authenticate_client(words[0].upper(), words[1:])

    async def _authenticate_client(self, mechanism: str, initial: list[str]) -> None:
        identity: str | None = None
        try:
            identity = await self._exchange(mechanism, initial)
            reply = "235 2.7.0 Authentication successful"
        except authentication.Refused:
            reply = "535 5.7.8 Authentication credentials invalid"
        except authentication.Malformed as error:
            reply = f"501 5.5.2 {error}"
        except Aborted:
            reply = "501 5.7.0 Authentication aborted"
        except (asyncio.IncompleteReadError, ConnectionError):
            raise
        except Exception as error:
            log.info("the token check failed", exc_info=error)
            reply = "454 4.7.0 Temporary authentication failure"
        reply = self.server.auth_reply or reply
        self.login().authenticated = reply.startswith("2")
        self.identity = identity
        await self.push(reply)

    async def _exchange(self, mechanism: str, initial: list[str]) -> str:
        exchange = authentication.open_exchange(
            mechanism, self.server.users or {}, self._accept_token
        )
        challenge = await self._advance(exchange, None)
        if initial:
            if mechanism in authentication.SERVER_FIRST:
                raise authentication.Malformed(f"{mechanism}: the server goes first")
            first = "" if initial[0] == "=" else initial[0]
            challenge = await self._advance(exchange, _decode(first.encode()))
        while isinstance(challenge, bytes):
            challenge = await self._advance(exchange, await self._ask(challenge))
        return challenge

    def _accept_token(self, username: str, token: str) -> bool:
        accept = self.server.accept_token
        return accept is not None and accept(username, token)

    async def _advance(
        self, exchange: authentication.Exchange, response: bytes | None
    ) -> bytes | str:
        """The next challenge, or who the client is; in a thread, for it may block."""

        def advance() -> bytes | str:
            try:
                return next(exchange) if response is None else exchange.send(response)
            except StopIteration as end:
                return str(end.value)

        return await asyncio.to_thread(advance)

    async def _ask(self, challenge: bytes) -> bytes:
        await self.push(f"334 {b64encode(challenge).decode()}")
        try:
            line: bytes = (await self._reader.readuntil()).rstrip(b"\r\n")
        except asyncio.LimitOverrunError:
            line = b"*"
            await self.push("421 4.7.0 Line too long")
        if line == b"*":
            raise Aborted
        if len(line) > AUTH_RESPONSE_LIMIT:
            raise authentication.Malformed("the line is too long")
        return _decode(line)


def _decode(line: bytes) -> bytes:
    try:
        return b64decode(line, validate=True)
    except binascii.Error as error:
        raise authentication.Malformed("not base64") from error
