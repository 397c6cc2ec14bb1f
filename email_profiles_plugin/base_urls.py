"""Base URLs: where browsers reach the console, checked before anything is opened."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from .addresses import a_labels, shown
from .documents.hosts import host_mistake

PAGES = frozenset(
    {
        "access",
        "api",
        "audit",
        "clients",
        "oauth2",
        "outbox",
        "plugins",
        "profiles",
        "sign-in",
        "sign-out",
        "static",
        "tests",
    }
)
"""What paths within the console begin with: a base path that does would hide them."""

_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)*")


def base_url(text: str) -> str:
    """
    The base URL that is meant by *text*: without a slash at its end, ASCII alone.

    ValueError, with a sentence for the user, for anything else.
    """
    try:
        parts = urlsplit(text.rstrip("/"))
        return _checked(text, parts)
    except ValueError as error:
        raise ValueError(
            f"{shown(text)} is no base URL ({error}): say https://host/path"
        ) from None


def _checked(text: str, parts: SplitResult) -> str:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it has to begin with https:// or http:// and a host")
    if re.search(r"[\s\\%?#@]", text) or not text.isprintable():
        raise ValueError("no space, %, \\, ?, # or @ may be in it")
    if parts.port == 0:
        raise ValueError("there is no port 0")
    host = parts.hostname
    if not host.isascii():
        host = a_labels(host)
    if wrong := host_mistake(host):
        raise ValueError(f"its host {wrong[0]}")
    if not _PATH.fullmatch(parts.path):
        raise ValueError("its path may have letters, digits, -, ., _ and ~")
    first = parts.path.split("/")[1:2]
    if PAGES.intersection(first):
        raise ValueError(f"the console has pages of its own at /{first[0]}")
    where = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{where}{port}{parts.path}"
