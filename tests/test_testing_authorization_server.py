"""The loopback authorization server, asked by requests."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from email_profiles_hookspecs import sasl
from email_profiles_plugin.testing import (
    AuthorizationServer,
    CertificateAuthority,
    RegisteredClient,
    SmtpServer,
)

CALLBACK = "http://127.0.0.1:8099/oauth2/callback/1"
VERIFIER = "v" * 64
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    .rstrip(b"=")
    .decode()
)
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Browser:
    """requests, trusting one authority and no environment variable."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(server.ca_file)

    def get(self, url: str, **params: str) -> requests.Response:
        return self.session.get(url, params=params, allow_redirects=False, timeout=10)

    def post(
        self, url: str, client: RegisteredClient | None = None, /, **form: str
    ) -> requests.Response:
        """POST a form; with *client*, authenticated by HTTP Basic."""
        auth = None
        if client is not None:
            auth = (quote_plus(client.client_id), quote_plus(str(client.client_secret)))
        return self.session.post(url, data=form, auth=auth, timeout=10)

    def token(self, client: RegisteredClient | None = None, /, **form: str) -> Any:
        return self.post(self.server.token_endpoint, client, **form)

    def authorize(self, client: RegisteredClient, **params: str) -> dict[str, str]:
        """The parameters of the redirect back."""
        wanted = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": CALLBACK,
            "state": "s1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **params,
        }
        answer = self.get(self.server.authorization_endpoint, **wanted)
        assert 302 == answer.status_code, answer.text
        assert answer.headers["Location"].startswith(CALLBACK)
        query = parse_qs(urlsplit(answer.headers["Location"]).query)
        return {name: values[0] for name, values in query.items()}

    def grant(self, **params: str) -> Any:
        """The token answer at the end of an authorization code grant."""
        client = self.server.client
        return self.token(
            client,
            grant_type="authorization_code",
            code=self.authorize(client, **params)["code"],
            redirect_uri=CALLBACK,
            code_verifier=VERIFIER,
        ).json()

    def refresh(self, refresh_token: str) -> Any:
        return self.token(
            self.server.client, grant_type="refresh_token", refresh_token=refresh_token
        )


@pytest.fixture
def browser(authorization_server: AuthorizationServer) -> Iterator[Browser]:
    browser = Browser(authorization_server)
    with browser.session:
        yield browser


@pytest.fixture
def now(authorization_server: AuthorizationServer) -> dict[str, float]:
    """A clock that a test sets."""
    clock = {"now": 1_800_000_000.0}
    authorization_server.rules.clock = lambda: clock["now"]
    return clock


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def sign(key: Any, algorithm: str, **claims: Any) -> str:
    """A JWT, signed by hand."""
    header = encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    signed = f"{header}.{encode(json.dumps(claims).encode())}".encode()
    if algorithm == "RS256":
        signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    elif algorithm == "PS256":
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
        signature = key.sign(signed, pss, hashes.SHA256())
    else:
        r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32) + s.to_bytes(32)
    return f"{signed.decode()}.{encode(signature)}"


def publish(key: Any) -> bytes:
    return bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_metadata(browser: Browser) -> None:
    """Both metadata documents name the issuer and the endpoints (RFC 8414)."""
    server = browser.server
    server.rules.metadata = {"revocation_endpoint": None, "extra": "x"}
    for name in ("oauth-authorization-server", "openid-configuration"):
        document = browser.get(f"{server.issuer}/.well-known/{name}").json()
        assert server.issuer == document["issuer"]
        assert server.token_endpoint == document["token_endpoint"]
        assert server.authorization_endpoint == document["authorization_endpoint"]
        device = document["device_authorization_endpoint"]
        assert server.device_authorization_endpoint == device
        assert server.introspection_endpoint == document["introspection_endpoint"]
        assert ["S256"] == document["code_challenge_methods_supported"]
        assert (False, "x") == ("revocation_endpoint" in document, document["extra"])


def test_client_credentials(browser: Browser) -> None:
    """By Basic and by POST; the token is accepted for the user, and for no other."""
    server = browser.server
    basic = browser.token(server.client, grant_type="client_credentials").json()
    posted = browser.token(
        grant_type="client_credentials",
        client_id=server.client.client_id,
        client_secret=str(server.client.client_secret),
        scope="mail.send other",
    ).json()
    assert (3600, "Bearer", "mail.send") == (
        basic["expires_in"],
        basic["token_type"],
        basic["scope"],
    )
    assert "mail.send other" == posted["scope"]
    assert "refresh_token" not in basic
    assert server.accepts(server.rules.user, basic["access_token"])
    assert not server.accepts("someone@plant.example", basic["access_token"])
    assert not server.accepts(server.rules.user, "made-up")


def test_basic_is_form_encoded(browser: Browser) -> None:
    """An odd client id and secret work form-encoded, and only so (RFC 6749, 2.3.1)."""
    odd = browser.server.register("a+b c%41&=:/", "s+t u%42&=:/ü")
    form = {"grant_type": "client_credentials"}
    assert 200 == browser.token(odd, **form).status_code
    raw = base64.b64encode(f"{odd.client_id}:{odd.client_secret}".encode()).decode()
    refused = browser.session.post(
        browser.server.token_endpoint,
        data=form,
        headers={"Authorization": f"Basic {raw}"},
        timeout=10,
    )
    assert (401, "invalid_client") == (refused.status_code, refused.json()["error"])


def test_bad_clients_are_refused(browser: Browser) -> None:
    """A wrong secret, an unknown and a public client get no client credentials."""
    server = browser.server
    server.register("public")
    wrong = RegisteredClient(client_id="email-profiles", client_secret="wrong")
    unknown = RegisteredClient(client_id="unknown", client_secret="x")
    form = {"grant_type": "client_credentials"}
    answers = [
        browser.token(wrong, **form),
        browser.token(unknown, **form),
        browser.token(client_id="public", **form),
    ]
    assert [(401, "invalid_client")] * 3 == [
        (a.status_code, a.json()["error"]) for a in answers
    ]


def test_authorization_code(browser: Browser) -> None:
    """The redirect carries code, state and iss; the code buys tokens once."""
    server = browser.server
    back = browser.authorize(server.client, scope="mail.send offline")
    assert ("s1", server.issuer) == (back["state"], back["iss"])
    form = {
        "grant_type": "authorization_code",
        "code": back["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    token = browser.token(server.client, **form).json()
    assert "mail.send offline" == token["scope"]
    assert server.accepts(server.rules.user, token["access_token"])
    again = browser.token(server.client, **form)
    assert (400, "invalid_grant") == (again.status_code, again.json()["error"])
    assert not server.accepts(server.rules.user, token["access_token"])


def test_public_client_needs_no_secret(browser: Browser) -> None:
    """A public client trades its code with PKCE alone."""
    public = browser.server.register("public", redirect_uris=(CALLBACK,))
    answer = browser.token(
        grant_type="authorization_code",
        client_id="public",
        code=browser.authorize(public)["code"],
        redirect_uri=CALLBACK,
        code_verifier=VERIFIER,
    )
    assert 200 == answer.status_code


@pytest.mark.parametrize(
    "change",
    [{"code_verifier": "w" * 64}, {"redirect_uri": CALLBACK + "0"}, {"code": "x"}],
)
def test_code_is_bound(browser: Browser, change: dict[str, str]) -> None:
    """A wrong verifier, redirect URI or code buys nothing."""
    form = {
        "grant_type": "authorization_code",
        "code": browser.authorize(browser.server.client)["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    assert 400 == browser.token(browser.server.client, **{**form, **change}).status_code


@pytest.mark.parametrize(
    "params",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"code_challenge": None},
    ],
)
def test_pkce_s256_is_required(browser: Browser, params: dict[str, Any]) -> None:
    """No challenge, or a plain one, goes back as invalid_request, with state, iss."""
    back = browser.authorize(browser.server.client, **params)
    assert "invalid_request" == back["error"]
    assert ("s1", browser.server.issuer) == (back["state"], back["iss"])


def test_user_may_refuse(browser: Browser) -> None:
    """Told not to approve, it redirects with access_denied."""
    browser.server.rules.approves = False
    back = browser.authorize(browser.server.client)
    assert ("access_denied", "s1") == (back["error"], back["state"])


def test_iss_can_be_wrong_or_absent(browser: Browser) -> None:
    """For tests of RFC 9207: another issuer's name, or none."""
    rules = browser.server.rules
    rules.claimed_issuer = "https://evil.test"
    assert "https://evil.test" == browser.authorize(browser.server.client)["iss"]
    rules.sends_iss = False
    assert "iss" not in browser.authorize(browser.server.client)


def test_unregistered_redirect_is_not_followed(browser: Browser) -> None:
    """An unknown client or redirect URI is answered here, with 400."""
    server = browser.server
    server.register("strict", "s", redirect_uris=(CALLBACK,))
    for client_id, uri in (("strict", "https://evil.test/"), ("unknown", CALLBACK)):
        answer = browser.get(
            server.authorization_endpoint,
            response_type="code",
            client_id=client_id,
            redirect_uri=uri,
        )
        assert (400, None) == (answer.status_code, answer.headers.get("Location"))


def test_refresh_rotates_and_detects_reuse(browser: Browser) -> None:
    """A refresh spends its token; using it again revokes the winner's tokens too."""
    server = browser.server
    first = browser.grant()
    second = browser.refresh(first["refresh_token"]).json()
    assert first["refresh_token"] != second["refresh_token"]
    assert server.accepts(server.rules.user, second["access_token"])
    thief = browser.refresh(first["refresh_token"])
    assert (400, "invalid_grant") == (thief.status_code, thief.json()["error"])
    assert 400 == browser.refresh(second["refresh_token"]).status_code
    assert not server.accepts(server.rules.user, second["access_token"])


def test_a_spent_token_has_its_grace(browser: Browser) -> None:
    """For some seconds it may come again, as where the answer was lost."""
    server, now = browser.server, [1e9]
    server.rules.clock = lambda: now[0]
    server.rules.reuse_grace_s = 30
    first = browser.grant()
    for _ in range(2):
        answer = browser.refresh(first["refresh_token"])
        assert 200 == answer.status_code
        now[0] += 29
    again = browser.refresh(first["refresh_token"])

    assert (400, 1) == (again.status_code, server.reuses)
    assert 400 == browser.refresh(answer.json()["refresh_token"]).status_code


def test_reuse_detection_can_be_off(browser: Browser) -> None:
    """Then a spent token is merely refused."""
    browser.server.rules.detect_reuse = False
    first = browser.grant()
    second = browser.refresh(first["refresh_token"]).json()
    assert 400 == browser.refresh(first["refresh_token"]).status_code
    assert 200 == browser.refresh(second["refresh_token"]).status_code


def test_rotation_can_be_off(browser: Browser) -> None:
    """Then the same refresh token is given back, and goes on working."""
    browser.server.rules.rotate = False
    first = browser.grant()
    for _ in range(2):
        answer = browser.refresh(first["refresh_token"]).json()
        assert first["refresh_token"] == answer["refresh_token"]


def test_refresh_race_has_one_winner(browser: Browser) -> None:
    """Of two refreshes with one token exactly one is granted."""
    browser.server.rules.detect_reuse = False
    token = browser.grant()["refresh_token"]
    with ThreadPoolExecutor(2) as both:
        statuses = list(
            both.map(lambda _: browser.refresh(token).status_code, range(2))
        )
    assert [200, 400] == sorted(statuses)


def test_lifetime_can_change(browser: Browser, now: dict[str, float]) -> None:
    """`lifetime_s` counts from the next answer on, and the clock ends a token."""
    server = browser.server
    server.rules.lifetime_s = 5
    token = browser.token(server.client, grant_type="client_credentials").json()
    assert 5 == token["expires_in"]
    now["now"] += 4
    assert server.accepts(server.rules.user, token["access_token"])
    now["now"] += 1
    assert not server.accepts(server.rules.user, token["access_token"])


def test_members_can_be_omitted(browser: Browser) -> None:
    """expires_in, scope and refresh_token are left out when told so."""
    browser.server.rules.omit = {"expires_in", "scope", "refresh_token"}
    assert {"access_token", "token_type"} == set(browser.grant())


def test_refresh_token_may_need_parameters(browser: Browser) -> None:
    """As with servers that want access_type=offline in the authorization request."""
    browser.server.rules.offline_params = {"access_type": "offline"}
    assert "refresh_token" not in browser.grant()
    assert "refresh_token" in browser.grant(access_type="offline")


def test_token_length(browser: Browser) -> None:
    """Access tokens can be as long as the big providers' are."""
    server = browser.server
    server.rules.token_length = 2500
    token = browser.token(server.client, grant_type="client_credentials").json()
    assert 2500 == len(token["access_token"])


def test_scopes_can_be_limited(browser: Browser) -> None:
    """A scope that isn't allowed is invalid_scope."""
    browser.server.rules.scopes = {"mail.send"}
    answer = browser.token(
        browser.server.client, grant_type="client_credentials", scope="admin"
    )
    assert (400, "invalid_scope") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_jwt_bearer(
    browser: Browser, rsa_key: rsa.RSAPrivateKey, algorithm: str
) -> None:
    """A signed assertion buys a token for its subject, with no other credential."""
    server = browser.server
    key = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa_key
    server.register("robot", public_key=publish(key))
    assertion = sign(
        key,
        algorithm,
        iss="robot",
        sub="mailbox@plant.example",
        aud=server.token_endpoint,
        exp=server.rules.clock() + 60,
        scope="mail.send",
    )
    token = browser.token(grant_type=JWT_BEARER, assertion=assertion).json()
    assert "mail.send" == token["scope"]
    assert server.accepts("mailbox@plant.example", token["access_token"])


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "someone"},
        {"sub": None},
        {"aud": "https://elsewhere.test/token"},
        {"exp": 1},
        {"exp": None},
        {"iat": 9_999_999_999},
        {"key": "other"},
        {"alg": "ES256"},
        {"assertion": "a.b"},
        {"assertion": ""},
    ],
    ids=str,
)
def test_jwt_bearer_refuses(
    browser: Browser, rsa_key: rsa.RSAPrivateKey, change: dict[str, Any]
) -> None:
    """Wrong issuer, subject, audience, times, key, algorithm or form buy nothing."""
    server = browser.server
    key = ec.generate_private_key(ec.SECP256R1()) if "alg" in change else rsa_key
    registered = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if "key" in change
        else rsa_key
    )
    server.register("robot", public_key=publish(registered))
    claims = {
        "iss": "robot",
        "sub": "mailbox@plant.example",
        "aud": server.issuer,
        "exp": server.rules.clock() + 60,
        **{name: change[name] for name in change if name in ("iss", "sub", "aud")},
        **{name: change[name] for name in change if name in ("exp", "iat")},
    }
    assertion = change.get("assertion", sign(key, change.get("alg", "RS256"), **claims))
    answer = browser.token(grant_type=JWT_BEARER, assertion=assertion)
    error = "invalid_request" if assertion == "" else "invalid_grant"
    assert (400, error) == (answer.status_code, answer.json()["error"])


def test_private_key_jwt(browser: Browser, rsa_key: rsa.RSAPrivateKey) -> None:
    """A client may authenticate by an assertion of its own (RFC 7523, 2.2)."""
    server = browser.server
    server.register("robot", public_key=publish(rsa_key))
    claims = {
        "iss": "robot",
        "aud": server.issuer,
        "exp": server.rules.clock() + 60,
    }
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": (
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        ),
    }
    good = sign(rsa_key, "RS256", sub="robot", **claims)
    bad = sign(rsa_key, "RS256", sub="someone", **claims)
    assert 200 == browser.token(client_assertion=good, **form).status_code
    assert 401 == browser.token(client_assertion=bad, **form).status_code
    assert [("robot", "***")] * 2 == [
        (r.client_id, r.form["client_assertion"]) for r in server.requests
    ]


def test_device_grant(browser: Browser, now: dict[str, float]) -> None:
    """A device polls through pending and slow_down to its tokens (RFC 8628)."""
    server = browser.server
    server.rules.device_answers = ["authorization_pending", "slow_down"]
    begun = browser.post(
        server.device_authorization_endpoint, server.client, scope="mail.send"
    ).json()
    assert f"{server.issuer}/device" == begun["verification_uri"]
    assert (600, 1) == (begun["expires_in"], begun["interval"])
    assert 200 == browser.get(begun["verification_uri"]).status_code
    form = {"grant_type": DEVICE, "device_code": begun["device_code"]}
    polls = [browser.token(server.client, **form) for _ in range(4)]
    assert [400, 400, 200, 400] == [p.status_code for p in polls]
    assert ["authorization_pending", "slow_down"] == [
        p.json()["error"] for p in polls[:2]
    ]
    token = polls[2].json()
    assert "refresh_token" in token
    assert server.accepts(server.rules.user, token["access_token"])


def test_device_grant_fails(browser: Browser, now: dict[str, float]) -> None:
    """A device is told access_denied, expired_token, and invalid_grant."""
    server = browser.server
    server.register("tv")
    server.rules.approves = False
    begun = browser.post(server.device_authorization_endpoint, client_id="tv").json()
    form = {"grant_type": DEVICE, "client_id": "tv"}
    denied = browser.token(device_code=begun["device_code"], **form)
    unknown = browser.token(device_code="made-up", **form)
    now["now"] += 601
    expired = browser.token(device_code=begun["device_code"], **form)
    assert ["access_denied", "invalid_grant", "expired_token"] == [
        answer.json()["error"] for answer in (denied, unknown, expired)
    ]


def test_introspection(browser: Browser, now: dict[str, float]) -> None:
    """An authenticated client learns whose token it is, or that it is inactive."""
    server = browser.server
    token = browser.grant()["access_token"]
    claims = browser.post(
        server.introspection_endpoint, server.client, token=token
    ).json()
    user = server.rules.user
    assert (True, user, user) == (claims["active"], claims["username"], claims["email"])
    assert 1_800_003_600 == claims["exp"]
    now["now"] += 3600
    stale = browser.post(server.introspection_endpoint, server.client, token=token)
    assert {"active": False} == stale.json()
    assert 401 == browser.post(server.introspection_endpoint, token=token).status_code


def test_introspection_for_a_mail_server(browser: Browser) -> None:
    """
    Any client may ask about another's token (RFC 7662): it stands for the user that
    was registered with the client, and says its scope and how long it is good.
    """
    server = browser.server
    sender = server.register("sender", "s3cret", user="pump-7@plant.example")
    resource = server.register("dovecot", "an/other+secret")
    form = {"grant_type": "client_credentials", "scope": "mail.send"}
    token = browser.token(sender, **form).json()
    url = server.introspection_endpoint
    claims = browser.post(url, resource, token=token["access_token"]).json()
    assert {
        "active": True,
        "client_id": "sender",
        "email": "pump-7@plant.example",
        "scope": "mail.send",
        "sub": "pump-7@plant.example",
        "token_type": "Bearer",
        "username": "pump-7@plant.example",
    } == {k: v for k, v in claims.items() if k not in ("exp", "iat", "iss")}
    assert token["expires_in"] == claims["exp"] - claims["iat"]
    assert "***" == server.requests[-1].form["token"]
    server.revoke_tokens()
    assert {"active": False} == browser.post(
        url, resource, token=token["access_token"]
    ).json()


def test_tokens_may_be_long(browser: Browser) -> None:
    """`token_length` counts from the next token on, 3 KB as good as any."""
    server = browser.server
    server.rules.token_length = 3000
    form = {"grant_type": "client_credentials"}
    token = browser.token(server.client, **form).json()["access_token"]
    assert 3000 == len(token)
    assert server.accepts(server.rules.user, token)
    claims = browser.post(server.introspection_endpoint, server.client, token=token)
    assert claims.json()["active"]


def test_revocation(browser: Browser) -> None:
    """A revoked refresh token takes the access tokens of its grant along."""
    server = browser.server
    token = browser.grant()
    revoked = browser.post(
        server.revocation_endpoint, server.client, token=token["refresh_token"]
    )
    assert (200, b"") == (revoked.status_code, revoked.content)
    assert not server.accepts(server.rules.user, token["access_token"])
    assert 400 == browser.refresh(token["refresh_token"]).status_code


def test_tokens_can_be_revoked_behind_the_clients_back(browser: Browser) -> None:
    """Access tokens, or refresh tokens, become worthless with nobody told."""
    server = browser.server
    token = browser.grant()
    server.revoke_tokens()
    assert not server.accepts(server.rules.user, token["access_token"])
    renewed = browser.refresh(token["refresh_token"]).json()
    server.revoke_tokens("refresh_token")
    assert server.accepts(server.rules.user, renewed["access_token"])
    assert 400 == browser.refresh(renewed["refresh_token"]).status_code


def test_answers_can_be_overridden(browser: Browser) -> None:
    """The next answers are what a test says, then the server's own again."""
    server = browser.server
    server.answer_next(503, b"<html>busy</html>", {"Retry-After": "7"}, count=2)
    server.answer_next(200, {"access_token": "x"})
    form = {"grant_type": "client_credentials"}
    answers = [browser.token(server.client, **form) for _ in range(4)]
    assert [503, 503, 200, 200] == [a.status_code for a in answers]
    assert "7" == answers[0].headers["Retry-After"]
    assert {"access_token": "x"} == answers[2].json()
    assert "expires_in" in answers[3].json()
    server.answer_next(0)
    with pytest.raises(requests.ConnectionError):
        browser.token(server.client, **form)
    assert 5 == server.token_requests
    server.answer_next(500, path="/introspect")
    introspected = browser.post(server.introspection_endpoint, server.client, token="x")
    assert 500 == introspected.status_code


def test_a_lost_answer_has_spent_the_token(browser: Browser) -> None:
    """`spent`: the refresh is carried out and its answer lost."""
    server = browser.server
    token = browser.grant()["refresh_token"]
    server.answer_next(502, spent=True)
    assert 502 == browser.refresh(token).status_code
    assert 400 == browser.refresh(token).status_code
    fresh = browser.grant()["refresh_token"]
    server.answer_next(502)
    assert 502 == browser.refresh(fresh).status_code
    assert 200 == browser.refresh(fresh).status_code


def test_hold_keeps_token_answers(browser: Browser) -> None:
    """Held, a token request is decided but not answered; the rest goes on."""
    server = browser.server
    server.hold.close()
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(
            browser.token, server.client, grant_type="client_credentials"
        )
        server.hold.wait_held()
        assert (False, 1) == (asked.done(), server.token_requests)
        metadata = f"{server.issuer}/.well-known/openid-configuration"
        assert 200 == browser.get(metadata).status_code
        server.hold.open()
        assert 200 == asked.result().status_code


def test_requests_are_recorded_masked(browser: Browser) -> None:
    """Path, grant type and client are kept; secrets are not."""
    server = browser.server
    token = browser.grant()
    browser.refresh(token["refresh_token"])
    authorize, trade, refresh = server.requests
    assert ("GET", "/authorize") == (authorize.method, authorize.path)
    assert ("POST", "/token", "authorization_code", "email-profiles") == (
        trade.method,
        trade.path,
        trade.grant_type,
        trade.client_id,
    )
    masked = {"grant_type": "refresh_token", "refresh_token": "***"}
    assert masked == refresh.form
    assert str(server.client.client_secret) not in repr(server.requests)
    assert token["refresh_token"] not in repr(server.requests)
    assert VERIFIER not in repr(server.requests)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password", "username": "u"}, "unsupported_grant_type"),
        ({}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": JWT_BEARER}, "invalid_request"),
    ],
)
def test_bad_token_requests(browser: Browser, form: dict[str, str], error: str) -> None:
    """What isn't a grant is refused by its RFC 6749 name."""
    answer = browser.token(browser.server.client, **form)
    assert (400, error) == (answer.status_code, answer.json()["error"])


def test_wrong_method_and_path(browser: Browser) -> None:
    """GET at the token endpoint is invalid_request; an unknown path is 404."""
    assert 400 == browser.get(browser.server.token_endpoint).status_code
    assert 404 == browser.get(f"{browser.server.issuer}/nowhere").status_code


def test_distrustful_client(authorization_server: AuthorizationServer) -> None:
    """A client that doesn't trust the certificate disturbs nobody."""
    address = ("127.0.0.1", authorization_server.port)
    context = ssl.create_default_context()
    with (
        socket.create_connection(address, timeout=10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")
    browser = Browser(authorization_server)
    with browser.session:
        assert 404 == browser.get(authorization_server.issuer).status_code


def test_stop_and_restart(browser: Browser) -> None:
    """Stopped, it refuses connections; started again, its tokens are still good."""
    server = browser.server
    token = browser.grant()
    port = server.port
    server.stop()
    with pytest.raises(requests.ConnectionError):
        browser.refresh(token["refresh_token"])
    server.start()
    assert port == server.port
    assert 200 == browser.refresh(token["refresh_token"]).status_code


def test_nothing_leaks(
    certificate_authority: CertificateAuthority, recwarn: pytest.WarningsRecorder
) -> None:
    """Stopped while it holds an answer and a client is silent, it leaves nothing."""
    with ThreadPoolExecutor(1) as other:
        with AuthorizationServer(certificate_authority) as server:
            browser = Browser(server)
            silent = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            server.hold.close()
            asked = other.submit(
                browser.token, server.client, grant_type="client_credentials"
            )
            server.hold.wait_held()
        assert isinstance(asked.exception(), requests.ConnectionError)
    silent.close()
    browser.session.close()
    gc.collect()
    assert [] == [str(w.message) for w in recwarn]


def test_smtp_server_takes_its_tokens(
    authorization_server: AuthorizationServer, smtp_server_factory: Any
) -> None:
    """`accepts` plugs into the SMTP server: a token buys a login."""
    import smtplib

    server: SmtpServer = smtp_server_factory(accept_token=authorization_server.accepts)
    browser = Browser(authorization_server)
    user = authorization_server.rules.user
    with browser.session:
        token = browser.grant()["access_token"]
    with smtplib.SMTP(server.host, server.port, "client.test") as client:
        client.ehlo()
        response = next(sasl.XOAuth2(user, token).respond()) or b""
        code, _ = client.auth("XOAUTH2", lambda challenge=None: response.decode())
        client.sendmail(user, ["b@plant.test"], b"Subject: x\r\n\r\n")
    assert (235, user) == (code, server.messages[0].identity)
