"""
Grants in progress: which answer of an authorization server may end which, and how.

Times in seconds since 1970. Nothing here is kept but hashes of what has to be secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid, StateRefused

from .documents.hosts import endpoint_mistake

LIFETIME_S = 600.0
"""Seconds that a person has to grant access, once the browser was sent off."""

REDEEM_S = 75.0
"""Seconds after which whoever redeems an answer is taken for dead."""

KEPT_S = 3600.0
"""Seconds that a grant is remembered after its time, so that it is told what it was."""

CALLBACK = "/oauth2/callback/"
"""The path of every redirect URI; the immutable id of an OAuth2 client follows."""

LONGEST = 16_384
"""Characters of a query; codes of big providers have some 2,000."""

Step = Literal["begun", "redeemed", "done"]
Next = Literal["redeem", "wait", "lost", "tell"]

ANEW = "begin to grant access anew"

REFUSALS: Mapping[str, tuple[str, str]] = {
    "malformed": ("this is no answer of an authorization server", ANEW),
    "unknown": ("this answer belongs to no grant that was begun here", ANEW),
    "session": (
        "this grant was begun in another session",
        "begin, and end, in the same browser",
    ),
    "used": ("this grant has had its answer already", ANEW),
    "expired": (
        f"the answer came later than {int(LIFETIME_S / 60)} minutes after the grant "
        "was begun",
        ANEW,
    ),
    "redirect_uri": (
        "the answer came in at another redirect URI than the grant was begun with",
        ANEW,
    ),
}
"""What is said of an answer that is refused, and what to do, by reason."""


def refused(reason: str) -> StateRefused:
    """The error that says so."""
    message, remedy = REFUSALS[reason]
    return StateRefused(message, reason, remedy)


@frozen(kw_only=True)
class InProgress:
    """What is known of a grant; *sealed* is what the provider gave to keep."""

    state_hash: str
    profile_id: str
    profile_name: str
    fingerprint: str
    session_hash: str
    redirect_uri: str
    sealed: str | None = field(repr=False)
    actor: str
    step: Step = "begun"
    query_hash: str = ""
    redeemed_at: float | None = None
    result: str = ""
    expires_at: float


@frozen(kw_only=True)
class Callback:
    """An authorization server's answer, as a browser brought it."""

    state: str = field(repr=False)
    query: Mapping[str, str] = field(repr=False)

    @property
    def state_hash(self) -> str:
        """What its grant is found by."""
        return digest(self.state)

    @property
    def query_hash(self) -> str:
        """The same for the same answer, in whatever order it comes."""
        return digest(json.dumps(sorted(self.query.items())))


def digest(secret: str) -> str:
    """SHA-256, in hexadecimal: what is kept in the place of *secret*."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def read(query: str) -> Callback:
    """
    The callback in *query*, the part of its URL after `?`; StateRefused.

    No parameter may come twice (RFC 6749, 3.1).
    """
    try:
        if len(query) > LONGEST:
            raise ValueError
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50)
        parameters = dict(pairs)
        if len(parameters) != len(pairs) or not parameters.get("state"):
            raise ValueError
    except ValueError:
        raise refused("malformed") from None
    return Callback(state=parameters["state"], query=parameters)


def query_of(pasted: str) -> str:
    """The query in what a person copied: a whole address, or the query itself."""
    text = pasted.strip()
    _, mark, query = text.partition("?")
    return (query if mark else text).partition("#")[0]


def decide(
    row: InProgress | None,
    callback: Callback,
    *,
    session: str,
    redirect_uri: str | None,
    now: float,
) -> Next:
    """
    What is to be done with an answer: redeem it, or tell what came of it before.

    StateRefused where it is not this session's to end, or not any more; *row* stays
    as it is then. What was found out is told to its own session alone.
    """
    if row is None:
        raise refused("unknown")
    if not hmac.compare_digest(row.session_hash, digest(session)):
        raise refused("session")
    if redirect_uri is not None and redirect_uri != row.redirect_uri:
        raise refused("redirect_uri")
    if row.step != "begun":
        return _again(row, callback, now)
    if now >= row.expires_at:
        raise refused("expired")
    return "redeem"


def _again(row: InProgress, callback: Callback, now: float) -> Next:
    """A browser that reloads brings the same answer; anything else is another."""
    if row.query_hash != callback.query_hash:
        raise refused("used")
    if row.step == "done":
        return "tell"
    return "wait" if now < (row.redeemed_at or 0) + REDEEM_S else "lost"


def redirect_uri(base_url: str, uid: str) -> str:
    """
    Where the authorization server sends the browser back to, under *base_url*.

    *uid* is the OAuth2 client's immutable id: each has a URI of its own (RFC 9700,
    4.4.2.2), and a new name breaks no registration. Invalid.
    """
    if wrong := endpoint_mistake(base_url, query=False):
        raise Invalid("base URL", [Problem(path="$", message=wrong[0])])
    return base_url.rstrip("/") + CALLBACK + uid


def check_redirect_uri(uri: str) -> None:
    """Invalid where a browser may not be sent to *uri* with a code."""
    if wrong := endpoint_mistake(uri):
        raise Invalid("redirect URI", [Problem(path="$", message=wrong[0])])


def is_on_loopback(uri: str) -> bool:
    """Whether a listener on this machine can answer at *uri* (RFC 8252, 7.3)."""
    try:
        parts = urlsplit(uri)
        here = parts.hostname in ("127.0.0.1", "localhost") and parts.port != 0
    except ValueError:
        return False
    return here and parts.scheme == "http" and not parts.query
