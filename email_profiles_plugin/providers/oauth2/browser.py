"""
The authorization code grant, with PKCE: away by a URL, and back by another. Pure.

RFC 6749, 4.1; RFC 7636; RFC 9207.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlencode, urlsplit

from attrs import asdict, field, frozen

from email_profiles_hookspecs import HttpReply, OAuth2Client
from email_profiles_hookspecs.errors import GrantRefused, TokenError

AGAIN = "begin again to grant access"

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@frozen(kw_only=True)
class Pending:
    """
    What has to be known when the browser returns.

    *promised*: the issuer's metadata says that `iss` will be in the answer.
    """

    verifier: str = field(repr=False)
    client: str
    revision: int
    issuer: str
    promised: bool

    def write(self) -> str:
        """As text, to be kept."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, kept: str, client: OAuth2Client) -> Pending:
        """What `write` made; TokenError where *client* is not as it was then."""
        try:
            found = json.loads(kept)
            pending = cls(
                verifier=found["verifier"],
                client=found["client"],
                revision=found["revision"],
                issuer=found["issuer"],
                promised=found["promised"],
            )
        except (ValueError, LookupError, TypeError):
            raise TokenError("nothing is known of this grant", AGAIN) from None
        if (pending.client, pending.revision) != (client.id, client.revision):
            raise TokenError(
                f"OAuth2 client {client.name!r} was changed while access was granted",
                AGAIN,
            )
        return pending


def challenge(verifier: str) -> str:
    """The S256 code challenge of *verifier* (RFC 7636, 4.2)."""
    digest = sha256(verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


def address(endpoint: str, parameters: Mapping[str, str]) -> str:
    """
    The authorization request; a query of *endpoint*'s own is kept (RFC 6749, 3.1).

    TokenError for what a browser must not be sent to.
    """
    try:
        parts = urlsplit(endpoint)
        secured = parts.scheme == "https"
        near = parts.scheme == "http" and parts.hostname in LOOPBACK
    except ValueError:
        parts, secured, near = urlsplit(""), False, False
    if not parts.hostname or not (secured or near):
        raise TokenError(
            "the authorization endpoint is no https address",
            "correct it in the OAuth2 client, or look at the issuer's metadata",
        )
    query = "&".join(filter(None, [parts.query, urlencode(parameters)]))
    return parts._replace(query=query, fragment="").geturl()


def check_issuer(query: Mapping[str, str], pending: Pending) -> None:
    """
    RFC 9207, 2.4: the answer is the issuer's own; TokenError otherwise.

    A refusal may come without: django-oauth-toolkit's do, and there is no code in it
    that could go astray.
    """
    said = query.get("iss")
    if said is None and pending.promised and not query.get("error"):
        raise TokenError(
            "the answer does not say whose it is (iss), as the metadata promises; "
            "it may have been cut off",
            f"{AGAIN}; should it happen again, ask who runs the authorization server",
        )
    if said and said != pending.issuer and pending.issuer.startswith(said):
        raise TokenError("the answer is cut off: its issuer (iss) is not whole", AGAIN)
    if said is not None and pending.issuer and said != pending.issuer:
        raise TokenError(
            f"the answer is of issuer {said[:200]!r}, not {pending.issuer!r}; "
            "it was not used",
            "look at the OAuth2 client's issuer; somebody may want the grant",
        )


def refusal(query: Mapping[str, str]) -> HttpReply | None:
    """
    The answer's error (RFC 6749, 4.1.2.1) in the form that a token endpoint has.

    So that it is read, masked and remedied as any other refusal is.
    """
    if not query.get("error"):
        return None
    said = {
        name: query[name] for name in ("error", "error_description") if name in query
    }
    return HttpReply(status=400, headers={}, body=json.dumps(said).encode())


def by_a_person(refusal: GrantRefused) -> GrantRefused:
    """*refusal* by `access_denied`, with who says so (RFC 6749, 4.1.2.1)."""
    said = (
        f"the person who was asked, or their organisation, said no: {refusal.message}"
    )
    return GrantRefused(said, refusal.error, refusal.remedy)


def code(query: Mapping[str, str]) -> str:
    """The authorization code; TokenError where there is none."""
    found = query.get("code")
    if not found:
        raise TokenError("the answer has no authorization code", AGAIN)
    return found
