"""
What the loopback authorization server goes by: rules, clients, codes, assertions.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from attrs import define, field, frozen

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_CLIENT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@define(kw_only=True, eq=False)
class AuthorizationRules:
    """
    What is granted, and how; all of it may be changed while the server runs.

    `lifetime_s`: of access tokens, in seconds. `token_length`: their characters; big
    providers' have 1,500 to 2,500. `rotate`: each refresh spends its refresh token.
    `detect_reuse`: a spent one revokes its whole family, unless it comes again within
    `reuse_grace_s` seconds: then it counts as if it were not spent.
    `omit`: the members left out of token answers. `offline_params`: what an
    authorization request must carry to be given a refresh token. `scopes`: those
    allowed; None: all.
    `device_answers`: errors for the next polls of a device, before it is approved.
    `metadata`: laid over the metadata document; a member that is None is left out.
    `sends_iss`: `iss` is in authorization responses (RFC 9207), and says
    `claimed_issuer`; None: the issuer.
    """

    user: str = "gateway@plant.example"
    approves: bool = True
    lifetime_s: int = 3600
    token_length: int = 48
    rotate: bool = True
    detect_reuse: bool = True
    reuse_grace_s: float = 0
    require_pkce: bool = True
    omit: set[str] = field(factory=set)
    offline_params: dict[str, str] = field(factory=dict)
    scopes: set[str] | None = None
    device_answers: list[str] = field(factory=list)
    device_interval_s: int = 1
    device_lifetime_s: int = 600
    metadata: dict[str, Any] = field(factory=dict)
    sends_iss: bool = True
    claimed_issuer: str | None = None
    clock: Callable[[], float] = time.time


@frozen(kw_only=True)
class RegisteredClient:
    """
    A client of the authorization server; without a secret or key it is public.

    `redirect_uris` empty: any is taken. `public_key` (PEM) checks the assertions of
    RFC 7523, as a grant and as client authentication. `user` is whom its client
    credentials tokens are for; None: the server's own `user`.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    redirect_uris: tuple[str, ...] = ()
    public_key: bytes | None = field(default=None, repr=False)
    user: str | None = None

    @property
    def public(self) -> bool:
        """Whether it can't authenticate (RFC 6749, 2.1)."""
        return self.client_secret is None and self.public_key is None


@define(kw_only=True, eq=False)
class AuthorizationCode:
    """One code, or device code, with what it was given for."""

    value: str = field(repr=False)
    client_id: str
    user: str
    scopes: list[str]
    family: str
    expires_at: float
    redirect_uri: str | None = None
    challenge: str | None = None
    offline: bool = True
    used: bool = False


@define(kw_only=True, eq=False)
class IssuedToken:
    """One access or refresh token; `family` is the grant that it descends from."""

    value: str = field(repr=False)
    kind: str
    client_id: str
    user: str
    scopes: list[str]
    family: str
    issued_at: float
    expires_at: float | None = None
    spent_at: float | None = None
    revoked: bool = False

    def active(self, now: float, grace_s: float = 0) -> bool:
        """
        Whether it is good for anything at *now*, seconds since 1970.

        A spent one is, for *grace_s* seconds.
        """
        fresh = self.expires_at is None or now < self.expires_at
        spent = self.spent_at is not None and now >= self.spent_at + grace_s
        return fresh and not spent and not self.revoked


def read_assertion(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a JWT, unverified; ValueError if it is none."""
    parts = assertion.split(".")
    if len(parts) != 3:
        raise ValueError("a signed JWT has three parts")
    header, claims = (json.loads(_from_base64url(part)) for part in parts[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("a JWT's parts are objects")
    return header, claims


def verify_assertion(assertion: str, public_key: bytes, algorithm: str) -> None:
    """
    Check a JWT's signature (RFC 7515): RS256, PS256 or ES256; else ValueError.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public_key)
    signed, _, encoded = assertion.rpartition(".")
    signature, sha256 = _from_base64url(encoded), hashes.SHA256()
    try:
        if algorithm == "RS256" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed.encode(), padding.PKCS1v15(), sha256)
        elif algorithm == "PS256" and isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(sha256), salt_length=32)
            key.verify(signature, signed.encode(), pss, sha256)
        elif algorithm == "ES256" and isinstance(key, ec.EllipticCurvePublicKey):
            r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
            encoded_pair = utils.encode_dss_signature(r, s)
            key.verify(encoded_pair, signed.encode(), ec.ECDSA(sha256))
        else:
            raise ValueError(f"{algorithm} is not for this key")
    except InvalidSignature:
        raise ValueError("the signature is wrong") from None


def check_claims(
    claims: Mapping[str, Any], audiences: tuple[str, ...], now: float
) -> None:
    """RFC 7523, 3: audience and time limits, with a minute's grace; else ValueError."""
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not set(named) & set(audiences):
        raise ValueError(f"aud is not one of {', '.join(audiences)}")
    expiry = claims.get("exp")
    if not isinstance(expiry, int | float) or expiry <= now:
        raise ValueError("exp is missing or past")
    if claims.get("iat", now) > now + 60 or claims.get("nbf", now) > now + 60:
        raise ValueError("iat or nbf is in the future")
    for claim in ("iss", "sub"):
        if not isinstance(claims.get(claim), str) or not claims[claim]:
            raise ValueError(f"{claim} is missing")


def parse_request(uri: str, method: str, headers: Mapping[str, str], body: str) -> Any:
    """oauthlib's view of an HTTP request; ValueError if its form can't be read."""
    from oauthlib.common import Request

    create: Any = Request
    return create(uri, method, body, dict(headers))


def read_client_id(request: Any) -> str | None:
    """Who the client says it is, in the header, the body or its assertion."""
    client_id, _ = read_client_secret(request)
    if client_id is None and (assertion := getattr(request, "client_assertion", None)):
        try:
            return str(read_assertion(assertion)[1].get("iss"))
        except ValueError:
            return None
    return client_id


def read_client_secret(request: Any) -> tuple[str | None, str | None]:
    """RFC 6749, 2.3.1: in Basic both are form-encoded before they are joined."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.client_id, request.client_secret
    try:
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return None, None
    return unquote_plus(client_id), unquote_plus(secret)


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
