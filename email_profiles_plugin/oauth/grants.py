"""A token endpoint's answers (RFC 6749, 5). Pure: values in, values out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from email_profiles_hookspecs import HttpReply, Token
from email_profiles_hookspecs.errors import GrantRefused, HttpError

from ..masking import quote

LONGEST_S = 100 * 365 * 86_400
"""Seconds; an expires_in beyond it is taken for this."""

REMEDIES = {
    "invalid_client": "look at the OAuth2 client's id and secret, and at how it "
    "authenticates",
    "invalid_grant": "grant access anew",
    "invalid_request": "look at the client's authentication method, and at the "
    "additional parameters",
    "invalid_scope": "look at the profile's scope",
    "unauthorized_client": "allow this client the grant, at the authorization server",
    "unsupported_grant_type": "look at the token endpoint's address",
    "access_denied": "look at what the authorization server allows this client",
    "temporarily_unavailable": "try again later",
}
"""What to do, by error code (RFC 6749, 5.2 and 4.1.2.1)."""


def parse(reply: HttpReply, now: datetime, sent: Iterable[str] = ()) -> Token:
    """
    The token in *reply*; GrantRefused where the server says no, else HttpError.

    `expires_at` is None where the server doesn't say. What was *sent* is masked in
    whatever an error quotes, and so is all that looks like a token.
    """
    from oauthlib.oauth2 import OAuth2Error
    from oauthlib.oauth2.rfc6749.parameters import parse_token_response

    answer = _object(reply, sent)
    if error := answer.pop("error", None):
        raise _refused(error, answer.get("error_description"), sent)
    if reply.status >= 300:
        raise _unusable(reply, "an error without a reason", sent)
    lifetime = _seconds(answer.pop("expires_in", None))
    answer.pop("expires_at", None)
    try:
        parsed = parse_token_response(json.dumps(answer))
    except (OAuth2Error, TypeError, ValueError, AttributeError) as error:
        raise _unusable(reply, "no access token", ()) from error
    access_token = parsed["access_token"]
    if not _printable(access_token):
        raise _unusable(reply, "an access token that is none", ())
    refresh_token = parsed.get("refresh_token")
    return Token(
        access_token=access_token,
        expires_at=None if lifetime is None else now + timedelta(seconds=lifetime),
        refresh_token=refresh_token if _printable(refresh_token) else None,
        scope=" ".join(parsed.get("scope") or ()),
    )


def _object(reply: HttpReply, sent: Iterable[str]) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _unusable(reply, "no JSON object", sent, whole=True)
    return answer


def _unusable(
    reply: HttpReply, what: str, sent: Iterable[str], whole: bool = False
) -> HttpError:
    """*whole*: the body is no JSON object, so its first words may say what it is."""
    message = f"the authorization server answered {reply.status} with {what}"
    if 300 <= reply.status < 400:
        return HttpError(message, "redirects are not followed: correct the address")
    words = quote(reply.body.decode("utf-8", "replace"), sent, 100)
    if words and (whole or reply.status >= 300):
        message += f" ({words})"
    return HttpError(message, "look at the token endpoint's address, and at the server")


def _refused(error: object, description: object, sent: Iterable[str]) -> GrantRefused:
    code = quote(str(error), sent, 60)
    message = f"the authorization server refused: {code}"
    if description:
        message += f" ({quote(str(description), sent)})"
    return GrantRefused(message, code, REMEDIES.get(code, ""))


def _seconds(value: object) -> int | None:
    """A lifetime, also as text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    if math.isnan(seconds):
        return None
    return int(min(max(seconds, 0), LONGEST_S))


def _printable(value: object) -> bool:
    """RFC 6749, A.12: a control character in a token would end it in a SASL message."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and (value != "")
    )
