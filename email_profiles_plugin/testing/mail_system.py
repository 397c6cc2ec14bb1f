"""
Real servers, joined: Postfix, Dovecot, and what they need around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from attrs import define, evolve, field

from .authorization_server import AuthorizationServer
from .certificates import CertificateAuthority
from .dovecot import Dovecot
from .postfix import Listener, Postfix, Trace, every_listener
from .smtp_server import Delivered, SmtpServer


@define(kw_only=True, eq=False)
class MailSystem:
    """
    A mail system on loopback, from `start` to `stop`; a context manager.

    Postfix takes mail from whoever Dovecot knows: `users` by their passwords, and
    users of `authorization_server` by their access tokens. What Postfix has taken it
    hands on to `mailbox`, from where `read` gets it as it was submitted. It is up in
    a tenth of a second.

    `start` raises ServiceMissing where Postfix or Dovecot are not installed, or this
    is not root.
    """

    certificate_authority: CertificateAuthority
    users: Mapping[str, str] = field(factory=dict, repr=False)
    listeners: Mapping[str, Listener] = field(factory=every_listener)
    authorization_server: AuthorizationServer = field(init=False)
    mailbox: SmtpServer = field(factory=SmtpServer, init=False)
    dovecot: Dovecot = field(init=False)
    postfix: Postfix = field(init=False)
    _running: ExitStack = field(factory=ExitStack, init=False, repr=False)

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

    def start(self) -> None:
        """Run all of it; what has started is stopped if something can't."""
        with ExitStack() as starting:
            self.authorization_server = starting.enter_context(
                AuthorizationServer(self.certificate_authority)
            )
            starting.enter_context(self.mailbox)
            self.dovecot = starting.enter_context(
                Dovecot(
                    authorization_server=self.authorization_server,
                    users=dict(self.users),
                )
            )
            self.postfix = starting.enter_context(
                Postfix(
                    certificate_authority=self.certificate_authority,
                    next_hop_port=self.mailbox.port,
                    auth_socket=self.dovecot.auth_socket,
                    listeners=self.listeners,
                )
            )
            self._running = starting.pop_all()

    def stop(self) -> None:
        """Stop all of it, and remove what it kept in folders."""
        self._running.close()

    @property
    def ports(self) -> Mapping[str, int]:
        """Postfix's, by the names of `listeners`."""
        return self.postfix.ports

    def read(self, message_id: str, timeout: float = 10) -> Delivered:
        """
        The message of that Message-ID, once it is in the mailbox.

        With the octets that were submitted, and the identity and TLS of whoever
        submitted them; the recipients are in an order of Postfix's own. TimeoutError
        after *timeout* seconds.
        """
        wanted = f"Message-ID: {message_id}\r\n".lower().encode()

        def arrived() -> list[Delivered]:
            return [one for one in self.mailbox.messages if wanted in head(one)]

        self.mailbox.wait_until(lambda _: bool(arrived()), timeout)
        delivered = arrived()[0]
        trace = Trace.of(delivered.octets)
        return evolve(
            delivered, octets=trace.octets, identity=trace.identity, tls=trace.tls
        )


def head(delivered: Delivered) -> bytes:
    """The message's header, in small letters."""
    return delivered.octets.partition(b"\r\n\r\n")[0].lower() + b"\r\n"
