"""Results of a client's test as pages show them, and keep them: without any token."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..client_trial import ClientReport
from ..oauth.claims import Claims
from ..oauth.grants import Granted
from .moments import readable

GRANTS = {
    "client_credentials": "the client's own credentials",
    "authorization_code": "access that a person granted",
    "refresh_token": "the refresh token",
}
"""What each grant asks a token for, in words."""


def told(report: ClientReport) -> dict[str, Any]:
    """*report* as JSON has it: what was asked for, names and values, what to do."""
    rows = [
        ("HTTP status", "no answer" if report.status is None else str(report.status))
    ]
    if report.code:
        rows.append(("Error code", report.code))
    if report.granted is not None:
        rows += _of_token(report.granted)
    return {
        "asked": GRANTS[report.grant],
        "passed": report.passed,
        "rows": [[name, value] for name, value in rows],
        "error": report.error,
        "remedy": report.remedy,
    }


def _of_token(granted: Granted) -> Iterator[tuple[str, str]]:
    seconds = granted.expires_in
    yield "Token type", granted.token_type or "not told"
    yield "Expires in", "not told" if seconds is None else f"{seconds} seconds"
    if granted.expires_at is not None:
        yield "Expires at", readable(granted.expires_at)
    yield "Scopes", " ".join(granted.scopes) or "not told"
    yield "Refresh token", "yes" if granted.has_refresh_token else "none"
    yield "Access token", "a JWT, not verified" if granted.claims else "opaque"
    if granted.claims is not None:
        yield from _of_claims(granted.claims)


def _of_claims(claims: Claims) -> Iterator[tuple[str, str]]:
    """What the token says of itself; what is not in it is left out."""
    found: tuple[tuple[str, str | tuple[str, ...] | datetime | None], ...] = (
        ("Audience", claims.audience),
        ("Issuer", claims.issuer),
        ("Subject", claims.subject),
        ("Roles", claims.roles),
        ("Scopes in it", claims.scopes),
        ("Expires, it says", claims.expires_at),
    )
    for name, value in found:
        if isinstance(value, datetime):
            yield name, readable(value)
        elif value:
            yield name, value if isinstance(value, str) else ", ".join(value)
