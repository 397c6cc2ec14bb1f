"""
The rules of documents that a schema can't say: across fields, and about hosts.

Each rule looks only at what has the right type: the rest is the schema's to report.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeGuard

from . import keys
from .hosts import (
    PROTOCOLS,
    address_mistake,
    endpoint_mistake,
    gap,
    host_mistake,
    is_address,
    is_loopback,
)
from .sentences import Finding
from .shapes import Place, Schema, is_secret, visit

_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
)

_DEPTH = 32
_HUGE = 10**40


def of_profile(
    document: Mapping[str, Any], auth_schema: Schema | None
) -> Iterator[Finding]:
    """What an email profile breaks; *auth_schema* None: its mode is not known."""
    smtp, auth = _object(document, "smtp"), _object(document, "auth")
    yield from text(document)
    yield from _hosts(smtp)
    yield from _protocols(smtp.get("ssl_protocols"))
    yield from _from_addresses(_object(document, "policy"))
    if auth.get("mode") == "basic":
        yield from _password_alone(auth)
    if auth_schema is not None:
        yield from _in_clear(smtp, auth, auth_schema)


def _hosts(smtp: Mapping[str, Any]) -> Iterator[Finding]:
    hostname = smtp.get("hostname")
    if _is_text(hostname) and (mistake := host_mistake(hostname)):
        yield Finding(("smtp", "hostname"), *mistake)
    name = smtp.get("helo_name")
    if not _is_text(name):
        return
    if name.startswith("[") and name.endswith("]"):
        literal = name[1:-1].removeprefix("IPv6:")
        if not is_address(literal):
            yield Finding(("smtp", "helo_name"), "is not an address literal")
    elif is_address(name):
        remedy = f"write it in brackets: [{'IPv6:' if ':' in name else ''}{name}]"
        yield Finding(
            ("smtp", "helo_name"), "has to be a host name or address literal", remedy
        )
    elif mistake := host_mistake(name):
        yield Finding(("smtp", "helo_name"), *mistake)


def _protocols(protocols: object) -> Iterator[Finding]:
    place: Place = ("smtp", "ssl_protocols")
    if not isinstance(protocols, list):
        return
    if all(name in PROTOCOLS for name in protocols) and (missing := gap(protocols)):
        yield Finding(
            place,
            f"leaves out {', '.join(missing)}: it has to be a range without gaps",
            "list every version from the oldest to the newest",
        )


def _from_addresses(policy: Mapping[str, Any]) -> Iterator[Finding]:
    entries = policy.get("from_addresses")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if _is_text(entry) and (mistake := address_mistake(entry)):
            yield Finding(("policy", "from_addresses", index), mistake)


def _password_alone(auth: Mapping[str, Any]) -> Iterator[Finding]:
    if auth.get("password") is not None and auth.get("username") is None:
        yield Finding(
            ("auth", "username"),
            "is required where there is a password",
            "add the username, or leave out the password for no authentication",
        )


def _in_clear(
    smtp: Mapping[str, Any], auth: Mapping[str, Any], auth_schema: Schema
) -> Iterator[Finding]:
    """Credentials need TLS, loopback, or (never a bearer token) permission."""
    hostname = smtp.get("hostname")
    if smtp.get("use_ssl") is True or smtp.get("use_starttls") is True:
        return
    if not _is_text(hostname) or is_loopback(hostname):
        return
    if _bears_token(auth, auth_schema):
        yield Finding(
            ("smtp",),
            "would send an access token in clear",
            "set use_starttls, usually with port 587, or use_ssl, usually with 465",
        )
    elif _has_credentials(auth, auth_schema) and (
        smtp.get("allow_plaintext_auth") is not True
    ):
        yield Finding(
            ("smtp",),
            "would send credentials in clear",
            "set use_starttls, usually with port 587, or use_ssl, usually with 465; "
            "or, where everyone on the way may read them, allow_plaintext_auth",
        )


def _has_credentials(auth: Mapping[str, Any], auth_schema: Schema) -> bool:
    if auth.get("mode") != "basic":
        return True
    return any(is_secret(spot.schemas) for spot in visit(auth, auth_schema))


def _bears_token(auth: Mapping[str, Any], auth_schema: Schema) -> bool:
    """Whether the mode is oauth2, or refers to an OAuth2 client as oauth2 does."""
    return auth.get("mode") == "oauth2" or any(
        one.get("x-references") == "oauth2_client"
        for spot in visit(auth, auth_schema)
        for one in spot.schemas
    )


def of_client(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What an OAuth2 client's document breaks."""
    yield from text(document)
    for name in _ENDPOINTS:
        url = document.get(name)
        if _is_text(url) and (mistake := endpoint_mistake(url)):
            yield Finding((name,), *mistake)
    issuer = document.get("issuer")
    if _is_text(issuer) and (mistake := endpoint_mistake(issuer, query=False)):
        yield Finding(("issuer",), *mistake)
    if document.get("token_endpoint") is None and issuer is None:
        yield Finding(
            ("token_endpoint",),
            "is required where there is no issuer",
            "give the token endpoint, or the issuer to look it up",
        )
    if (
        document.get("token_endpoint_auth_method") == "private_key_jwt"
        and document.get("private_key") is None
    ):
        yield Finding(("private_key",), "is required for private_key_jwt")


def of_request(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What a send request's JSON form breaks; the message's own rules come later."""
    yield from text(document)
    moment = document.get("not_after")
    if _is_text(moment) and not _is_moment(moment):
        yield Finding(
            ("not_after",),
            "is not a date and time with its time zone",
            "for example 2026-11-23T08:00:00Z",
        )
    attachments = document.get("attachments")
    for index, one in enumerate(attachments if isinstance(attachments, list) else ()):
        data = one.get("data") if isinstance(one, dict) else None
        if isinstance(data, str) and not _is_base64(data):
            yield Finding(("attachments", index, "data"), "is not base64")


def _is_moment(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False


def _is_base64(value: str) -> bool:
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        return False
    return True


def text(document: object) -> Iterator[Finding]:
    """Strings, names too, that are no text: half a surrogate pair, or NUL."""
    waiting: list[tuple[Place, object]] = [((), document)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            if mistake := _not_text(value):
                yield Finding(place, mistake)
        elif isinstance(value, list):
            waiting.extend(((*place, key), each) for key, each in enumerate(value))
        elif isinstance(value, dict):
            for key, each in value.items():
                waiting.append(((*place, str(key)), each))
                if mistake := _not_text(str(key)):
                    yield Finding((*place, str(key)), f"its name {mistake}")


def excess(document: object) -> Iterator[Finding]:
    """What no validator should see, whose messages print it: too deep, too long."""
    waiting: list[tuple[Place, object]] = [((), document)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, int) and abs(value) >= _HUGE:
            yield Finding(place, "is a number of more than 40 digits")
        elif not isinstance(value, dict | list):
            continue
        elif len(place) == _DEPTH:
            yield Finding(place, "is nested too deeply")
        elif isinstance(value, list):
            waiting.extend(((*place, key), each) for key, each in enumerate(value))
        else:
            waiting.extend(((*place, str(key)), each) for key, each in value.items())


def _not_text(value: str) -> str:
    if "\0" in value:
        return "holds a NUL character"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "holds half of a surrogate pair, which is not text"
    return ""


def warnings_of_profile(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What is allowed, and most likely not meant."""
    smtp, auth = _object(document, "smtp"), _object(document, "auth")
    use_ssl, starttls = smtp.get("use_ssl") is True, smtp.get("use_starttls") is True
    port = smtp.get("port", 25)
    if use_ssl and starttls:
        yield Finding(
            ("smtp", "use_starttls"),
            "is ignored: the connection is TLS from the start (use_ssl)",
            "set one of the two",
        )
    if port == 465 and not use_ssl:
        yield Finding(
            ("smtp", "port"), "465 is usually SSL/TLS from the start", "set use_ssl"
        )
    if port == 587 and use_ssl:
        yield Finding(
            ("smtp", "port"),
            "587 usually starts in clear",
            "set use_starttls instead of use_ssl",
        )
    if smtp.get("verify_certificate") is False:
        yield Finding(
            ("smtp", "verify_certificate"),
            "is off: anyone on the way can pose as the mail server",
            "give the authority that signed its certificate as ca_file",
        )
    if auth.get("mode") == "basic" and auth.get("username") is not None:
        yield from _no_password(auth)


def _no_password(auth: Mapping[str, Any]) -> Iterator[Finding]:
    # No mistake: imports bring none, and set-secret comes after apply.
    if auth.get("password") is None:
        yield Finding(
            ("auth", "password"),
            "is not set, so nobody can sign in",
            "set it, or leave out the username too for no authentication",
        )


def warnings_of_client(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What is allowed, and most likely not meant."""
    method = document.get("token_endpoint_auth_method", "client_secret_basic")
    if method in ("client_secret_basic", "client_secret_post") and (
        document.get("client_secret") is None
    ):
        yield Finding(
            ("client_secret",),
            f"is not set, and {method} needs it",
            "set it, or choose none for a public client",
        )
    yield from keys.of_client(document)


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""
