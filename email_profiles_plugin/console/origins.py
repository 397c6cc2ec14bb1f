"""Origins: where a request comes from, and by which name it reached us. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names that lead to this machine alone, whoever's DNS is asked."""

USUAL = {"http": 80, "https": 443}

_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*", re.ASCII)
_HOST = re.compile(r"(?P<name>[^:\[\]]+|\[[^\[\]]+\])(:(?P<port>[0-9]{1,5}))?")


def origin(url: str) -> str:
    """Scheme, host and port of *url* as browsers say them; "" where it has none."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in USUAL or not _NAME.fullmatch(host):
        return ""
    shown = f"[{host}]" if ":" in host else host
    if port in (None, USUAL[parts.scheme]):
        return f"{parts.scheme}://{shown}"
    return f"{parts.scheme}://{shown}:{port}"


def host_of(header: str) -> str:
    """The name in a Host header, in small letters, without the port; "" if none."""
    found = _HOST.fullmatch(header.strip().lower())
    name = found["name"].strip("[]").rstrip(".") if found else ""
    return name if _NAME.fullmatch(name) else ""


def allowed_hosts(base_url: str, more: Collection[str] = ()) -> frozenset[str]:
    """
    The names by which the console may be called.

    Any other is somebody else's, whose DNS leads a browser here (DNS rebinding).
    """
    own = (urlsplit(base_url).hostname or "").rstrip(".")
    return LOOPBACK | {own} | {name.lower() for name in more}


def is_own(headers: Mapping[str, str], base_url: str) -> bool:
    """
    Whether no other site made the browser write this.

    What is said of Origin and of Sec-Fetch-Site has to agree. A browser says at least
    one of them with a write; who says neither is none, and is told by other means.
    """
    came_from = headers.get("origin")
    site = headers.get("sec-fetch-site")
    if came_from == "null":  # by a Referrer-Policy, or from a sandbox
        return site == "same-origin"
    if came_from is not None and not _matches(came_from, headers, base_url):
        return False
    return site in (None, "same-origin", "none")


def _matches(came_from: str, headers: Mapping[str, str], base_url: str) -> bool:
    if origin(came_from) == origin(base_url) != "":
        return True
    host = headers.get("host", "")
    at_home = host_of(host) in LOOPBACK  # by another of this machine's names
    return at_home and origin(came_from) == origin(f"http://{host}") != ""
