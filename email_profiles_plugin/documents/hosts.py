"""Host names, endpoints and TLS versions as documents write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

PROTOCOLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
"""The TLS versions that a profile may name, oldest first."""

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LOCAL = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x1f\x7f-\x9f]+")
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')
_SPELLINGS = {name.lower(): name for name in PROTOCOLS} | {"tlsv1.0": "TLSv1"}


def is_address(host: str) -> bool:
    """Whether *host* is an IP address, without brackets."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine: localhost, 127.0.0.0/8 or ::1."""
    name = host.lower().removesuffix(".")
    if is_address(name):
        return ip_address(name).is_loopback
    return name == "localhost"


def host_mistake(host: str) -> tuple[str, str] | None:
    """
    What is wrong with *host* as a host name or IP address, and the remedy, if any.

    International names are taken as they are written (RFC 5891, UTS 46); an
    underscore, as private networks have it, is no mistake.
    """
    if is_address(host):
        return None
    if "://" in host:
        return "has to be a host name, not a URL", "leave out what is before the host"
    if host.startswith("["):
        return "has to be an address without brackets", ""
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and ":" not in name:
        return "has to be a host name without a port", "the port has its own property"
    return None if _is_name(host) else ("is not a host name or IP address", "")


def _is_name(host: str) -> bool:
    import idna

    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return False
    name = host.removesuffix(".")
    if len(name) > 253 or name.rpartition(".")[2].isdecimal():
        return False  # a last label of digits is a mistyped IP address
    return all(_LABEL.fullmatch(label) for label in name.split("."))


def address_mistake(text: str) -> str:
    """
    What is wrong with *text* as an address or a domain; "" where nothing is.

    Only the bare address counts (RFC 5321, 4.1.2), without a name around it.
    """
    local, at, domain = text.rpartition("@")
    if at and text.endswith(">"):
        return "has to be the bare address, without a name and angle brackets"
    if at and not (_LOCAL.fullmatch(local) or _QUOTED_LOCAL.fullmatch(local)):
        return "is not an address: look at what is before the @"
    if host_mistake(domain):
        return "is not an address or a domain"
    if is_address(domain):
        return "has to be an address or a domain, not an IP address"
    return ""


def endpoint_mistake(url: str, *, query: bool = True) -> tuple[str, str] | None:
    """
    What is wrong with *url* as an endpoint, and the remedy, if any.

    https only, plain http to loopback; no fragment (RFC 6749, 3.1), no credentials.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        return "is not a URL", ""
    if not host or host_mistake(host) or port == 0 or re.search(r"[\s\\]", url):
        return "is not a URL", "write it whole: https://host/path"
    return _endpoint_rule(parts, host, query)


def _endpoint_rule(
    parts: SplitResult, host: str, query: bool
) -> tuple[str, str] | None:
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        return "has to be an https address", "http is only for this machine itself"
    if parts.username is not None or parts.password is not None:
        return "may not hold a user name or password", ""
    if parts.fragment:
        return "may not have a fragment (#...)", ""
    if parts.query and not query:
        return "may not have a query (?...)", ""
    return None


def protocols_from_text(text: str) -> list[str]:
    """
    The TLS versions in *text*, which commas separate, as forms and imports give them.

    Knows the names in any case; what it does not know it keeps, for validation.
    """
    named = [part.strip() for part in text.split(",")]
    return [_SPELLINGS.get(name.lower(), name) for name in named if name]


def gap(protocols: Sequence[object]) -> tuple[str, ...]:
    """The TLS versions that are missing between the oldest and newest of these."""
    used = [place for place, name in enumerate(PROTOCOLS) if name in protocols]
    if not used:
        return ()
    return tuple(
        PROTOCOLS[place]
        for place in range(used[0], used[-1])
        if PROTOCOLS[place] not in protocols
    )
