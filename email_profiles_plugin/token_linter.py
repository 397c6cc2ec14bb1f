"""What an authorization server will not grant, or not for mail: the linter's part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from email_profiles_hookspecs import OAuth2Client

from .documents.sentences import Finding
from .documents.shapes import Place
from .presets import (
    MANY,
    PRESETS,
    Access,
    AuthorizationServer,
    Preset,
    server_of,
)
from .presets.catalogue import GOOGLE, MICROSOFT

_SCOPE: Place = ("auth", "scope")
_CLIENT: Place = ("auth", "client")
_INTERACTIVE: Place = ("auth", "interactive")
_PARAMS: Place = ("auth", "authorization_params")


def of_auth(
    auth: Mapping[str, Any], preset: Preset | None, client: OAuth2Client | None
) -> Iterator[Finding]:
    """What is wrong in the `auth` of mode oauth2; *preset*: the mail server's."""
    wanted = preset.access if preset is not None else None
    server = server_of_client(client) if client is not None else None
    if wanted is not None and server is not None and server is not wanted.server:
        yield Finding(
            _CLIENT,
            f"is of {server.name}, and this mail server takes tokens of "
            f"{wanted.server.name}",
            f"use an OAuth2 client of {wanted.server.name}",
        )
        return
    access = wanted or _access_of(server)
    interactive = auth.get("interactive") is True
    public = client is not None and client.token_endpoint_auth_method == "none"
    if public and not interactive:
        yield Finding(
            _INTERACTIVE,
            "is off, and the OAuth2 client is a public one (none), which has nothing "
            "of its own to get a token by",
            "switch it on, and let a person grant access; or give the client a secret",
        )
        return
    if access is None:
        return
    if not interactive and not access.application_scopes:
        yield from _nobody(access.server)
        return
    if client is not None and access.server.tenants:
        yield from _tenant(client, interactive)
    # A server of somebody's own may take tokens with scopes that we don't know.
    scopes = list(_scopes(auth))
    yield from _scope(scopes, access, interactive, known=wanted is not None)
    if interactive:
        if scopes:  # else the finding above has it
            yield from _offline(scopes, access)
        yield from _params(auth, access)


def _tenant(client: OAuth2Client, interactive: bool) -> Iterator[Finding]:
    """Whose tokens Microsoft would issue; the first part of the path."""
    tenant = _path(client.token_endpoint or client.issuer or "").partition("/")[0]
    if not interactive and tenant.lower() in MANY:
        yield Finding(
            _CLIENT,
            f"has the tenant {tenant} in its endpoints, which is nobody's own, as a "
            "client's own credentials need",
            "put your tenant's id or domain in the client's endpoints",
        )


def _nobody(server: AuthorizationServer) -> Iterator[Finding]:
    remedy = "switch it on, and let a person grant access once"
    if server is GOOGLE:
        remedy += "; or use a service account, by a plugin's mode"
    yield Finding(
        _INTERACTIVE,
        f"is off, and {server.name} gives no token for mail to a client's own secret",
        remedy,
    )


def _scope(
    scopes: list[str], access: Access, interactive: bool, *, known: bool
) -> Iterator[Finding]:
    """*known*: the mail server is the provider's, so that all its scopes are known."""
    right = access.scopes if interactive else access.application_scopes
    for scope in scopes:
        if f"{scope.lower()}/" in right:
            message = f"{_short(scope)} is an unusual form of {scope.lower()}/"
            yield Finding(
                _SCOPE, message, f"write {scope.lower()}/, as it is documented"
            )
            return
    if {one.lower() for one in scopes} & {one.lower() for one in right}:
        yield from _other_resource(scopes, access.server)
        return
    remedy = f"ask for {right[0]}"
    if interactive and access.offline:
        remedy += f" {access.offline}"
    for scope in scopes:
        if api := _api(scope, access.server):
            yield Finding(_SCOPE, f"{_short(scope)} is for {api}, not for SMTP", remedy)
            return
    if known:
        means = "a person's grant" if interactive else "a client's own credentials"
        yield Finding(_SCOPE, f"asks for nothing that SMTP takes with {means}", remedy)


def _other_resource(
    scopes: list[str], server: AuthorizationServer
) -> Iterator[Finding]:
    """Microsoft's tokens are for one API each; it refuses scopes of two."""
    for scope in scopes if server is MICROSOFT else ():
        if api := _api(scope, server):
            message = f"{_short(scope)} is for {api}, which can't go with SMTP's scope"
            yield Finding(_SCOPE, message, f"leave {_short(scope)} out")
            return


def _offline(scopes: list[str], access: Access) -> Iterator[Finding]:
    if access.offline and access.offline not in scopes:
        yield Finding(
            _SCOPE,
            f"lacks {access.offline}, without which there is no refresh token: access "
            "would have to be granted anew every hour or so",
            f"add {access.offline}",
        )


def _params(auth: Mapping[str, Any], access: Access) -> Iterator[Finding]:
    given = auth.get("authorization_params")
    given = given if isinstance(given, dict) else {}
    for name, value in access.authorization_params.items():
        if value not in str(given.get(name, "")).split():
            yield Finding(
                (*_PARAMS, name),
                f"is not {value}, without which {access.server.name} may grant "
                "access without a refresh token",
                f'set it to "{value}"',
            )


def _scopes(auth: Mapping[str, Any]) -> Iterator[str]:
    scope = auth.get("scope")
    yield from scope.split() if isinstance(scope, str) else ()


def _api(scope: str, server: AuthorizationServer) -> str:
    """What else of the provider *scope* is for; "" where that is not known."""
    lower = scope.lower()
    if server is GOOGLE and lower.startswith("https://www.googleapis.com/auth/gmail."):
        return "Gmail's API"
    if server is MICROSOFT and lower.startswith("https://graph.microsoft.com/"):
        return "Microsoft Graph"
    if server is MICROSOFT and lower in ("mail.send", "mail.send.shared", ".default"):
        return "Microsoft Graph"
    return ""


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."


def of_client(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong in an OAuth2 client of a server that is known."""
    for name, other in (
        ("token_endpoint", "authorization_endpoint"),
        ("authorization_endpoint", "token_endpoint"),
    ):
        url = document.get(name)
        server = server_of(url) if isinstance(url, str) else None
        if server is None or not isinstance(url, str):
            continue
        if _last(url) == _last(getattr(server, other)):
            yield Finding(
                (name,),
                f"is the {other.replace('_', ' ')} of {server.name}",
                f"set it to {getattr(server, name)}",
            )


def server_of_client(client: OAuth2Client) -> AuthorizationServer | None:
    """The authorization server of *client*, if it is known."""
    urls = (client.token_endpoint, client.issuer, client.authorization_endpoint)
    found = (server_of(url) for url in urls if url)
    return next((one for one in found if one is not None), None)


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.strip("/")
    except ValueError:
        return ""


def _last(url: str) -> str:
    """The last word of the path, which tells a server's endpoints apart."""
    return _path(url).rpartition("/")[2]


def _access_of(server: AuthorizationServer | None) -> Access | None:
    """What *server* has for mail, where the profile's mail server is not known."""
    found = (one.access for one in PRESETS if one.access is not None)
    return next((one for one in found if one.server is server), None)
