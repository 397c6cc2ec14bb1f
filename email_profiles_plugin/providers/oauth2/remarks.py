"""What is worth a word about a grant that went well. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from email_profiles_hookspecs import OAuth2Client, jwt
from email_profiles_hookspecs.services import TokenAction

CLAIMS = ("email", "upn", "preferred_username", "unique_name")
"""Where authorization servers name the account that access was granted to."""

LONGEST = 320
"""Characters of an account's name."""

UNTOLD = "the authorization server gave no refresh token"


def account(tokens: tuple[object, ...], username: str) -> str:
    """
    Whose account the *tokens* that are JWTs are for; "" where none says.

    Of several names the one that is *username*, else the first.
    """
    names = [name for token in tokens for name in _names(token)]
    own = [name for name in names if same(name, username)]
    return (own or names or [""])[0]


def same(name: str, username: str) -> bool:
    """Whether both name one mailbox; servers don't keep to the case of letters."""
    return name.casefold() == username.casefold()


def another_account(name: str, username: str) -> str:
    """What to say of a token for *name*; "" where that is *username*, or not known."""
    if not name or same(name, username):
        return ""
    return (
        f"access was granted by {name}, not by {username}, and the mail server may "
        f"refuse it: grant access anew as {username}, or correct the username"
    )


def without_refresh_token(client: OAuth2Client | None) -> str:
    """What to do so that the next grant brings a refresh token."""
    known = (client.authorization_endpoint or client.issuer) if client else None
    host = urlsplit(known or "").hostname or ""
    parameters = "the additional authorization request parameters"
    if host.endswith((".google.com", ".googleapis.com")):
        how = f"set access_type=offline and prompt=consent in {parameters}"
    elif "microsoft" in host:
        how = "add offline_access to the scope"
    else:
        how = (
            f"add offline_access to the scope and prompt=consent to {parameters} "
            "(some servers want access_type=offline)"
        )
    return f"{how}, and grant access anew"


def missing(generation: int) -> str:
    """Why there is no token that a person granted, after so many."""
    if not generation:
        return "nobody has granted access yet"
    return "access was given up, or what it was granted for was changed since"


def withheld(
    actions: Collection[str],
    client: OAuth2Client | None,
    error: str,
    *,
    interactive: bool,
) -> dict[TokenAction, str]:
    """Why an action is not among *actions*; *error*: why there is no token."""
    grant = f"OAuth2 client {client.name!r} has no" if client else "its client is gone"
    if not interactive:
        off = "no person grants it access, its interactive is off"
        reasons: dict[TokenAction, str] = {"grant": off, "device": off}
    elif client is None:
        reasons = {"grant": grant, "device": grant}
    else:
        reasons = {
            "grant": f"{grant} authorization_endpoint, and no issuer",
            "device": f"{grant} device_authorization_endpoint",
        }
    reasons |= {"refresh": error, "revoke": "there is no token"}
    return {key: why for key, why in reasons.items() if key not in actions and why}


def _names(token: object) -> list[str]:
    found = jwt.read(token) if isinstance(token, str) else None
    claims: dict[str, Any] = found[1] if found else {}
    values = [claims.get(name) for name in CLAIMS]
    return [
        value[:LONGEST]
        for value in values
        if isinstance(value, str) and value.isprintable() and value
    ]
