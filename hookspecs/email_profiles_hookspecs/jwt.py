"""
JSON Web Tokens (RFC 7519), signed and looked into: by whom a request is made.

For client assertions and service accounts (RFC 7523). What `read` finds nobody has
verified: it is for showing, never for deciding.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from .errors import SecretError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

Algorithm = Literal["RS256", "PS256", "ES256"]

LONGEST = 1 << 16
"""Characters of a token that is looked into."""

KINDS: Mapping[str, str] = {
    "RS256": "an RSA key",
    "PS256": "an RSA key",
    "ES256": "a key on the curve P-256",
}
"""What each algorithm signs with (RFC 7518, 3.1)."""


def sign(
    claims: Mapping[str, Any],
    key: str,
    algorithm: Algorithm | str = "RS256",
    headers: Mapping[str, Any] | None = None,
) -> str:
    """
    *claims* as a signed JWT, in compact form; *key* is a private key in PEM form.

    *headers* are added to `alg` and `typ`. The same claims may give another signature
    each time (PS256, ES256). SecretError for a key that is none, has a passphrase, or
    is of another kind than *algorithm* (RS256, PS256, ES256) needs.
    """
    header = {"alg": algorithm, "typ": "JWT", **(headers or {})}
    signed = f"{_part(header)}.{_part(claims)}"
    return f"{signed}.{_encode(_signature(signed.encode(), _load(key), algorithm))}"


def thumbprints(certificate: str) -> dict[str, str]:
    """
    The headers `x5t` and `x5t#S256` for a certificate in PEM form (RFC 7515, 4.1.7).

    Of several certificates the first counts. SecretError for what is none.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509 import load_pem_x509_certificate

    try:
        found = load_pem_x509_certificate(certificate.encode())
    except ValueError as error:
        raise SecretError(
            "the certificate is no X.509 certificate in PEM form",
            "give it with its lines BEGIN CERTIFICATE and END CERTIFICATE",
        ) from error
    return {
        "x5t": _encode(found.fingerprint(hashes.SHA1())),  # an identifier, no proof
        "x5t#S256": _encode(found.fingerprint(hashes.SHA256())),
    }


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The header and the claims in *token*, unverified; None where it is no JWT."""
    parts = token.split(".") if len(token) <= LONGEST else ()
    if len(parts) != 3:
        return None
    header, claims = _object(parts[0]), _object(parts[1])
    if header is None or claims is None or "alg" not in header:
        return None
    return header, claims


def _load(key: str) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(key.encode(), password=None)
    except TypeError as error:
        raise SecretError(
            "the private key is protected by a passphrase",
            "give it without one: it is sealed here, too",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SecretError(
            "the private key is no key in PEM form",
            "give it with its lines BEGIN PRIVATE KEY and END PRIVATE KEY",
        ) from error


def _signature(signed: bytes, key: PrivateKeyTypes, algorithm: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    if algorithm == "RS256" and isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), SHA256())
    if algorithm == "PS256" and isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
        return key.sign(signed, pss, SHA256())
    if (
        algorithm == "ES256"
        and isinstance(key, ec.EllipticCurvePrivateKey)
        and isinstance(key.curve, ec.SECP256R1)
    ):
        r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)  # RFC 7518, 3.4
    if algorithm not in KINDS:
        raise SecretError(
            f"{algorithm} is no signature algorithm here", f"use {', '.join(KINDS)}"
        )
    raise SecretError(
        f"{algorithm} needs {KINDS[algorithm]}, and the private key is none",
        "choose the algorithm that goes with the key",
    )


def _part(value: Mapping[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode(octets: bytes) -> str:
    """base64url without padding (RFC 7515, 2)."""
    return urlsafe_b64encode(octets).decode().rstrip("=")


def _object(part: str) -> dict[str, Any] | None:
    try:
        value = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
