"""The provider alone, and against loopback servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import email_profiles_service_account as module
from email_profiles_hookspecs import Profile, Reply, SecretRef, SmtpSettings, jwt
from email_profiles_hookspecs.errors import GrantRefused
from email_profiles_plugin.testing import (
    AuthorizationServer,
    FakeServices,
    SmtpServer,
    check_provider,
    json_reply,
)

ROBOT = "mailer@plant-1234.iam.example"
MAILBOX = "gateway@plant.example"

(PROVIDER,) = module.email_profiles_auth_providers()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def private_key(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def server(
    authorization_server: AuthorizationServer, key: rsa.RSAPrivateKey
) -> AuthorizationServer:
    """An authorization server that knows the robot's public key."""
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    authorization_server.register(ROBOT, public_key=public)
    return authorization_server


def test_it_keeps_its_promises(
    server: AuthorizationServer,
    smtp_server_factory: Callable[..., SmtpServer],
    private_key: str,
) -> None:
    """All that a provider promises, against both servers."""
    check_provider(
        PROVIDER,
        {
            "username": MAILBOX,
            "issuer": ROBOT,
            "token_uri": server.token_endpoint,
            "ca_file": str(server.ca_file),
        },
        secrets={"private_key": private_key},
        server=smtp_server_factory(tls="starttls", accept_token=server.accepts),
        authorization_server=server,
    )


def built(services: FakeServices, **auth: Any) -> module.ServiceAccount:
    """An authenticator of these services, and of a profile with its defaults."""
    known = PROVIDER.schema["properties"].items()
    defaults = {name: one["default"] for name, one in known if "default" in one}
    given = {
        "username": MAILBOX,
        "issuer": ROBOT,
        "private_key": SecretRef(kind="sealed", place="p1#/auth", value="key"),
    }
    profile = Profile(
        id="p1",
        revision=1,
        name="plant",
        smtp=SmtpSettings(hostname="smtp.plant.example", port=587),
        mode="service_account",
        auth={**defaults, **given, **auth},
    )
    found = PROVIDER.build(profile, services)
    assert isinstance(found, module.ServiceAccount)
    return found


def test_what_is_asked_for(private_key: str) -> None:
    """The robot asks Google, for the mailbox, for mail, for ten minutes."""
    services = FakeServices()
    services.secrets.values = {"key": private_key}
    services.http.answer = json_reply({"access_token": "abc", "expires_in": 3599})
    credential = built(services, key_id="k1").acquire(30)
    (asked,) = services.http.asked
    form = asked.form or {}
    header, claims = jwt.read(form["assertion"]) or ({}, {})
    now = int(services.clock.timestamp())

    assert ["XOAUTH2", "OAUTHBEARER"] == [one.mechanism for one in credential.offers]
    assert "https://oauth2.googleapis.com/token" == asked.url
    assert module.JWT_BEARER == form["grant_type"]
    assert {"alg": "RS256", "typ": "JWT", "kid": "k1"} == header
    assert {
        "iss": ROBOT,
        "sub": MAILBOX,
        "aud": asked.url,
        "scope": "https://mail.google.com/",
        "iat": now,
        "exp": now + 600,
    } == claims


def test_two_connections_are_refused(private_key: str) -> None:
    """Both may try the next token, which one of them has asked for."""
    services = FakeServices()
    services.secrets.values = {"key": private_key}
    services.http.answer = json_reply({"access_token": "abc", "expires_in": 3599})
    account, refused = built(services), Reply(code=535, text="no")
    first, second = account.acquire(30), account.acquire(30)

    assert account.rejected(first, refused)
    assert 2 == account.acquire(30).generation
    assert account.rejected(second, refused)
    assert 2 == account.acquire(30).generation


@pytest.mark.parametrize("error", module.REMEDIES)
def test_what_to_do_about_a_refusal(private_key: str, error: str) -> None:
    """Nobody can grant a service account anything anew; the remedy is another one."""
    services = FakeServices()
    services.secrets.values = {"key": private_key}
    services.http.answer = json_reply({"error": error}, status=400)
    account = built(services)

    with pytest.raises(GrantRefused) as caught:
        account.acquire(30)
    assert module.REMEDIES[error] == caught.value.remedy
    assert ("error", ("refresh",)) == (account.status().state, account.status().actions)


def test_the_robot_has_no_mailbox() -> None:
    """A service account can't send as itself."""
    services = FakeServices()
    profile = built(services, username=ROBOT.upper()).profile
    (problem,) = PROVIDER.check(profile, services)

    assert "$.auth.username" == problem.path
