"""
Three modes as third parties would write them: the contract is done when they are short.

An API key, a service account's JWT, a password from a secret manager.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

import pluggy
import pytest
from attrs import evolve, frozen
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Manageable,
    Profile,
    Reply,
    SendRequest,
    Services,
    Timing,
    Token,
    TokenStatus,
    hookimpl,
    sasl,
)
from email_profiles_hookspecs.errors import Conflict, SecretError
from email_profiles_plugin import EmailProfiles

SECRET = {"$ref": "urn:email-profiles:secret", "writeOnly": True}


# 1. An API key


@frozen
class ApiKey:
    """SendGrid's way: the user is a word, the password a key."""

    read_key: Callable[[], str]

    def acquire(self, deadline: float) -> Credential:
        offer = sasl.Plain("apikey", self.read_key())
        return Credential(offers=(offer,), identity="apikey")

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return False


API_KEY = AuthProvider(
    mode="api_key",
    title="API key",
    schema={
        "type": "object",
        "required": ["key"],
        "properties": {"key": {**SECRET, "title": "Key"}},
    },
    build=lambda profile, services: ApiKey(
        lambda: services.secrets.read(profile.auth["key"])
    ),
)


# 2. A service account: JWT bearer grant (RFC 7523), nothing to grant in a browser


def _part(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


@frozen
class ServiceAccount:
    """Signs an assertion for the mailbox, and trades it for a token."""

    profile: Profile
    services: Services

    def acquire(self, deadline: float) -> Credential:
        token = self.services.tokens.current(self.fetch, deadline, Timing())
        offer = sasl.XOAuth2(self.profile.auth["mailbox"], token.access_token)
        return Credential(offers=(offer,), generation=token.generation)

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return self.services.tokens.reject(credential.generation)

    def status(self) -> TokenStatus:
        return evolve(self.services.tokens.status(), actions=("refresh", "revoke"))

    def refresh(self, deadline: float) -> TokenStatus:
        self.services.tokens.renew(self.fetch, deadline)
        return self.status()

    def revoke(self, deadline: float) -> None:
        self.services.tokens.forget()

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        reply = self.services.http.request(
            "POST",
            self.profile.auth["token_endpoint"],
            form={
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": self.assertion(),
            },
            ca_file=self.profile.auth.get("ca_file"),
            deadline=deadline,
        )
        return self.services.tokens.parse(reply)

    def assertion(self) -> str:
        auth, now = self.profile.auth, int(self.services.clock.now().timestamp())
        claims = {
            "iss": auth["account"],
            "sub": auth["mailbox"],
            "aud": auth["token_endpoint"],
            "iat": now,
            "exp": now + 300,
        }
        signed = b".".join(
            _part(json.dumps(part).encode())
            for part in ({"alg": "RS256", "typ": "JWT"}, claims)
        )
        key: Any = serialization.load_pem_private_key(
            self.services.secrets.read(auth["private_key"]).encode(), None
        )
        signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return (signed + b"." + _part(signature)).decode()


SERVICE_ACCOUNT = AuthProvider(
    mode="service_account",
    title="Service account",
    schema={
        "type": "object",
        "required": ["account", "mailbox", "token_endpoint", "private_key"],
        "properties": {
            "account": {"type": "string"},
            "mailbox": {"type": "string"},
            "token_endpoint": {"type": "string", "format": "uri"},
            "ca_file": {"type": "string"},
            "private_key": SECRET,
        },
    },
    build=ServiceAccount,
)


# 3. A password that is kept in a secret manager


@frozen
class Vaulted:
    """Asks the secret manager each time; a refused password may have been rotated."""

    username: str
    look_up: Callable[[str], str]
    path: str

    def acquire(self, deadline: float) -> Credential:
        password = self.look_up(self.path)
        return Credential(
            offers=sasl.password_offers(self.username, password),
            identity=self.username,
        )

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return True


def vault_provider(look_up: Callable[[str], str]) -> AuthProvider:
    return AuthProvider(
        mode="vault",
        title="Password from the vault",
        schema={
            "type": "object",
            "required": ["username", "path"],
            "properties": {
                "username": {"type": "string"},
                "path": {"type": "string"},
            },
        },
        build=lambda profile, services: Vaulted(
            profile.auth["username"], look_up, profile.auth["path"]
        ),
    )


class Site:
    """A plugin that yields the three."""

    def __init__(self, look_up: Callable[[str], str]) -> None:
        self.look_up = look_up

    @hookimpl
    def email_profiles_auth_providers(self) -> Iterable[AuthProvider]:
        yield API_KEY
        yield SERVICE_ACCOUNT
        yield vault_provider(self.look_up)


def refuse(path: str) -> str:
    raise SecretError(f"the vault has no {path}")


def opened(
    open_profiles: Callable[..., EmailProfiles],
    look_up: Callable[[str], str] = refuse,
) -> EmailProfiles:
    manager = pluggy.PluginManager("email_profiles")
    manager.register(Site(look_up), "site")
    profiles = open_profiles(plugin_manager=manager, deliver=False)
    assert [] == profiles.plugins.failures
    return profiles


def request() -> SendRequest:
    return SendRequest(
        profile="plant", from_address="gateway@plant.example", to=["b@plant.example"]
    )


def test_an_api_key_signs_in(
    open_profiles: Any, smtp_server: Any, profile_document: Any
) -> None:
    """The key is sealed in the store, and read when it is needed."""
    smtp_server.users["apikey"] = "SG.sesame"
    profiles = opened(open_profiles)
    document = profile_document(
        smtp_server, auth={"mode": "api_key", "key": "SG.sesame"}
    )
    profiles.profiles.apply(document, actor="test")

    assert "accepted" == profiles.deliver(request(), timeout=10).state
    assert "apikey" == smtp_server.messages[0].identity
    assert "SG.sesame" not in json.dumps(profiles.profiles.export("plant"))
    with pytest.raises(Conflict, match="no token"):
        profiles.tokens.status("plant")


@pytest.fixture(scope="module")
def keys() -> tuple[str, bytes]:
    """A service account's private key, and the public one, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public


@pytest.fixture
def robot(
    open_profiles: Any,
    smtp_server_factory: Any,
    authorization_server: Any,
    profile_document: Any,
    keys: tuple[str, bytes],
) -> tuple[EmailProfiles, Any]:
    """A profile of mode service_account, and the mail server that takes its tokens."""
    private, public = keys
    authorization_server.register("robot@plant.example", public_key=public)
    server = smtp_server_factory(
        tls="starttls", accept_token=authorization_server.accepts
    )
    profiles = opened(open_profiles)
    auth = {
        "mode": "service_account",
        "account": "robot@plant.example",
        "mailbox": "gateway@plant.example",
        "token_endpoint": authorization_server.token_endpoint,
        "ca_file": str(authorization_server.ca_file),
        "private_key": private,
    }
    profiles.profiles.apply(profile_document(server, auth=auth), actor="test")
    return profiles, server


def test_a_service_account_trades_its_assertion_for_a_token(
    robot: tuple[EmailProfiles, Any], authorization_server: Any
) -> None:
    """One token request for many messages; refresh and revoke, but no grant."""
    profiles, server = robot
    for _ in range(3):
        assert "accepted" == profiles.deliver(request(), timeout=10).state

    assert "gateway@plant.example" == server.messages[0].identity
    assert 1 == authorization_server.token_requests
    status = profiles.tokens.status("plant")
    assert ("valid", 1) == (status.state, status.generation)
    assert 2 == profiles.tokens.refresh("plant").generation
    assert {"refresh", "revoke"} == set(status.actions)
    profiles.tokens.revoke("plant")
    assert "none" == profiles.tokens.status("plant").state
    assert "PRIVATE KEY" not in json.dumps(profiles.profiles.export("plant"))


def test_a_refused_token_is_renewed_once(
    robot: tuple[EmailProfiles, Any], authorization_server: Any
) -> None:
    """On the same connection; the message goes out."""
    profiles, server = robot
    profiles.tokens.refresh("plant")
    authorization_server.revoke_tokens()
    outcome = profiles.deliver(request(), timeout=10)

    assert "accepted" == outcome.state
    assert 2 == authorization_server.token_requests
    assert 1 == server.sessions


def test_a_password_from_a_vault_is_looked_up_again_after_a_refusal(
    open_profiles: Any, smtp_server: Any, profile_document: Any
) -> None:
    """It may have been rotated between the two."""
    answers: list[str] = ["old password", smtp_server.users["gateway"]]
    asked: list[str] = []

    def look_up(path: str) -> str:
        asked.append(path)
        return answers.pop(0)

    smtp_server.mechanisms = ("PLAIN",)
    profiles = opened(open_profiles, look_up)
    auth = {"mode": "vault", "username": "gateway", "path": "mail/plant"}
    profiles.profiles.apply(profile_document(smtp_server, auth=auth), actor="test")

    assert "accepted" == profiles.deliver(request(), timeout=10).state
    assert ["mail/plant", "mail/plant"] == asked
    assert 1 == smtp_server.sessions


def test_they_are_what_the_contract_asks_for() -> None:
    """Checked by the type checker here, and by the core at run time."""
    from email_profiles_hookspecs import Authenticator

    one: Authenticator = ApiKey(lambda: "x")
    two: Callable[[Profile, Services], Manageable] = ServiceAccount
    three: Authenticator = Vaulted("u", refuse, "p")

    assert not isinstance(one, Manageable)
    assert not isinstance(three, Manageable)
    assert two is ServiceAccount
