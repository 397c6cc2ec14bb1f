"""When a token is due, and what state it is in. Times in seconds since 1970."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from attrs import fields, frozen

from email_profiles_hookspecs import OAuth2Client, SecretRef, Timing
from email_profiles_hookspecs.errors import GrantRefused, NeedsGrant, TokenError
from email_profiles_hookspecs.services import TokenState

Kept = Literal["none", "valid", "needs grant", "error"]
"""What the last fetch came to, or the last refusal; time decides the rest."""

SOONEST_S = 10.0
"""A refresh ahead of expiry that failed is not tried again sooner."""

LATEST_S = 4 * 3600.0
"""After so much time without a token the tries come no more seldom."""

ENDED = frozenset(
    {
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_grant",
        "login_required",
    }
)
"""What a refresh is refused with where a person is needed (OpenID Connect, 3.1.2.6)."""

UNRELATED = frozenset(
    {
        "access_token_timeout_s",
        "authorization_code_token_params",
        "authorization_params",
        "client_credentials_token_params",
        "default_access_token_expiration_s",
        "mechanism",
        "refresh_before_expiration_s",
        "refresh_token_params",
    }
)
"""Settings that may be edited without losing the token."""


@frozen(kw_only=True)
class Held:
    """What a state depends on; *present*: a token is stored, good or not."""

    kept: Kept
    present: bool
    obtained_at: float
    expires_at: float | None


def expires_at(obtained_at: float, said: float | None, timing: Timing) -> float | None:
    """When a token expires: as the server said, else by default; None: never."""
    if said is not None:
        return said
    default = timing.default_access_token_expiration_s
    return obtained_at + default if default > 0 else None


def due_at(
    expires_at: float | None, obtained_at: float, timing: Timing
) -> float | None:
    """
    When the next token is to be asked for; None: never.

    The time ahead of expiry is at most half the token's life, or a new token would
    be due as soon as it came.
    """
    if expires_at is None:
        return None
    life = max(expires_at - obtained_at, 0.0)
    ahead = min(max(timing.refresh_before_expiration_s, 0), life / 2)
    return expires_at - ahead


def state_at(held: Held, now: float, timing: Timing) -> TokenState:
    """The state of what is stored: a token that is good beats the last failure."""
    if held.present and (held.expires_at is None or now < held.expires_at):
        due = due_at(held.expires_at, held.obtained_at, timing)
        return "valid" if due is None or now < due else "expiring"
    if held.kept in ("needs grant", "error"):
        return held.kept
    return "expired" if held.present else "none"


def usable(held: Held, now: float) -> bool:
    """Whether there is a token that has not expired."""
    return held.present and (held.expires_at is None or now < held.expires_at)


def refused(held: Held, now: float) -> bool:
    """Whether there is nothing but the word that a person is needed."""
    return held.kept == "needs grant" and not usable(held, now)


def retry_at(now: float, expires_at: float | None) -> float:
    """
    When to try a failed refresh again: after a quarter of the time that is left, or
    that has gone since the expiry.
    """
    away = 0.0 if expires_at is None else abs(expires_at - now)
    if expires_at is None or now >= expires_at:
        away = min(away, LATEST_S)
    return now + max(away / 4, SOONEST_S)


def refused_state(error: str, refreshed: bool) -> Kept:
    """What a refusal (RFC 6749, 5.2) means; *refreshed*: of a refresh token."""
    return "needs grant" if refreshed and error in ENDED else "error"


def answer_lost(error: GrantRefused) -> TokenError:
    """What a refusal means after an answer that may have had the next refresh token."""
    if error.error != "invalid_grant":
        return error
    return NeedsGrant(
        f"{error.message} (answer lost: the refresh before this one was not answered)",
        "grant access anew",
    )


def inherits(kept: Kept, before: str, after: str) -> bool:
    """
    Whether a new grant without a refresh token goes on with the one there was.

    Google leaves it out where consent is not asked for again, and the old one stays
    good; that has to be the same account's, as far as is known, and not refused since.
    """
    return kept != "needs grant" and before.casefold() == after.casefold()


def read_timing(auth: Mapping[str, Any]) -> Timing:
    """The timing in a profile's auth block, of any mode that names it as ours do."""
    names = [attribute.name for attribute in fields(Timing)]
    return Timing(**{name: auth[name] for name in names if name in auth})


def fingerprint(
    mode: str,
    auth: Mapping[str, Any],
    client: OAuth2Client | None,
    defaults: Mapping[str, Any],
) -> str:
    """
    What a token was issued for, as 64 hexadecimal digits: another, another token.

    Username, client, endpoints, scope, interactive; in other modes all that is not
    known to be unrelated. Secrets, the client's name, and what is as the mode's
    *defaults* have it are left out: a setting that is new changes nothing.
    """
    wanted = {
        name: value
        for name, value in auth.items()
        if name not in UNRELATED and not isinstance(value, SecretRef)
    }
    for name in wanted.keys() & defaults.keys():
        if wanted[name] == defaults[name]:
            del wanted[name]
    issued_by: list[object] = []
    if client is not None:
        wanted.pop("client", None)
        issued_by = [
            client.id,
            client.client_id,
            client.issuer,
            client.authorization_endpoint,
            client.token_endpoint,
            client.device_authorization_endpoint,
        ]
    text = json.dumps([mode, wanted, issued_by], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()
