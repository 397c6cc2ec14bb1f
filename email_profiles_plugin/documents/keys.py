"""Private keys and certificates as given: what is wrong, and whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .sentences import Finding

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import (
        PrivateKeyTypes,
        PublicKeyTypes,
    )
    from cryptography.x509 import Certificate


def of_client(document: Mapping[str, Any]) -> Iterator[Finding]:
    """
    What can't be used in an OAuth2 client, of what is there to be looked at.

    A key that is sealed, or kept elsewhere, is not.
    """
    certificate, key = None, _key(document.get("private_key"))
    if isinstance(text := document.get("certificate"), str) and text:
        certificate = _certificate(text)
        if certificate is None:
            yield Finding(
                ("certificate",),
                "is no X.509 certificate in PEM form",
                "give it with its lines BEGIN CERTIFICATE and END CERTIFICATE",
            )
    if isinstance(key, Finding):
        yield key
    elif certificate is None or key is None:
        return
    elif _octets(certificate.public_key()) != _octets(key.public_key()):
        yield Finding(
            ("certificate",),
            "is not that of the private key",
            "give the two that were made together",
        )


def subject(certificate: str) -> str:
    """Whose certificate that is, and till when; its first line where it is none."""
    found = _certificate(certificate)
    if found is None:
        return f"{(certificate.splitlines() or [''])[0][:80]} ..."
    return (
        f"{found.subject.rfc4514_string()}, till {found.not_valid_after_utc:%Y-%m-%d}"
    )


def _certificate(text: str) -> Certificate | None:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(text.encode("utf-8", "replace"))
    except ValueError:
        return None


def _key(text: object) -> PrivateKeyTypes | Finding | None:
    """None where there is none to be looked at."""
    if not isinstance(text, str) or not text:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(text.encode("utf-8", "replace"), password=None)
    except TypeError:
        return Finding(
            ("private_key",),
            "is protected by a passphrase, which nobody is there to type",
            "give it without one: it is sealed here, too",
        )
    except (ValueError, UnsupportedAlgorithm):
        return Finding(
            ("private_key",),
            "is no private key in PEM form",
            "give it with its lines BEGIN PRIVATE KEY and END PRIVATE KEY",
        )


def _octets(key: PublicKeyTypes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
