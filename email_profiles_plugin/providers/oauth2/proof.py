"""How a client proves who it is (RFC 6749, 2.3; RFC 7523, 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from email_profiles_hookspecs import OAuth2Client, SecretRef, jwt
from email_profiles_hookspecs.errors import TokenError
from email_profiles_hookspecs.services import Secrets

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

ASSERTION_S = 300
"""Seconds that an assertion is good for, from the moment that it is made."""


@frozen(kw_only=True)
class Proof:
    """What is added to a request: fields of its form, or HTTP Basic's two parts."""

    form: Mapping[str, str] = field(factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)


def prove(client: OAuth2Client, secrets: Secrets, now: datetime, unique: str) -> Proof:
    """
    The client's proof, by its own method; *unique* is not used for another.

    TokenError, and SecretError, where what it needs is not there.
    """
    method, named = client.token_endpoint_auth_method, {"client_id": client.client_id}
    if method == "none":
        return Proof(form=named)
    if method == "private_key_jwt":
        key = _read(client.private_key, "private key", client, secrets)
        signed = sign_assertion(client, key, now, unique)
        proof = {"client_assertion_type": JWT_BEARER, "client_assertion": signed}
        return Proof(form={**named, **proof})
    secret = _read(client.client_secret, "client secret", client, secrets)
    if method == "client_secret_basic":
        return Proof(auth=(client.client_id, secret))
    if method == "client_secret_post":
        return Proof(form={**named, "client_secret": secret})
    raise TokenError(
        f"OAuth2 client {client.name!r} authenticates by {method}, which is not known",
        "choose another way for the client to authenticate",
    )


def sign_assertion(client: OAuth2Client, key: str, now: datetime, unique: str) -> str:
    """
    RFC 7523, 3: the client says of itself, to its authorization server, who it is.

    With a certificate its thumbprints go along: Microsoft looks the key up by them.
    """
    at = int(now.timestamp())
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": client.assertion_audience or client.issuer or client.token_endpoint,
        "iat": at,
        "nbf": at,
        "exp": at + ASSERTION_S,
        "jti": unique,
    }
    headers = {"kid": client.key_id} if client.key_id else {}
    if client.certificate:
        headers |= jwt.thumbprints(client.certificate)
    return jwt.sign(claims, key, client.algorithm, headers)


def _read(
    reference: SecretRef | None, what: str, client: OAuth2Client, secrets: Secrets
) -> str:
    if reference is None:
        raise TokenError(
            f"OAuth2 client {client.name!r} has no {what}",
            "set it, or another way for the client to authenticate",
        )
    return secrets.read(reference)
