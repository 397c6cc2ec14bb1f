"""What an access token says of itself, where it is a JWT (RFC 9068). Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from attrs import frozen

from email_profiles_hookspecs import jwt

from .. import masking

MOST = 50
"""Entries of a claim that are shown; of each the first words."""


@frozen(kw_only=True)
class Claims:
    """
    Claims as they stand in the token: nobody has verified them.

    What is missing, or of another type than RFC 7519 has, is empty or None. *roles*
    and *scopes* are what the token allows: `roles`; `scp` or `scope`.
    """

    issuer: str = ""
    subject: str = ""
    audience: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None


def read(token: str, secrets: Iterable[str] = ()) -> Claims | None:
    """The claims in *token*, *secrets* masked; None where it is no JWT."""
    found = jwt.read(token)
    if found is None:
        return None
    said, hidden = found[1], tuple(secrets)
    return Claims(
        issuer=_first(said.get("iss"), hidden),
        subject=_first(said.get("sub"), hidden),
        audience=_texts(said.get("aud"), hidden),
        roles=_texts(said.get("roles"), hidden),
        scopes=_texts(_split(said.get("scp") or said.get("scope")), hidden),
        expires_at=_moment(said.get("exp")),
    )


def _first(value: object, hidden: tuple[str, ...]) -> str:
    return masking.show(value, hidden) if isinstance(value, str) else ""


def _texts(value: object, hidden: tuple[str, ...]) -> tuple[str, ...]:
    """One text or a list of them, as `aud` may be either (RFC 7519, 4.1.3)."""
    given = value[:MOST] if isinstance(value, list) else [value]
    return tuple(
        masking.show(one, hidden) for one in given if isinstance(one, str) and one
    )


def _split(value: object) -> object:
    """Scopes with spaces between, or a list as some servers have it."""
    return value.split() if isinstance(value, str) else value


def _moment(value: object) -> datetime | None:
    """Seconds since 1970 (RFC 7519, 2) as an aware time, UTC."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
