"""Mode oauth2 without I/O: addresses, PKCE, answers, assertions, remarks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from oauth2_bench import client, jwt_of

from email_profiles_hookspecs import Device, OAuth2Client, SecretRef, jwt
from email_profiles_hookspecs.errors import HttpError, SecretError, TokenError
from email_profiles_plugin.providers.oauth2 import browser, device, proof, remarks
from email_profiles_plugin.providers.oauth2.browser import Pending
from email_profiles_plugin.testing.registrations import check_claims, verify_assertion

NOW = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)


def test_the_vector_of_pkce() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" == browser.challenge(verifier)


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://a.test/go", "https://a.test/go?a=b+c%26&%C3%BC=%3D"),
        ("https://a.test/go?p=1", "https://a.test/go?p=1&a=b+c%26&%C3%BC=%3D"),
        ("https://a.test?p=1#here", "https://a.test?p=1&a=b+c%26&%C3%BC=%3D"),
        ("http://127.0.0.1:8/", "http://127.0.0.1:8/?a=b+c%26&%C3%BC=%3D"),
        ("http://[::1]:8/", "http://[::1]:8/?a=b+c%26&%C3%BC=%3D"),
    ],
)
def test_addresses(endpoint: str, address: str) -> None:
    """A query of the endpoint's own is kept (RFC 6749, 3.1), a fragment is not."""
    assert address == browser.address(endpoint, {"a": "b c&", "ü": "="})


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "javascript:alert(1)//",
        "http://a.test/",
        "http://127.0.0.1.a.test/",
        "https:///go",
        "https://[::1",
        "file:///etc/passwd",
        "data:text/html,x",
    ],
)
def test_where_no_browser_is_sent(endpoint: str) -> None:
    """Metadata may say anything; a browser goes to https, or to this machine."""
    with pytest.raises(TokenError, match="no https address"):
        browser.address(endpoint, {})


def pending(**changes: Any) -> Pending:
    known: dict[str, Any] = {
        "verifier": "canary-verifier",
        "client": "c1",
        "revision": 1,
        "issuer": "https://a.test",
        "promised": True,
        **changes,
    }
    return Pending(**known)


def test_what_is_kept() -> None:
    """It comes back as it was, and shows nothing."""
    kept = pending().write()

    assert pending() == Pending.read(kept, client())
    assert "canary" not in repr(pending())


@pytest.mark.parametrize(
    "kept", ["", "no", "[]", "7", "{}", json.dumps({"verifier": "canary"})]
)
def test_what_was_not_kept(kept: str) -> None:
    """Anything else is no grant that was begun here."""
    with pytest.raises(TokenError, match="nothing is known of this grant") as caught:
        Pending.read(kept, client())

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("changed", [client(revision=2), client(id="c2")])
def test_a_client_that_was_changed_meanwhile(changed: OAuth2Client) -> None:
    """A code that one server gave is not shown to another."""
    with pytest.raises(TokenError, match="was changed while access was granted"):
        Pending.read(pending().write(), changed)


@pytest.mark.parametrize(
    ("promised", "issuer", "iss"),
    [
        (True, "https://a.test", "https://a.test"),
        (False, "https://a.test", "https://a.test"),
        (False, "https://a.test", None),
        (False, "", "https://anything.test"),
        (False, "", None),
    ],
)
def test_the_right_issuer(promised: bool, issuer: str, iss: str | None) -> None:
    """`iss` may be missing where nobody promised it; equal is fine (RFC 9207, 2.4)."""
    query = {} if iss is None else {"iss": iss}

    browser.check_issuer(query, pending(promised=promised, issuer=issuer))


@pytest.mark.parametrize(
    ("promised", "iss", "said"),
    [
        (True, None, "does not say whose it is"),
        (True, "https://evil.test", "is of issuer 'https://evil.test'"),
        (False, "https://evil.test", "is of issuer 'https://evil.test'"),
        (False, "https://a.test/", "is of issuer 'https://a.test/'"),
        (True, "", "is of issuer ''"),
    ],
)
def test_the_wrong_issuer(promised: bool, iss: str | None, said: str) -> None:
    """Promised and missing, or another's, to the letter."""
    query = {} if iss is None else {"iss": iss}

    with pytest.raises(TokenError, match=said):
        browser.check_issuer(query, pending(promised=promised))


def test_the_code() -> None:
    """It is what the browser brings; without it there is none."""
    assert "abc" == browser.code({"code": "abc"})
    for query in ({}, {"code": ""}):
        with pytest.raises(TokenError, match="no authorization code"):
            browser.code(query)


ANSWER = {
    "device_code": "canary-device",
    "user_code": "AB-CD",
    "verification_uri": "https://a.test/device",
    "expires_in": 600,
}
BEGUN = Device(
    user_code="AB-CD",
    verification_uri="https://a.test/device",
    device_code="canary-device",
    expires_in=600,
)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, {}),
        ({"interval": 7}, {"interval": 7}),
        ({"interval": "7"}, {"interval": 7}),
        ({"interval": 0.5}, {"interval": 1}),
        ({"interval": 0}, {"interval": 5}),
        ({"interval": None}, {"interval": 5}),
        ({"interval": True}, {"interval": 5}),
        ({"interval": float("nan")}, {"interval": 5}),
        ({"expires_in": "60"}, {"expires_in": 60}),
        ({"expires_in": 1e400}, {"expires_in": 86_400}),
        (
            {"verification_uri_complete": "https://a.test/device?c=AB-CD"},
            {"verification_uri_complete": "https://a.test/device?c=AB-CD"},
        ),
        ({"verification_uri_complete": "javascript:x"}, {}),
        ({"verification_uri": None, "verification_url": "https://a.test/device"}, {}),
    ],
)
def test_devices(changes: dict[str, Any], wanted: dict[str, Any]) -> None:
    """What RFC 8628, 3.2 has, also as servers spell it; an interval of 5 by default."""
    found = device.read({**ANSWER, **changes})

    assert evolve(BEGUN, **wanted) == found
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None},
        {"device_code": 7},
        {"user_code": ""},
        {"user_code": "\x1b[2J"},
        {"verification_uri": None},
        {"verification_uri": "javascript:alert(1)"},
        {"expires_in": None},
        {"expires_in": 0},
        {"expires_in": "soon"},
    ],
)
def test_no_devices(changes: dict[str, Any]) -> None:
    """What can't be shown to a person, or polled for, is no grant."""
    with pytest.raises(HttpError, match="begins no grant") as caught:
        device.read({**ANSWER, **changes})

    assert "canary" not in str(caught.value)


class NoSecrets:
    """Reads a reference as its value."""

    def read(self, reference: SecretRef) -> str:
        return reference.value


def signing(key: str, **changes: Any) -> OAuth2Client:
    reference = SecretRef(kind="plain", place="c1/private_key", value=key)
    return client(
        token_endpoint_auth_method="private_key_jwt",
        client_secret=None,
        private_key=reference,
        **changes,
    )


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_assertions(algorithm: str) -> None:
    """RFC 7523, 3: verified by the public key, for one audience, for five minutes."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else rsa.generate_private_key(65537, 2048)
    )
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    registered = signing(pem(key), algorithm=algorithm, issuer="https://a.test")

    made = proof.prove(registered, NoSecrets(), NOW, "unique-1")

    assert made.auth is None
    assert ["client_id", "client_assertion_type", "client_assertion"] == list(made.form)
    assert "me:too" == made.form["client_id"]
    assert proof.JWT_BEARER == made.form["client_assertion_type"]
    assertion = made.form["client_assertion"]
    verify_assertion(assertion, public, algorithm)
    found = jwt.read(assertion)
    assert found is not None
    header, claims = found
    assert {"alg": algorithm, "typ": "JWT"} == header
    at = int(NOW.timestamp())
    assert {
        "iss": "me:too",
        "sub": "me:too",
        "aud": "https://a.test",
        "iat": at,
        "nbf": at,
        "exp": at + 300,
        "jti": "unique-1",
    } == claims
    check_claims(claims, ("https://a.test",), at)
    assert assertion not in repr(made)


@pytest.mark.parametrize(
    ("changes", "audience"),
    [
        ({}, "https://login.example/token"),
        ({"issuer": "https://a.test"}, "https://a.test"),
        ({"issuer": "https://a.test", "assertion_audience": "it"}, "it"),
        ({"assertion_audience": "it"}, "it"),
    ],
)
def test_whom_assertions_are_for(changes: dict[str, Any], audience: str) -> None:
    """assertion_audience, else the issuer, else the token endpoint."""
    key = pem(rsa.generate_private_key(65537, 2048))

    signed = proof.sign_assertion(signing(key, **changes), key, NOW, "1")

    found = jwt.read(signed)
    assert found is not None
    assert audience == found[1]["aud"]


def test_a_client_without_its_key() -> None:
    """It is told by its name, with a remedy."""
    lacking = client(token_endpoint_auth_method="private_key_jwt")

    with pytest.raises(TokenError, match="'plant' has no private key"):
        proof.prove(lacking, NoSecrets(), NOW, "1")


def test_a_bad_key_or_certificate() -> None:
    """Each is told apart, and not repeated."""
    key = pem(rsa.generate_private_key(65537, 2048))
    cases = [signing("canary"), signing(key, certificate="canary")]
    for one in cases:
        with pytest.raises(SecretError) as caught:
            proof.prove(one, NoSecrets(), NOW, "1")
        assert "canary" not in str(caught.value)


def test_an_unknown_method() -> None:
    """A document that a later version wrote is told, not guessed at."""
    with pytest.raises(TokenError, match="by tls_client_auth, which is not known"):
        proof.prove(
            client(token_endpoint_auth_method="tls_client_auth"), NoSecrets(), NOW, "1"
        )


USER = "gateway@plant.example"


@pytest.mark.parametrize(
    ("tokens", "account"),
    [
        ((), ""),
        ((None, "opaque"), ""),
        ((jwt_of(email="a@b.example"), "opaque"), "a@b.example"),
        ((None, jwt_of(upn="a@b.example")), "a@b.example"),
        ((None, jwt_of(preferred_username="p", unique_name="u")), "p"),
        ((jwt_of(email="a@b.example", upn=USER), None), USER),
        ((jwt_of(email="a@b.example"), jwt_of(upn=USER)), USER),
        ((jwt_of(email=USER.upper()),), USER.upper()),
        ((jwt_of(email=["a"], upn=7, unique_name="\x1b[2J"),), ""),
        ((jwt_of(sub="123"),), ""),
        ((jwt_of(email="a" * 999),), "a" * 320),
    ],
)
def test_accounts(tokens: tuple[object, ...], account: str) -> None:
    """Who granted, where a JWT says so; the username if it is one of the names."""
    assert account == remarks.account(tokens, USER)


def test_another_account() -> None:
    """Told with both names; the case of letters is no difference."""
    assert "" == remarks.another_account("", USER)
    assert "" == remarks.another_account(USER.upper(), USER)
    told = remarks.another_account("other@plant.example", USER)
    assert "by other@plant.example, not by gateway@plant.example" in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth"},
            "access_type=offline and prompt=consent",
        ),
        ({"issuer": "https://accounts.google.com"}, "access_type=offline"),
        (
            {"issuer": "https://login.microsoftonline.com/x/v2.0"},
            "add offline_access to the scope, and grant",
        ),
        (
            {"issuer": "https://login.example"},
            "offline_access to the scope and prompt=consent",
        ),
    ],
)
def test_how_to_get_a_refresh_token(changes: dict[str, Any], said: str) -> None:
    """By what each provider wants to be asked for it."""
    assert said in remarks.without_refresh_token(client(**changes))


def test_how_to_get_one_of_nobody() -> None:
    """Where the client is gone, as for an unknown provider."""
    assert "offline_access" in remarks.without_refresh_token(None)
