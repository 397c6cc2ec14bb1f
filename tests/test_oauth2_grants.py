"""Mode oauth2 where a person grants access: live servers, good, strange and hostile."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from oauth2_bench import (
    ENDPOINT,
    REDIRECT,
    SECRET,
    TOKEN,
    Build,
    Script,
    builder,
    client,
    failing,
    far,
    grant,
    jwt_of,
    live_client,
    parameters,
    token_of,
    visit,
)

from email_profiles_hookspecs import OAuth2Client, SecretRef
from email_profiles_hookspecs.errors import (
    GrantRefused,
    HttpError,
    NeedsGrant,
    SlowDown,
    TokenError,
)
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.http import HttpClient
from email_profiles_plugin.providers.oauth2 import OAuth2
from email_profiles_plugin.testing import AuthorizationServer, CertificateAuthority

USER = "gateway@plant.example"
AUTHORIZE = "https://login.example/authorize"
DEVICE = "https://login.example/device"


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    with builder(tmp_path) as made:
        yield made


@pytest.fixture
def ca_file(authorization_server: AuthorizationServer) -> str:
    return str(authorization_server.ca_file)


def found_by_issuer(server: AuthorizationServer, **changes: Any) -> OAuth2Client:
    """A client of *server* that names its issuer, and no endpoint."""
    bare = dict.fromkeys(["token_endpoint", "revocation_endpoint"])
    return live_client(server, issuer=server.issuer, **{**bare, **changes})


def interactive(
    build: Build, server: AuthorizationServer, registered: OAuth2Client, **auth: Any
) -> OAuth2:
    """An authenticator that waits for nobody."""
    wanted = {"interactive": True, "access_token_timeout_s": 0, **auth}
    return build(registered, HttpClient(SystemClock()), **wanted)


@pytest.fixture
def authenticator(build: Build, authorization_server: AuthorizationServer) -> OAuth2:
    """An interactive profile of a client that is found by its issuer."""
    registered = found_by_issuer(authorization_server)
    return interactive(build, authorization_server, registered, scope="mail.send")


# Granted in a browser


def test_live_grant(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Nobody granted yet; then somebody does, and mail can be sent."""
    before = authenticator.status()
    assert ("needs grant", ("grant", "device")) == (before.state, before.actions)
    assert "nobody has granted access yet" in before.error

    status = grant(authenticator, ca_file)

    assert ("valid", "mail.send", "") == (status.state, status.scope, status.error)
    assert ("refresh", "grant", "device", "revoke") == status.actions
    assert status.has_refresh_token
    assert authorization_server.accepts(USER, token_of(authenticator))


def test_live_refresh(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Each refresh uses the refresh token that the last one brought (rotation)."""
    grant(authenticator, ca_file)
    first = token_of(authenticator)

    for generation in (2, 3):
        assert generation == authenticator.refresh(far()).generation

    assert first != token_of(authenticator)
    assert authorization_server.accepts(USER, token_of(authenticator))
    kinds = [r.grant_type for r in authorization_server.requests if r.path == "/token"]
    assert ["authorization_code", "refresh_token", "refresh_token"] == kinds


def test_live_revocation(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """The whole grant is gone at the server, and a person is needed again."""
    grant(authenticator, ca_file)
    token = token_of(authenticator)

    authenticator.revoke(far())

    assert not authorization_server.accepts(USER, token)
    status = authenticator.status()
    assert ("needs grant", ("grant", "device")) == (status.state, status.actions)
    hints = [r.form.get("token_type_hint") for r in authorization_server.requests]
    assert ["refresh_token", "access_token"] == [hint for hint in hints if hint]


def test_live_revocation_elsewhere(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """A refresh token that is no good any more: a person is needed, with the cause."""
    grant(authenticator, ca_file)
    authorization_server.revoke_tokens("refresh_token")
    with pytest.raises(GrantRefused, match="invalid_grant"):
        authenticator.refresh(far())

    assert "invalid_grant" in authenticator.status().error
    assert authorization_server.accepts(USER, token_of(authenticator))


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_live_ways_to_prove_a_client(
    build: Build, authorization_server: AuthorizationServer, ca_file: str, method: str
) -> None:
    """Exchange and refresh by either way of giving the secret."""
    registered = found_by_issuer(
        authorization_server, token_endpoint_auth_method=method
    )
    made = interactive(build, authorization_server, registered)
    grant(made, ca_file)

    assert 2 == made.refresh(far()).generation


def test_live_public_client(
    build: Build, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """A client without a secret has PKCE alone."""
    authorization_server.register("public")
    registered = found_by_issuer(
        authorization_server,
        client_id="public",
        client_secret=None,
        token_endpoint_auth_method="none",
    )
    authorization_server.register("public")
    made = interactive(build, authorization_server, registered)

    grant(made, ca_file)

    assert 2 == made.refresh(far()).generation


@pytest.mark.parametrize("interactively", [False, True])
def test_live_private_key(
    build: Build,
    authorization_server: AuthorizationServer,
    ca_file: str,
    interactively: bool,
) -> None:
    """A client signs with its key, which the server verifies; each request anew."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(Encoding.PEM, form)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    registered = found_by_issuer(
        authorization_server,
        client_id="signer",
        client_secret=None,
        token_endpoint_auth_method="private_key_jwt",
        private_key=SecretRef(kind="plain", place="c1/key", value=pem.decode()),
        algorithm="ES256",
    )
    authorization_server.register("signer", public_key=public)
    made = interactive(
        build, authorization_server, registered, interactive=interactively
    )
    if interactively:
        grant(made, ca_file)
    else:
        made.acquire(far())

    assert 2 == made.refresh(far()).generation
    assert authorization_server.accepts(USER, token_of(made))
    made.revoke(far())
    asked = [r for r in authorization_server.requests if r.method == "POST"]
    assert {"signer"} == {one.client_id for one in asked}
    assert {"***"} == {one.form["client_assertion"] for one in asked}


def test_live_refusal_by_the_person(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Who refuses is told so, in the server's words; nothing was asked with a code."""
    authorization_server.rules.approves = False

    with pytest.raises(GrantRefused) as caught:
        grant(authenticator, ca_file)

    assert "access_denied" == caught.value.error
    assert 0 == authorization_server.token_requests
    assert "needs grant" == authenticator.status().state


@pytest.mark.parametrize("code", ["access_denied", "invalid_scope"])
def test_a_refusal_is_its_own_cause_never(build: Build, code: str) -> None:
    """Whoever follows the causes of an error comes to an end."""
    made = build(client(authorization_endpoint=AUTHORIZE), Script({}), interactive=True)
    redirect = made.begin(REDIRECT, "s")

    with pytest.raises(GrantRefused) as caught:
        made.complete(REDIRECT, {"error": code, "state": "s"}, redirect.kept, far())

    assert caught.value.__cause__ is not caught.value


def test_refusal_with_a_description(build: Build) -> None:
    """What the server has to say is shown, but for what looks like a secret."""
    made = build(client(authorization_endpoint=AUTHORIZE), Script({}), interactive=True)
    redirect = made.begin(REDIRECT, "s")
    query = {
        "error": "invalid_scope",
        "error_description": "no such scope; you sent c4n4ry0123456789abcdef0123",
    }

    error = failing(made, lambda: made.complete(REDIRECT, query, redirect.kept, far()))

    assert isinstance(error, GrantRefused)
    assert "invalid_scope" == error.error
    assert "no such scope; you sent ***" in str(error)
    assert "look at the scope" in error.remedy


def test_live_replay(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """A code is good once; the second time is the server's refusal, told as such."""
    redirect = authenticator.begin(REDIRECT, "s")
    query = visit(redirect.url, ca_file)
    authenticator.complete(REDIRECT, query, redirect.kept, far())

    with pytest.raises(GrantRefused, match="invalid_grant"):
        authenticator.complete(REDIRECT, query, redirect.kept, far())


def test_live_verifier_of_another_grant(authenticator: OAuth2, ca_file: str) -> None:
    """A code that was injected does not fit the verifier (RFC 7636, 1)."""
    query = visit(authenticator.begin(REDIRECT, "s").url, ca_file)
    other = authenticator.begin(REDIRECT, "s")

    with pytest.raises(GrantRefused, match="invalid_grant"):
        authenticator.complete(REDIRECT, query, other.kept, far())


def test_each_grant_has_its_own_verifier(authenticator: OAuth2) -> None:
    """Two grants that are begun share nothing, and show no verifier."""
    first, second = (authenticator.begin(REDIRECT, "s") for _ in range(2))

    challenges = {parameters(one.url)["code_challenge"] for one in (first, second)}
    assert 2 == len(challenges)
    assert "verifier" not in first.url
    assert first.kept not in repr(first)


def test_live_issuer_that_is_missing(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Metadata promises `iss`, and the answer has none: it is not used."""
    redirect = authenticator.begin(REDIRECT, "s")
    query = visit(redirect.url, ca_file)
    del query["iss"]

    with pytest.raises(TokenError, match="does not say whose it is"):
        authenticator.complete(REDIRECT, query, redirect.kept, far())

    assert 0 == authorization_server.token_requests


def test_live_issuer_of_another(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Another issuer's answer is not used, whether it is a code or a refusal."""
    authorization_server.rules.claimed_issuer = "https://evil.example"
    for approves in (True, False):
        authorization_server.rules.approves = approves
        with pytest.raises(TokenError, match=r"of issuer 'https://evil\.example'"):
            grant(authenticator, ca_file)

    assert 0 == authorization_server.token_requests


def test_live_server_without_iss(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Where nobody promises it, the answer needs none."""
    authorization_server.rules.sends_iss = False

    assert "valid" == grant(authenticator, ca_file).state


def test_live_endpoints_without_metadata(
    build: Build, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Metadata that can't be had is no obstacle where the endpoints are given."""
    authorization_server.answer_next(
        503, path="/.well-known/oauth-authorization-server"
    )
    authorization_server.answer_next(404, path="/.well-known/openid-configuration")
    registered = live_client(
        authorization_server,
        issuer=authorization_server.issuer,
        authorization_endpoint=authorization_server.authorization_endpoint,
    )
    made = interactive(build, authorization_server, registered)

    assert "valid" == grant(made, ca_file).state


def test_live_no_refresh_token(
    build: Build, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """The access token is kept; the status says what is missing, and what to do."""
    wanted = {"access_type": "offline", "prompt": "consent"}
    authorization_server.rules.offline_params = wanted
    registered = found_by_issuer(authorization_server)
    made = interactive(build, authorization_server, registered)

    status = grant(made, ca_file)

    assert ("valid", False) == (status.state, status.has_refresh_token)
    assert "gave no refresh token" in status.error
    assert "prompt=consent" in status.error
    assert ("grant", "device", "revoke") == status.actions
    assert authorization_server.accepts(USER, token_of(made))

    asking = interactive(
        build, authorization_server, registered, authorization_params=wanted
    )
    assert ("", True) == (
        grant(asking, ca_file).error,
        asking.status().state == "valid",
    )
    assert asking.status().has_refresh_token


def test_it_can_not_be_renewed(build: Build) -> None:
    """When it has expired, a person is needed, and told why it came to that."""
    http = Script({ENDPOINT: (200, {**TOKEN, "expires_in": 0})})
    registered = client(authorization_endpoint=AUTHORIZE)
    made = build(registered, http, interactive=True, access_token_timeout_s=0)
    redirect = made.begin(REDIRECT, "s")
    made.complete(REDIRECT, {"code": "canary"}, redirect.kept, far())

    error = failing(made)

    assert isinstance(error, NeedsGrant)
    assert "gave no refresh token" in str(error)
    status = made.status()
    assert "needs grant" == status.state
    assert "gave no refresh token" in status.error


@pytest.mark.parametrize(
    ("claims", "account", "told"),
    [
        ({"email": USER}, USER, False),
        ({"upn": "other@plant.example"}, "other@plant.example", True),
    ],
)
@pytest.mark.parametrize("place", ["id_token", "access_token"])
def test_live_account(
    build: Build,
    authorization_server: AuthorizationServer,
    ca_file: str,
    claims: dict[str, str],
    account: str,
    told: bool,
    place: str,
) -> None:
    """Who granted is kept and shown; another than the username is told (RFC 7519)."""
    body = {**TOKEN, "refresh_token": "canary-refresh", place: jwt_of(**claims)}
    authorization_server.answer_next(200, body)
    made = interactive(
        build, authorization_server, found_by_issuer(authorization_server)
    )

    status = grant(made, ca_file)

    assert (account, told) == (status.account, "was granted by" in status.error)
    assert "valid" == status.state
    authorization_server.answer_next(200, TOKEN)
    assert account == made.refresh(far()).account  # which does not say it again


def test_live_changed_scope(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """What was granted in place of what was asked for is kept, and shown."""
    body = {**TOKEN, "refresh_token": "canary-refresh", "scope": "mail.read"}
    authorization_server.answer_next(200, body)

    assert "mail.read" == grant(authenticator, ca_file).scope


# Refreshed


def granted(build: Build, http: Script, **auth: Any) -> OAuth2:
    """An interactive profile that was granted, by *http*."""
    registered = client(authorization_endpoint=AUTHORIZE)
    made = build(registered, http, interactive=True, **auth)
    redirect = made.begin(REDIRECT, "s")
    made.complete(REDIRECT, {"code": "canary-code"}, redirect.kept, far())
    http.asked.clear()
    return made


ALL_OF_IT = {**TOKEN, "refresh_token": "canary-refresh"}


def test_refresh_asks_for_the_scope(build: Build) -> None:
    """Microsoft wants it (AADSTS900144)."""
    http = Script({ENDPOINT: (200, ALL_OF_IT)})
    made = granted(build, http, scope="a b")

    made.refresh(far())

    (asked,) = http.asked
    assert {
        "grant_type": "refresh_token",
        "refresh_token": "canary-refresh",
        "scope": "a b",
    } == asked.form


def test_refresh_without_the_scope(
    build: Build, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """A server that granted less may refuse the scope: it is asked without."""
    registered = found_by_issuer(authorization_server)
    made = interactive(build, authorization_server, registered, scope="mail.send more")
    grant(made, ca_file)
    authorization_server.answer_next(400, {"error": "invalid_scope"})

    status = made.refresh(far())

    assert ("valid", 2) == (status.state, status.generation)
    forms = [r.form for r in authorization_server.requests if r.path == "/token"]
    assert ["mail.send more", None] == [form.get("scope") for form in forms[1:]]


def test_refresh_keeps_what_is_not_said_again(build: Build) -> None:
    """No new refresh token: the old one stays (RFC 6749, 6); so does the scope."""
    http = Script({ENDPOINT: (200, {**ALL_OF_IT, "scope": "a"})})
    made = granted(build, http, scope="a")
    http.answers[ENDPOINT] = (200, TOKEN)

    for _ in range(2):
        status = made.refresh(far())

    assert (True, "a") == (status.has_refresh_token, status.scope)
    sent = {asked.form["refresh_token"] for asked in http.asked}
    assert {"canary-refresh"} == sent


# Hostile and strange answers, to an exchange and to a refresh


HUGE = 100 * 1000 * 1000

BAD = {
    "html": (200, b"<html>Sign in</html>", "no JSON object"),
    "array": (200, b"[1]", "no JSON object"),
    "nothing": (200, b"", "no JSON object"),
    "no token": (200, {"token_type": "Bearer"}, "no access token"),
    "null token": (200, {"access_token": None}, "token that is none"),
    "not a token": (200, {"access_token": "a\r\nb"}, "token that is none"),
    "deep": (200, b"[" * 100_000, "no JSON object"),
    "503": (503, b"busy canary0123456789abcdef01234", "answered 503"),
    "503 in JSON": (503, {"message": "busy"}, "answered 503"),
    "redirect": (302, b"", "answered 302"),
    "huge": (200, HUGE, "too big"),
    "refusal": (400, {"error": "invalid_client"}, "refused: invalid_client"),
}


def octets(body: Any) -> Any:
    """A body, or as many octets."""
    return b" " * body if isinstance(body, int) else body


GOOD = {
    "text": ("3600", True),
    "null": (None, False),
    "number": (3600, True),
    "fraction": (3600.5, True),
    "nonsense": ("soon", False),
    "negative": (-1, True),
    "endless": (1e300, True),
}


@pytest.mark.parametrize("answer", BAD)
def test_live_bad_answer_to_an_exchange(
    authenticator: OAuth2,
    authorization_server: AuthorizationServer,
    ca_file: str,
    answer: str,
) -> None:
    """A named error, without a secret; the next grant goes well."""
    status, body, said = BAD[answer]
    authorization_server.answer_next(status, octets(body))

    error = failing(authenticator, lambda: grant(authenticator, ca_file))

    assert isinstance(error, TokenError | HttpError)
    assert said in str(error)
    assert said in authenticator.status().error
    assert "needs grant" == authenticator.status().state
    assert "valid" == grant(authenticator, ca_file).state


@pytest.mark.parametrize("answer", BAD)
def test_live_bad_answer_to_a_refresh(
    authenticator: OAuth2,
    authorization_server: AuthorizationServer,
    ca_file: str,
    answer: str,
) -> None:
    """A named error, without a secret; the tokens are as good as before."""
    grant(authenticator, ca_file)
    token = token_of(authenticator)
    status, body, said = BAD[answer]
    authorization_server.answer_next(
        status, octets(body), count=2
    )  # a lost answer: once more

    error = failing(authenticator, lambda: authenticator.refresh(far()))

    assert isinstance(error, TokenError | HttpError)
    assert said in str(error)
    found = authenticator.status()
    assert (True, "valid") == (said in found.error, found.state)
    assert token == token_of(authenticator)
    if isinstance(error, GrantRefused):  # no lost answer: it was not asked again
        with pytest.raises(GrantRefused):
            authenticator.refresh(far())
    assert 2 == authenticator.refresh(far()).generation


@pytest.mark.parametrize("answer", GOOD)
def test_live_lifetimes(
    authenticator: OAuth2,
    authorization_server: AuthorizationServer,
    ca_file: str,
    answer: str,
) -> None:
    """expires_in as a string, null, or nonsense, in an exchange and in a refresh."""
    said, expires = GOOD[answer]
    body = {**ALL_OF_IT, "expires_in": said}
    authorization_server.answer_next(200, body, count=2)

    assert expires == (grant(authenticator, ca_file).expires_at is not None)
    assert expires == (authenticator.refresh(far()).expires_at is not None)
    assert 2 == authenticator.status().generation


def test_live_lifetime_that_is_missing(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """Without expires_in the token does not expire, unless a default says so."""
    authorization_server.rules.omit.add("expires_in")

    assert grant(authenticator, ca_file).expires_at is None
    assert authenticator.refresh(far()).expires_at is None


@contextmanager
def dripping(authority: CertificateAuthority) -> Iterator[str]:
    """A token endpoint that sends an octet every 20 ms, and never ends."""
    over = threading.Event()

    def run(listener: Any, context: ssl.SSLContext) -> None:
        while not over.is_set():
            try:
                raw, _ = listener.accept()
                with raw, context.wrap_socket(raw, server_side=True) as wire:
                    wire.recv(65536)
                    wire.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    while not over.wait(0.02):
                        wire.sendall(b" ")
            except OSError:
                continue

    with create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(
            target=run, args=(listener, authority.server_context())
        )
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}/token"
        finally:
            over.set()
            thread.join()


def test_live_slow_drip(
    build: Build,
    authorization_server: AuthorizationServer,
    certificate_authority: CertificateAuthority,
    ca_file: str,
) -> None:
    """A drip does not stretch the client's time; exchange and refresh end by name."""
    with dripping(certificate_authority) as endpoint:
        slow = found_by_issuer(
            authorization_server, token_endpoint=endpoint, request_timeout_ms=300
        )
        made = interactive(build, authorization_server, slow)

        exchange = failing(made, lambda: grant(made, ca_file))
        authorization_server.answer_next(200, ALL_OF_IT)
        good = interactive(
            build, authorization_server, found_by_issuer(authorization_server)
        )
        grant(good, ca_file)
        refresh = failing(made, lambda: made.refresh(far()))

    for error in (exchange, refresh):
        assert isinstance(error, HttpError)
        assert "timed out" in str(error)
    assert ("valid", True) == (made.status().state, made.status().has_refresh_token)


@pytest.mark.parametrize("path", ["/token"])
def test_live_server_that_hangs_up(
    authenticator: OAuth2,
    authorization_server: AuthorizationServer,
    ca_file: str,
    path: str,
) -> None:
    """No answer at all is an error with a name, and costs no refresh token."""
    grant(authenticator, ca_file)
    authorization_server.answer_next(0, count=2, path=path)

    error = failing(authenticator, lambda: authenticator.refresh(far()))

    assert isinstance(error, HttpError)
    assert 2 == authenticator.refresh(far()).generation


# Granted from another device


def test_live_device(
    authenticator: OAuth2, authorization_server: AuthorizationServer
) -> None:
    """Pending, slower, granted (RFC 8628, 3.5); refreshed from then on."""
    told = ["authorization_pending", "slow_down", "slow_down"]
    authorization_server.rules.device_answers = told
    device = authenticator.device_begin(far())

    assert ("/device", 1, 600) == (
        device.verification_uri.removeprefix(authorization_server.issuer),
        device.interval,
        device.expires_in,
    )
    assert device.device_code not in repr(device)
    assert authenticator.device_poll(device, far()) is None
    for interval in (6, 11):
        with pytest.raises(SlowDown) as caught:
            authenticator.device_poll(device, far())
        assert interval == caught.value.interval
        device = evolve(device, interval=interval)
    status = authenticator.device_poll(device, far())

    assert status is not None
    assert ("valid", "mail.send", True) == (
        status.state,
        status.scope,
        status.has_refresh_token,
    )
    assert authorization_server.accepts(USER, token_of(authenticator))
    assert 2 == authenticator.refresh(far()).generation


@pytest.mark.parametrize("error", ["access_denied", "expired_token"])
def test_live_device_refused(
    authenticator: OAuth2, authorization_server: AuthorizationServer, error: str
) -> None:
    """The person refused, or was too slow: named, and the end of it."""
    authorization_server.rules.device_answers = [error]
    device = authenticator.device_begin(far())

    with pytest.raises(GrantRefused) as caught:
        authenticator.device_poll(device, far())

    assert error == caught.value.error
    assert "needs grant" == authenticator.status().state


@pytest.mark.parametrize("status", [0, 503])
def test_live_device_without_an_answer(
    authenticator: OAuth2, authorization_server: AuthorizationServer, status: int
) -> None:
    """A server that is away for a moment ends nothing: poll, but less often."""
    device = authenticator.device_begin(far())
    authorization_server.answer_next(status, b"busy")

    with pytest.raises(SlowDown):
        authenticator.device_poll(device, far())

    assert authenticator.device_poll(device, far()) is not None


def test_live_device_of_a_public_client(
    build: Build, authorization_server: AuthorizationServer
) -> None:
    """A client without a secret says who it is, in both requests."""
    registered = found_by_issuer(
        authorization_server,
        client_id="public",
        client_secret=None,
        token_endpoint_auth_method="none",
    )
    authorization_server.register("public")
    made = interactive(build, authorization_server, registered)

    assert made.device_poll(made.device_begin(far()), far()) is not None
    asked = [r for r in authorization_server.requests if r.method == "POST"]
    assert ["public", "public"] == [one.client_id for one in asked]


def test_a_device_has_no_parameters_of_others(build: Build) -> None:
    """Each kind of additional parameters is for its own request; none is for these."""
    answer = {
        "device_code": "canary-device",
        "user_code": "A",
        "verification_uri": "https://login.example/",
        "expires_in": 60,
    }
    http = Script({DEVICE: (200, answer), ENDPOINT: (200, ALL_OF_IT)})
    registered = client(
        device_authorization_endpoint=DEVICE, token_endpoint_auth_method="none"
    )
    kinds = ("authorization", "authorization_code_token", "refresh_token")
    wanted = {f"{kind}_params": {"plant": "7"} for kind in kinds}
    wanted["client_credentials_token_params"] = {"plant": "7"}
    made = build(registered, http, interactive=True, scope="a b", **wanted)

    made.device_poll(made.device_begin(far()), far())

    assert [
        {"client_id": "me:too", "scope": "a b"},
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": "canary-device",
            "client_id": "me:too",
        },
    ] == [asked.form for asked in http.asked]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": "invalid_scope"}, "invalid_scope"),
        (404, b"<html>", "answered 404"),
        (200, {"error": "unauthorized_client"}, "unauthorized_client"),
        (200, b"[]", "begins no grant"),
        (200, {"device_code": "canary"}, "begins no grant"),
    ],
)
def test_device_that_can_not_be_begun(
    build: Build, status: int, body: object, said: str
) -> None:
    """In the server's words, or by what is missing."""
    http = Script({DEVICE: (status, body)})
    registered = client(device_authorization_endpoint=DEVICE)
    made = build(registered, http, interactive=True)

    error = failing(made, lambda: made.device_begin(far()))

    assert said in str(error)


def test_live_metadata_without_a_device_endpoint(
    authenticator: OAuth2, authorization_server: AuthorizationServer
) -> None:
    """Offered while nobody has looked; then it is known, and told."""
    authorization_server.rules.metadata["device_authorization_endpoint"] = None
    assert "device" in authenticator.status().actions

    with pytest.raises(TokenError, match="has no device authorization endpoint"):
        authenticator.device_begin(far())

    assert ("grant",) == authenticator.status().actions


# Actions


@pytest.mark.parametrize(
    ("changes", "actions"),
    [
        ({}, ()),
        ({"authorization_endpoint": AUTHORIZE}, ("grant",)),
        ({"device_authorization_endpoint": DEVICE}, ("device",)),
        ({"issuer": "https://login.example"}, ("grant", "device")),
    ],
)
def test_actions_by_the_client(
    build: Build, changes: dict[str, str], actions: tuple[str, ...]
) -> None:
    """A person is offered the ways that the client has, where there is no token yet."""
    made = build(client(**changes), Script({}), interactive=True)

    assert actions == made.status().actions


def test_actions_without_the_client(build: Build) -> None:
    """A status can be had although the client is gone."""
    assert () == build(None, Script({}), interactive=True).status().actions


@pytest.mark.parametrize("answer", [TOKEN, ALL_OF_IT])
def test_actions_of_what_was_granted(build: Build, answer: dict[str, Any]) -> None:
    """*Refresh* only where a refresh token is there; revoke where anything is."""
    http = Script({ENDPOINT: (200, answer)})

    actions = granted(build, http).status().actions

    refresh = ("refresh",) if "refresh_token" in answer else ()
    assert (*refresh, "grant", "revoke") == actions


def test_nothing_to_revoke(build: Build) -> None:
    """A first request that failed has left nothing."""
    http = Script({ENDPOINT: (503, b"busy")})
    made = build(client(), http)
    failing(made)

    assert ("error", ("refresh",)) == (made.status().state, made.status().actions)


SAID: list[Callable[[OAuth2], object]] = [
    lambda made: made.begin(REDIRECT, "s"),
    lambda made: made.device_begin(far()),
]


@pytest.mark.parametrize("act", SAID)
def test_client_without_endpoints(
    build: Build, act: Callable[[OAuth2], object]
) -> None:
    """Where there is no way, nothing is asked, and the client is named."""
    http = Script({})
    made = build(client(), http, interactive=True)

    error = failing(made, lambda: act(made))

    assert "OAuth2 client 'plant' has no" in str(error)
    assert [] == http.asked


def test_secrets_stay_where_they_are(
    authenticator: OAuth2, authorization_server: AuthorizationServer, ca_file: str
) -> None:
    """No repr of what is returned holds a token, a code, a verifier or the secret."""
    redirect = authenticator.begin(REDIRECT, "s")
    query = visit(redirect.url, ca_file)
    status = authenticator.complete(REDIRECT, query, redirect.kept, far())
    token = token_of(authenticator)

    told = repr([authenticator, redirect, status, authenticator.acquire(far())])

    for secret in (SECRET, token, query["code"], redirect.kept):
        assert secret not in told
