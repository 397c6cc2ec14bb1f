"""JSON Web Tokens as the contract signs them: the public key says whether they hold."""

from __future__ import annotations

import subprocess
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from email_profiles_hookspecs import jwt
from email_profiles_hookspecs.errors import SecretError
from email_profiles_plugin.testing.registrations import verify_assertion

CLAIMS = {"iss": "gateway", "aud": ["a", "b"], "exp": 1_900_000_000, "ü": "€"}


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(
    key: CertificateIssuerPrivateKeyTypes,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    hidden = encryption or NoEncryption()
    return key.private_bytes(Encoding.PEM, form, hidden).decode()


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
def test_the_public_key_verifies(
    rsa_key: rsa.RSAPrivateKey,
    ec_key: ec.EllipticCurvePrivateKey,
    algorithm: str,
    form: PrivateFormat,
) -> None:
    """Each algorithm's signature holds, and no longer once a claim is another."""
    key = ec_key if algorithm == "ES256" else rsa_key

    token = jwt.sign(CLAIMS, pem(key, form), algorithm, {"kid": "k1"})

    verify_assertion(token, public(key), algorithm)
    head, claims, signature = token.split(".")
    changed = urlsafe_b64encode(b'{"iss":"another"}').decode().rstrip("=")
    with pytest.raises(ValueError, match="signature is wrong"):
        verify_assertion(f"{head}.{changed}.{signature}", public(key), algorithm)
    assert "=" not in head + claims + signature


def test_what_was_signed_can_be_read(rsa_key: rsa.RSAPrivateKey) -> None:
    """The header has the algorithm, the type and what was added; the claims are all."""
    token = jwt.sign(CLAIMS, pem(rsa_key), headers={"kid": "k1"})

    assert ({"alg": "RS256", "typ": "JWT", "kid": "k1"}, CLAIMS) == jwt.read(token)


def test_a_vector_of_the_standard() -> None:
    """RFC 7515, A.2: RS256 is deterministic, so the same key signs the same way."""
    header, payload = (
        "eyJhbGciOiJSUzI1NiJ9",
        (
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p"
            "c19yb290Ijp0cnVlfQ"
        ),
    )

    assert (
        {"alg": "RS256"},
        {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True},
    ) == jwt.read(f"{header}.{payload}.x")


@pytest.mark.parametrize(
    ("algorithm", "kind", "said"),
    [
        ("ES256", "rsa", "ES256 needs a key on the curve P-256"),
        ("RS256", "ec", "RS256 needs an RSA key"),
        ("PS256", "ec", "PS256 needs an RSA key"),
        ("ES256", "p384", "ES256 needs a key on the curve P-256"),
        ("RS256", "ed25519", "RS256 needs an RSA key"),
        ("HS256", "rsa", "HS256 is no signature algorithm here"),
        ("none", "rsa", "none is no signature algorithm here"),
    ],
)
def test_a_key_of_another_kind(
    rsa_key: rsa.RSAPrivateKey,
    ec_key: ec.EllipticCurvePrivateKey,
    algorithm: str,
    kind: str,
    said: str,
) -> None:
    """An algorithm signs with its own kind of key only, and says which."""
    keys: dict[str, CertificateIssuerPrivateKeyTypes] = {
        "rsa": rsa_key,
        "ec": ec_key,
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    with pytest.raises(SecretError, match=said):
        jwt.sign(CLAIMS, pem(keys[kind]), algorithm)


def test_a_key_with_a_passphrase(rsa_key: rsa.RSAPrivateKey) -> None:
    """It can't be opened, and the remedy says what to do."""
    locked = pem(rsa_key, encryption=BestAvailableEncryption(b"canary"))

    with pytest.raises(SecretError, match="protected by a passphrase") as caught:
        jwt.sign(CLAIMS, locked)

    assert "without one" in caught.value.remedy


@pytest.mark.parametrize(
    "key",
    ["", "canary", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"],
)
def test_no_key(key: str) -> None:
    """What is no key is told, and not repeated."""
    with pytest.raises(SecretError, match="no key in PEM form") as caught:
        jwt.sign(CLAIMS, key)

    assert "canary" not in str(caught.value)


def certificate(key: CertificateIssuerPrivateKeyTypes) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(key, hashes.SHA256())


def test_thumbprints(rsa_key: rsa.RSAPrivateKey) -> None:
    """Both are the base64url of the digests of the certificate's DER form."""
    made = certificate(rsa_key)
    der = made.public_bytes(Encoding.DER)

    found = jwt.thumbprints(made.public_bytes(Encoding.PEM).decode())

    assert ["x5t", "x5t#S256"] == list(found)
    digests = [urlsafe_b64decode(one + "=" * (-len(one) % 4)) for one in found.values()]
    assert [sha1(der).digest(), sha256(der).digest()] == digests


def test_the_first_of_a_chain_counts(rsa_key: rsa.RSAPrivateKey) -> None:
    """The certificate of the key comes first, its authority's may follow."""
    first, second = (
        certificate(rsa_key).public_bytes(Encoding.PEM).decode() for _ in range(2)
    )

    assert jwt.thumbprints(first) == jwt.thumbprints(first + second)


@pytest.mark.parametrize("text", ["", "no", "-----BEGIN CERTIFICATE-----\nAAAA\n-----"])
def test_no_certificate(text: str) -> None:
    """What is no certificate is told with its remedy."""
    with pytest.raises(SecretError, match=r"no X\.509 certificate"):
        jwt.thumbprints(text)


def test_importing_it_is_light() -> None:
    """The contract loads cryptography when something is signed, and not before."""
    path = [entry for entry in sys.path if entry]
    code = (
        f"import sys; sys.path[:] = {path!r}; import email_profiles_hookspecs.jwt; "
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "False\n" == done.stdout
