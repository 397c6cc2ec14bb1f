"""A token endpoint's answers (RFC 6749, 5). Pure: values in, values out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from email_profiles_hookspecs import HttpReply, Token
from email_profiles_hookspecs.errors import GrantRefused, HttpError

from .. import masking, remedies
from ..masking import quote
from . import claims
from .claims import Claims

LONGEST_S = 100 * 365 * 86_400
"""Seconds; an expires_in beyond it is taken for this."""

MOST = 50
"""Scopes that are shown."""


class HalfAnswer(HttpError):
    """
    There is no usable access token, but a refresh token, which may be the next one.

    *refresh_token* is no argument: those are shown, and copied.
    """

    refresh_token: str = ""


@frozen(kw_only=True)
class Granted:
    """
    What an answer granted, without the tokens; *expires_in* in seconds.

    Both expiries are None where the server doesn't say, *claims* where the access
    token is no JWT.
    """

    token_type: str = ""
    expires_in: int | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    has_refresh_token: bool = False
    claims: Claims | None = None


def describe(reply: HttpReply, token: Token, sent: Iterable[str] = ()) -> Granted:
    """
    What may be shown of *token*, which `parse` made of *reply*.

    Wherever the server repeats a token, or what was *sent*, that is masked.
    """
    answer = json.loads(reply.body)
    tokens = [token.access_token, token.refresh_token]
    hidden = (*sent, *masking.spellings((), tokens))
    kind = answer.get("token_type")
    return Granted(
        token_type=masking.show(kind, hidden, 40) if isinstance(kind, str) else "",
        expires_in=_seconds(answer.get("expires_in")),
        expires_at=token.expires_at,
        scopes=tuple(masking.show(one, hidden) for one in token.scope.split()[:MOST]),
        has_refresh_token=token.refresh_token is not None,
        claims=claims.read(token.access_token, hidden),
    )


def parse(
    reply: HttpReply, now: datetime, sent: Iterable[str] = (), *, host: str = ""
) -> Token:
    """
    The token in *reply*; GrantRefused where the server says no, else HttpError.

    `expires_at` is None where the server doesn't say; a scope that is none is not
    said. HalfAnswer has the refresh token of an answer without an access token. What
    was *sent* is masked in whatever an error quotes, and so is all that looks like a
    token. *host*, the server's, tells whose refusal it is.
    """
    from oauthlib.oauth2 import OAuth2Error
    from oauthlib.oauth2.rfc6749.parameters import parse_token_response

    answer = _object(reply, sent)
    if error := answer.pop("error", None):
        raise _refused(error, answer.get("error_description"), sent, host)
    if reply.status >= 300:
        raise _unusable(reply, "an error without a reason", sent)
    lifetime = _seconds(answer.pop("expires_in", None))
    answer.pop("expires_at", None)
    scope = " ".join(_scopes(answer.pop("scope", None)))
    refresh_token = _sendable(answer.pop("refresh_token", None))
    try:
        access_token = parse_token_response(json.dumps(answer))["access_token"]
    except (OAuth2Error, TypeError, ValueError, AttributeError) as error:
        trouble = _unusable(reply, "no access token", ())
        raise _half(trouble, refresh_token) from error
    if not _printable(access_token):
        trouble = _unusable(reply, "an access token that is none", ())
        raise _half(trouble, refresh_token)
    return Token(
        access_token=access_token,
        expires_at=None if lifetime is None else now + timedelta(seconds=lifetime),
        refresh_token=refresh_token or None,
        scope=scope,
    )


def has_refresh_token(reply: HttpReply) -> bool:
    """Whether *reply*, which `parse` took, has one, be it of use or not."""
    return json.loads(reply.body).get("refresh_token") not in (None, "")


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


def _half(trouble: HttpError, refresh_token: str) -> HttpError:
    """*trouble* as a HalfAnswer, where there is a *refresh_token*."""
    if not refresh_token:
        return trouble
    half = HalfAnswer(*trouble.args)
    half.refresh_token = refresh_token
    return half


def _refused(
    error: object, description: object, sent: Iterable[str], host: str
) -> GrantRefused:
    code = quote(str(error), sent, 60)
    message = f"the authorization server refused: {code}"
    said = str(description or "")
    if said:
        message += f" ({quote(said, sent)})"
    return GrantRefused(message, code, remedies.for_refusal(code, said, host))


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


def _scopes(value: object) -> Iterator[str]:
    """RFC 6749, 3.3: words; some servers send a list of them."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            yield from one.split()


def _sendable(value: object) -> str:
    """
    A refresh token; "" for what can't be one.

    It travels in a form alone, so that any text will do: who drops one loses a grant.
    """
    text = str(value) if type(value) is int else value
    if not isinstance(text, str):
        return ""
    return "" if any("\ud800" <= one <= "\udfff" for one in text) else text


def _printable(value: object) -> bool:
    """RFC 6749, A.12: a control character in a token would end it in a SASL message."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and (value != "")
    )
