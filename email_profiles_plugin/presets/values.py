"""What is known of a provider of mail, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import field, frozen

Mode = Literal["basic", "oauth2"]
Security = Literal["SSL/TLS", "STARTTLS", "none"]

USERNAME = "USERNAME"
HOSTNAME = "HOSTNAME"
REGION = "REGION"
TENANT = "TENANT"
CLIENT_ID = "CLIENT-ID"
PLACEHOLDERS = (USERNAME, HOSTNAME, REGION, TENANT, CLIENT_ID)
"""Stand where only a person knows what belongs there; all are valid in their places."""


def _copy(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(value)


@frozen
class Port:
    """A port, and how TLS begins on it."""

    number: int
    security: Security

    def __str__(self) -> str:
        kind = self.security
        return f"{self.number} {'without TLS' if kind == 'none' else f'with {kind}'}"


@frozen(kw_only=True)
class AuthorizationServer:
    """
    Where tokens for a provider's mail come from.

    `{tenant}` in an endpoint stands for a tenant; *tenant* is the usual one. An
    endpoint is None where there is none, or where nothing certain is known.
    """

    name: str
    authorization_endpoint: str
    token_endpoint: str
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    token_endpoint_auth_method: str = "client_secret_post"
    issuers: tuple[str, ...] = ()
    """Other hosts by which it is known."""
    tenants: bool = False

    def recognises(self, url: str) -> bool:
        """Whether *url* is an endpoint of it, or its issuer."""
        host = host_of(url)
        return host != "" and host in (host_of(self.token_endpoint), *self.issuers)


@frozen(kw_only=True)
class Access:
    """
    What to ask an authorization server for, to send by SMTP.

    *scopes*: any one of them will do where a person grants access; *offline* has to
    go with it for a refresh token. *application_scopes*: likewise for the client's
    own credentials; none: there are no tokens for mail that way. The first is what
    a preset asks for.
    """

    server: AuthorizationServer
    scopes: tuple[str, ...]
    offline: str = ""
    application_scopes: tuple[str, ...] = ()
    authorization_params: Mapping[str, str] = field(factory=dict, converter=_copy)
    tenant: str = ""
    """The usual tenant of a person's grant."""


@frozen(kw_only=True, eq=False)
class Preset:
    """
    A provider of mail: what a profile for it says, and what it must not say.

    *hostname* may hold `{region}`; *regions* have host names of their own. *ports*,
    *modes*: the first is the usual one. *username*: the one that everybody has.
    *basic_ended*: since when, or from when on, passwords are refused. *leads*: what
    is told of it without a confirmation by the provider.
    """

    name: str
    title: str
    hostname: str
    ports: tuple[Port, ...]
    modes: tuple[Mode, ...]
    hosts: tuple[str, ...] = ()
    """Patterns of other host names by which it is known."""
    aliases: tuple[str, ...] = ()
    regions: Mapping[str, str] = field(factory=dict, converter=_copy)
    username: str = ""
    username_form: Literal["any", "address", "no address"] = "any"
    username_is: str = "the mailbox's address"
    password_is: str = "the password"
    access: Access | None = None
    refuses_oauth2: bool = False
    basic_ended: str = ""
    limits: Mapping[str, int] = field(factory=dict, converter=_copy)
    binds_from: Literal["never", "application", "always"] = "never"
    """Where a profile is to name the addresses that it may send as."""
    notes: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    confirmed: bool = True
    """The provider's own pages, or code that runs against it, say so."""
    sources: tuple[str, ...] = ()

    def recognises(self, hostname: str) -> bool:
        """Whether *hostname* is one of this provider's mail servers."""
        name = hostname.lower().removesuffix(".")
        known = [self.hostname.replace("{region}", "*"), *self.regions.values()]
        return any(fnmatchcase(name, one) for one in (*known, *self.hosts))


def host_of(url: str) -> str:
    """The host in *url*; "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
