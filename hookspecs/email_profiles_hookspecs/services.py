"""What a provider may use for one profile, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

from attrs import field, frozen

from .values import SecretRef

TokenState = Literal["none", "valid", "expiring", "expired", "needs grant", "error"]
TokenAction = Literal["refresh", "grant", "revoke", "device"]


@frozen(kw_only=True)
class HttpReply:
    """An HTTP answer, read whole: *headers* have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@frozen(kw_only=True)
class Token:
    """
    An access token; *expires_at* None: it does not expire.

    *generation* counts a profile's tokens; 0 on one that was only just fetched.
    """

    access_token: str = field(repr=False)
    expires_at: datetime | None = None
    refresh_token: str | None = field(default=None, repr=False)
    scope: str = ""
    account: str = ""
    generation: int = 0


@frozen(kw_only=True)
class Timing:
    """When a token is due, in seconds; the seed's rules for values of 0 and less."""

    access_token_timeout_s: int = 120
    default_access_token_expiration_s: int = 0
    refresh_before_expiration_s: int = 300


@frozen(kw_only=True)
class TokenStatus:
    """
    What the manage-token page shows; *error* is why there is no valid token.

    *withheld* may say why an action is not among *actions* now.
    """

    state: TokenState
    expires_at: datetime | None = None
    scope: str = ""
    account: str = ""
    generation: int = 0
    has_refresh_token: bool = False
    error: str = ""
    actions: tuple[TokenAction, ...] = ()
    withheld: Mapping[TokenAction, str] = field(factory=dict, hash=False)


@frozen(kw_only=True)
class OAuth2Client:
    """A registration at an authorization server, shared by profiles."""

    id: str
    revision: int
    name: str
    description: str = ""
    client_id: str
    client_secret: SecretRef | None = field(default=None, repr=False)
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    issuer: str | None = None
    token_endpoint_auth_method: str = "client_secret_basic"
    private_key: SecretRef | None = field(default=None, repr=False)
    certificate: str | None = None
    key_id: str | None = None
    algorithm: str = "RS256"
    assertion_audience: str | None = None
    ca_file: str | None = None
    connect_timeout_ms: int = 10_000
    request_timeout_ms: int = 30_000


Fetch = Callable[[Token | None, float], Token]
"""Get a new token, given the previous one (or None) and a deadline."""


class Clock(Protocol):
    """The time, so that tests can say what it is."""

    def now(self) -> datetime:
        """The time of day, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; deadlines are counted in it."""
        ...


class Http(Protocol):
    """HTTPS as a provider needs it: no redirects, no proxies by accident, bounded."""

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        auth: tuple[str, str] | None = None,
        ca_file: str | None = None,
        connect_timeout_s: float = 10,
        deadline: float,
    ) -> HttpReply:
        """
        Send one request and read the answer whole; HttpError when there is none.

        *auth* is HTTP Basic, both parts form-encoded first (RFC 6749, 2.3.1); without
        *ca_file* what the machine trusts is trusted; *deadline* is monotonic.
        """
        ...


class Secrets(Protocol):
    """Where secrets are read."""

    def read(self, reference: SecretRef) -> str:
        """The secret, opened or looked up now; SecretError when it can't be."""
        ...


class Clients(Protocol):
    """The OAuth2 clients that are stored."""

    def get(self, name: str) -> OAuth2Client:
        """The client called *name*; NotFound when there is none."""
        ...


class Tokens(Protocol):
    """
    One profile's token: when it is due, who refreshes it, where it is kept.

    Of many callers that need a token, one fetches it and the others wait for it.
    """

    def current(self, fetch: Fetch, deadline: float, timing: Timing) -> Token:
        """A valid token: the stored one, or what *fetch* brings."""
        ...

    def renew(self, fetch: Fetch, deadline: float) -> Token:
        """Fetch a new token although the stored one may still be good."""
        ...

    def grant(self, fetch: Fetch, deadline: float) -> Token:
        """As `renew`, after a person granted access: sessions of the old grant end."""
        ...

    def reject(self, generation: int) -> bool:
        """
        The server refused this generation; true if another may be had.

        It was the stored one, and is not offered again; or a newer one is stored, as
        another connection was refused first.
        """
        ...

    def status(self) -> TokenStatus:
        """What is known, without the token; never does I/O but on the store."""
        ...

    def forget(self) -> None:
        """Drop the token; the next one has to be fetched or granted."""
        ...

    def parse(self, reply: HttpReply) -> Token:
        """A token endpoint's answer as a token; GrantRefused where it says no."""
        ...


class Logger(Protocol):
    """As much of a standard logger as a provider needs."""

    def debug(self, msg: str, *args: object) -> None: ...
    def info(self, msg: str, *args: object) -> None: ...
    def warning(self, msg: str, *args: object) -> None: ...
    def error(self, msg: str, *args: object) -> None: ...


class Services(Protocol):
    """All that a provider may use, for one profile."""

    @property
    def clock(self) -> Clock: ...
    @property
    def http(self) -> Http: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def clients(self) -> Clients: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def logger(self) -> Logger: ...
