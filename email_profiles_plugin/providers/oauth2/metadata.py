"""An authorization server's metadata (RFC 8414, OpenID Connect Discovery). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

LONGEST = 200
"""Characters of an issuer that are shown."""


def places(issuer: str) -> Iterator[str]:
    """RFC 8414, 3.1; then where OpenID Connect has it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    well_known = "/.well-known/oauth-authorization-server"
    yield f"{parts.scheme}://{parts.netloc}{well_known}{path}"
    yield f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in *body*; an empty one where there is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
