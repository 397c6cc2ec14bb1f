"""
SASL mechanisms: frozen values, each with one pure generator (RFC 4422).

`respond` yields what the client says and is sent what the server says, both decoded.
It yields None first when the server has to speak first; an empty initial response
is `b""`. When the server says 235 the core sends None, and the generator has to end:
one that wants to go on has not seen the server's proof, and the session is closed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Generator
from typing import Protocol

from attrs import field, frozen

from .errors import SaslError

MOST_ITERATIONS = 1_000_000
"""Of SCRAM's hash; more would keep a processor busy for whoever asks for it."""

_ITERATIONS = re.compile(r"(?:^|,)i=([0-9]{1,18})")

Exchange = Generator[bytes | None, bytes | None, None]


class Sasl(Protocol):
    """One mechanism with what it needs, good for any number of exchanges."""

    @property
    def mechanism(self) -> str:
        """The name by which a server offers it, in capitals."""
        ...

    def respond(self) -> Exchange:
        """Play one exchange; no I/O."""
        ...


@frozen
class Plain:
    """PLAIN (RFC 4616): the password in one message; needs TLS around it."""

    username: str
    password: str = field(repr=False)

    @property
    def mechanism(self) -> str:
        return "PLAIN"

    def respond(self) -> Exchange:
        if "\0" in self.username + self.password:
            raise SaslError("a user name or password can't hold NUL")
        yield f"\0{self.username}\0{self.password}".encode()


@frozen
class Login:
    """LOGIN: user name and password, each when the server asks; needs TLS."""

    username: str
    password: str = field(repr=False)

    @property
    def mechanism(self) -> str:
        return "LOGIN"

    def respond(self) -> Exchange:
        yield None
        yield self.username.encode()
        yield self.password.encode()


@frozen
class CramMd5:
    """CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge."""

    username: str
    password: str = field(repr=False)

    @property
    def mechanism(self) -> str:
        return "CRAM-MD5"

    def respond(self) -> Exchange:
        challenge = yield None
        digest = hmac.new(self.password.encode(), challenge or b"", "md5").hexdigest()
        yield f"{self.username} {digest}".encode()


@frozen
class ScramSha256:
    """SCRAM-SHA-256 (RFC 7677): neither side shows the password, both prove it."""

    username: str
    password: str = field(repr=False)
    nonce: Callable[[], str] | None = field(default=None, repr=False)

    @property
    def mechanism(self) -> str:
        return "SCRAM-SHA-256"

    def respond(self) -> Exchange:
        from scramp import ScramClient, ScramException

        try:
            client = ScramClient(
                ["SCRAM-SHA-256"],
                self.username,
                self.password,
                c_nonce=self.nonce() if self.nonce else None,
            )
            challenge = yield client.get_client_first().encode()
            first = (challenge or b"").decode()
            if (asked := _ITERATIONS.search(first)) and int(asked[1]) > MOST_ITERATIONS:
                raise SaslError(f"SCRAM-SHA-256: {asked[1]} iterations are too many")
            client.set_server_first(first)
            challenge = yield client.get_client_final().encode()
            if challenge is None:
                raise SaslError("the server said yes without proving itself")
            client.set_server_final(challenge.decode())
        except (ScramException, UnicodeDecodeError) as error:
            raise SaslError(f"SCRAM-SHA-256: {error}") from error
        yield b""


@frozen
class XOAuth2:
    """XOAUTH2: a bearer token, as Google and Microsoft take it."""

    username: str
    token: str = field(repr=False)

    @property
    def mechanism(self) -> str:
        return "XOAUTH2"

    def respond(self) -> Exchange:
        refusal = yield f"user={self.username}\1auth=Bearer {self.token}\1\1".encode()
        if refusal is not None:
            yield b""  # the challenge is the reason; an empty answer brings the 535


@frozen
class OAuthBearer:
    """OAUTHBEARER (RFC 7628): a bearer token, with the server it is meant for."""

    username: str
    token: str = field(repr=False)
    hostname: str = ""
    port: int = 0

    @property
    def mechanism(self) -> str:
        return "OAUTHBEARER"

    def respond(self) -> Exchange:
        name = self.username.replace("=", "=3D").replace(",", "=2C")
        server = f"\1host={self.hostname}\1port={self.port}" if self.hostname else ""
        refusal = yield f"n,a={name},{server}\1auth=Bearer {self.token}\1\1".encode()
        if refusal is not None:
            yield b"\1"  # RFC 7628, 3.2.3


def password_offers(
    username: str,
    password: str,
    mechanism: str = "automatic",
    nonce: Callable[[], str] | None = None,
) -> tuple[Sasl, ...]:
    """
    The ways to prove a password, best first; one only where *mechanism* names it.

    Automatic: SCRAM-SHA-256, then PLAIN, LOGIN and CRAM-MD5.
    """
    offers: tuple[Sasl, ...] = (
        ScramSha256(username, password, nonce),
        Plain(username, password),
        Login(username, password),
        CramMd5(username, password),
    )
    if mechanism == "automatic":
        return offers
    return tuple(offer for offer in offers if offer.mechanism == mechanism)
