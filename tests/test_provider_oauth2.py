"""Mode oauth2: what it asks authorization servers, live ones and scripted ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from oauth2_bench import (
    ENDPOINT,
    REDIRECT,
    REFUSED,
    SECRET,
    TOKEN,
    Build,
    Script,
    builder,
    client,
    encoded,
    failing,
    far,
    live_client,
    profile,
    provider,
    token_of,
)

from email_profiles_hookspecs import (
    DeviceGrantable,
    Grantable,
    HttpReply,
    Manageable,
    OAuth2Client,
    SecretRef,
)
from email_profiles_hookspecs.errors import (
    GrantRefused,
    HttpError,
    NeedsGrant,
    NotFound,
    TokenError,
)
from email_profiles_plugin import plugins
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.http import HttpClient
from email_profiles_plugin.providers.oauth2 import OAuth2
from email_profiles_plugin.testing import AuthorizationServer

REVOCATION = "https://login.example/revoke"


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    with builder(tmp_path) as made:
        yield made


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_live_client_credentials(
    build: Build, authorization_server: AuthorizationServer, method: str
) -> None:
    """A real authorization server grants a token that it then accepts."""
    registered = live_client(authorization_server, token_endpoint_auth_method=method)
    authenticator = build(registered, HttpClient(SystemClock()), scope="mail.send")

    token = token_of(authenticator)

    assert authorization_server.accepts(authorization_server.rules.user, token)
    assert token == token_of(authenticator)
    assert 1 == authorization_server.token_requests
    status = authenticator.status()
    assert ("valid", "mail.send", 1) == (status.state, status.scope, status.generation)
    assert status.expires_at is not None


def test_live_refusal(build: Build, authorization_server: AuthorizationServer) -> None:
    """A wrong secret is told as such, and shown nowhere."""
    wrong = SecretRef(kind="plain", place="c1/client_secret", value="canary-wrong")
    registered = live_client(authorization_server, client_secret=wrong)

    error = failing(build(registered, HttpClient(SystemClock())))

    assert isinstance(error, GrantRefused)
    assert "invalid_client" == error.error


def test_live_refresh_and_revoke(
    build: Build, authorization_server: AuthorizationServer
) -> None:
    """Refresh brings another token; revoke makes it worthless, and forgets it."""
    authenticator = build(live_client(authorization_server), HttpClient(SystemClock()))
    user = authorization_server.rules.user
    first = token_of(authenticator)
    assert 2 == authenticator.refresh(far()).generation
    second = token_of(authenticator)

    authenticator.revoke(far())

    assert first != second
    assert not authorization_server.accepts(user, second)
    assert "none" == authenticator.status().state


def test_live_discovery(
    build: Build, authorization_server: AuthorizationServer
) -> None:
    """An issuer alone is enough: its metadata has the endpoints."""
    registered = live_client(
        authorization_server,
        token_endpoint=None,
        revocation_endpoint=None,
        issuer=authorization_server.issuer,
    )
    authenticator = build(registered, HttpClient(SystemClock()))
    token = token_of(authenticator)

    authenticator.revoke(far())

    user = authorization_server.rules.user
    assert not authorization_server.accepts(user, token)


def test_live_discovery_of_another_issuer(
    build: Build, authorization_server: AuthorizationServer
) -> None:
    """Metadata that names another issuer is not used (RFC 8414, 3.3)."""
    authorization_server.rules.metadata["issuer"] = "https://evil.example"
    registered = live_client(
        authorization_server, token_endpoint=None, issuer=authorization_server.issuer
    )

    error = failing(build(registered, HttpClient(SystemClock())))

    assert "https://evil.example" in str(error)
    assert 0 == authorization_server.token_requests


@pytest.mark.parametrize(
    ("method", "auth", "form"),
    [
        ("client_secret_basic", ("me:too", SECRET), {}),
        ("client_secret_post", None, {"client_id": "me:too", "client_secret": SECRET}),
        ("none", None, {"client_id": "me:too"}),
    ],
)
def test_client_authentication(
    build: Build, method: str, auth: tuple[str, str] | None, form: dict[str, str]
) -> None:
    """The client proves itself as its document says, and in no other way."""
    http = Script({ENDPOINT: (200, TOKEN)})

    build(client(token_endpoint_auth_method=method), http).acquire(far())

    (asked,) = http.asked
    assert ("POST", ENDPOINT, auth) == (asked.method, asked.url, asked.auth)
    assert {"grant_type": "client_credentials", **form} == asked.form


def test_scope_and_parameters(build: Build) -> None:
    """Scope and additional parameters go into the grant's request, and no other."""
    http = Script(
        {
            "https://login.example/.well-known/oauth-authorization-server": (
                200,
                {"issuer": "https://login.example", "token_endpoint": ENDPOINT},
            ),
            ENDPOINT: (200, TOKEN),
            "https://login.example/revoke": (200, b""),
        }
    )
    registered = client(
        token_endpoint=None,
        issuer="https://login.example",
        revocation_endpoint="https://login.example/revoke",
    )
    authenticator = build(
        registered,
        http,
        scope="a b",
        client_credentials_token_params={"audience": "mail"},
        refresh_token_params={"other": "1"},
        authorization_params={"other": "2"},
        authorization_code_token_params={"other": "3"},
    )
    authenticator.acquire(far())
    authenticator.revoke(far())

    grant = {"grant_type": "client_credentials", "scope": "a b", "audience": "mail"}
    revocation = {"token": "canary-token", "token_type_hint": "access_token"}
    assert [{}, grant, revocation] == [asked.form for asked in http.asked]


def test_scope_that_is_not_told(build: Build) -> None:
    """An answer without a scope grants what was asked for (RFC 6749, 5.1)."""
    http = Script({ENDPOINT: (200, TOKEN)})
    authenticator = build(client(), http, scope="a b")
    authenticator.acquire(far())

    assert "a b" == authenticator.status().scope


@pytest.mark.parametrize(
    ("mechanism", "offered"),
    [
        ("automatic", ["XOAUTH2", "OAUTHBEARER"]),
        ("XOAUTH2", ["XOAUTH2"]),
        ("OAUTHBEARER", ["OAUTHBEARER"]),
    ],
)
def test_offers(build: Build, mechanism: str, offered: list[str]) -> None:
    """The token is offered by both mechanisms, or by the one that is named."""
    http = Script({ENDPOINT: (200, TOKEN)})

    credential = build(client(), http, mechanism=mechanism).acquire(far())

    assert offered == [offer.mechanism for offer in credential.offers]
    assert ("gateway@plant.example", 1) == (credential.identity, credential.generation)
    assert "canary" not in repr(credential)


def test_oauthbearer_names_the_server(build: Build) -> None:
    """OAUTHBEARER says which server the token is meant for (RFC 7628, 3.1)."""
    http = Script({ENDPOINT: (200, TOKEN)})
    credential = build(client(), http, mechanism="OAUTHBEARER").acquire(far())

    said = next(credential.offers[0].respond())

    assert said is not None
    assert b"\1host=mail.example\1port=587\1auth=Bearer canary-token\1\1" in said


def test_rejected_once(build: Build) -> None:
    """A refused token may be replaced once; the next refusal is not about it."""
    http = Script({ENDPOINT: (200, TOKEN)})
    authenticator = build(client(), http)
    first = authenticator.acquire(far())

    assert authenticator.rejected(first, REFUSED)
    second = authenticator.acquire(far())

    assert (1, 2) == (first.generation, second.generation)
    assert 2 == len(http.asked)


def test_rejected_after_another_was(build: Build) -> None:
    """Where a newer token is there already, it is worth a try, and is kept."""
    http = Script({ENDPOINT: (200, TOKEN)})
    authenticator = build(client(), http)
    first = authenticator.acquire(far())
    authenticator.refresh(far())

    assert authenticator.rejected(first, REFUSED)
    assert 2 == authenticator.acquire(far()).generation


def test_rejected_and_gone(build: Build) -> None:
    """Where the token was revoked meanwhile, a refusal says nothing new."""
    http = Script({ENDPOINT: (200, TOKEN)})
    authenticator = build(client(), http)
    first = authenticator.acquire(far())
    authenticator.revoke(far())

    assert not authenticator.rejected(first, REFUSED)


def test_interactive_needs_a_grant(build: Build) -> None:
    """An interactive profile says what it lacks; nothing is asked in its name."""
    http = Script({ENDPOINT: (200, TOKEN)})
    authenticator = build(client(), http, interactive=True, access_token_timeout_s=0)

    error = failing(authenticator)

    assert isinstance(error, NeedsGrant)
    assert "nobody has granted access yet" in str(error)
    assert ("needs grant", ()) == (
        authenticator.status().state,
        authenticator.status().actions,
    )
    assert [] == http.asked


def test_manageable(build: Build) -> None:
    """It can be managed; what needs a person is not offered where none is needed."""
    http = Script({ENDPOINT: (200, TOKEN)})
    authenticator = build(client(), http)

    assert isinstance(authenticator, Manageable)
    assert isinstance(authenticator, Grantable)
    assert isinstance(authenticator, DeviceGrantable)
    status = authenticator.status()
    assert ("none", ("refresh",)) == (status.state, status.actions)
    assert {"grant", "device", "revoke"} == set(status.withheld)

    authenticator.acquire(far())

    assert ("refresh", "revoke") == authenticator.status().actions


def test_revoke_without_an_endpoint(build: Build) -> None:
    """Where there is no revocation endpoint, the token is forgotten here."""
    http = Script({ENDPOINT: (200, TOKEN)})
    authenticator = build(client(), http)
    authenticator.acquire(far())

    authenticator.revoke(far())

    assert "none" == authenticator.status().state
    assert 1 == len(http.asked)


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, {"error": "invalid_client"}), (503, b"busy"), (302, b""), (0, b"")],
)
def test_failed_revocation_keeps_the_token(
    build: Build, status: int, body: object
) -> None:
    """A token that could not be revoked is not forgotten, or nobody could try again."""
    revocation = "https://login.example/revoke"
    http = Script({ENDPOINT: (200, TOKEN), revocation: (status, body)})
    authenticator = build(client(revocation_endpoint=revocation), http)
    authenticator.acquire(far())

    with pytest.raises((GrantRefused, HttpError)):
        authenticator.revoke(far())

    assert "valid" == authenticator.status().state
    assert "" != authenticator.status().error


@define
class Withdrawing(Script):
    """A refresh token takes its access token along; `answer` to whatever is gone."""

    answer: tuple[int, Any] = (400, {"error": "invalid_token"})
    gone: bool = False

    def request(self, method: str, url: str, **options: Any) -> HttpReply:
        if url != REVOCATION:
            return super().request(method, url, **options)
        super().request(method, url, **options)
        status, body = self.answer if self.gone else (200, b"")
        self.gone = True
        return HttpReply(status=status, headers={}, body=encoded(body))


def withdrawing(build: Build, **state: Any) -> tuple[OAuth2, Withdrawing]:
    http = Withdrawing({ENDPOINT: (200, {**TOKEN, "refresh_token": "r1"})}, **state)
    registered = client(
        revocation_endpoint=REVOCATION,
        authorization_endpoint="https://login.example/authorize",
    )
    made = build(registered, http, interactive=True)
    redirect = made.begin(REDIRECT, "st4te")
    query = {"code": "c0de", "state": "st4te"}
    made.complete(REDIRECT, query, redirect.kept, far())
    return made, http


@pytest.mark.parametrize(
    "answer", [(400, {"error": "invalid_token"}), (503, b"busy"), (0, b"")]
)
def test_revocation_of_a_refresh_token_is_enough(build: Build, answer: Any) -> None:
    """At Google its access token goes with it, and can't be revoked any more."""
    authenticator, http = withdrawing(build, answer=answer)

    authenticator.revoke(far())

    assert ("needs grant", 0) == (
        authenticator.status().state,
        authenticator.status().has_refresh_token,
    )
    hints = [one.form.get("token_type_hint") for one in http.asked[-2:]]
    assert ["refresh_token", "access_token"] == hints


def test_a_grant_that_was_withdrawn_can_be_forgotten(build: Build) -> None:
    """At the provider, by its user: it knows neither token any more."""
    authenticator, _ = withdrawing(build, gone=True)

    authenticator.revoke(far())

    assert not authenticator.status().has_refresh_token


def test_revocation_of_such_tokens_is_not_known(build: Build) -> None:
    """A server that does not revoke access tokens (RFC 7009, 2.2.1) is no obstacle."""
    revocation = "https://login.example/revoke"
    answer = (400, {"error": "unsupported_token_type"})
    http = Script({ENDPOINT: (200, TOKEN), revocation: answer})
    authenticator = build(client(revocation_endpoint=revocation), http)
    authenticator.acquire(far())

    authenticator.revoke(far())

    assert "none" == authenticator.status().state


@pytest.mark.parametrize(
    ("issuer", "place"),
    [
        ("https://a.test", "https://a.test/.well-known/oauth-authorization-server"),
        ("https://a.test/t", "https://a.test/.well-known/oauth-authorization-server/t"),
        ("https://a.test/t", "https://a.test/t/.well-known/openid-configuration"),
        ("https://a.test/", "https://a.test/.well-known/openid-configuration"),
    ],
)
def test_places_of_metadata(build: Build, issuer: str, place: str) -> None:
    """Metadata is found where RFC 8414 has it, or OpenID Connect."""
    metadata = {"issuer": issuer, "token_endpoint": ENDPOINT}
    http = Script({place: (200, metadata), ENDPOINT: (200, TOKEN)})

    build(client(token_endpoint=None, issuer=issuer), http).acquire(far())

    assert [place, ENDPOINT] == [asked.url for asked in http.asked][-2:]


@pytest.mark.parametrize(
    "metadata",
    [
        b"<html>",
        b"[]",
        {},
        {"issuer": "https://a.test"},
        {"issuer": "https://a.test/", "token_endpoint": ENDPOINT},
        {"issuer": "https://a.test", "token_endpoint": 7},
    ],
)
def test_useless_metadata(build: Build, metadata: object) -> None:
    """Metadata without what is needed, or of another issuer, is told with a remedy."""
    place = "https://a.test/.well-known/oauth-authorization-server"
    http = Script({place: (200, metadata)})

    error = failing(build(client(token_endpoint=None, issuer="https://a.test"), http))

    assert isinstance(error, TokenError)
    assert "" != error.remedy
    assert "POST" not in {asked.method for asked in http.asked}


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": None},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint": None},
    ],
)
def test_client_that_lacks_something(build: Build, changes: dict[str, Any]) -> None:
    """What the client lacks is told by its name, with a remedy; nothing is asked."""
    http = Script({ENDPOINT: (200, TOKEN)})

    error = failing(build(client(**changes), http))

    assert "OAuth2 client 'plant'" in str(error)
    assert "" != error.remedy
    assert [] == http.asked


def test_client_that_is_gone(build: Build) -> None:
    """A client that there is not is NotFound."""
    assert isinstance(failing(build(None, Script({}))), NotFound)


def test_request_timeout_of_the_client(build: Build) -> None:
    """A request may take as long as the client's document says, at most."""
    http = Script({ENDPOINT: (200, TOKEN)})

    build(client(request_timeout_ms=0), http).acquire(far())

    assert http.asked[0].deadline <= SystemClock().monotonic()


def test_default_expiration(build: Build) -> None:
    """The profile's timing is what the token is kept by."""
    http = Script({ENDPOINT: (200, {"access_token": "canary"})})
    authenticator = build(client(), http, default_access_token_expiration_s=600)
    before = SystemClock().now()

    authenticator.acquire(far())

    expiry = authenticator.status().expires_at
    assert expiry is not None
    assert within(expiry, before, 600)


def within(moment: datetime, before: datetime, seconds: float) -> bool:
    later = SystemClock().now()
    return before <= moment - timedelta(seconds=seconds) <= later


def test_check_of_interactive(build: Build) -> None:
    """A client by which no person can grant access is a problem of the profile."""
    services = build(client(), Script({})).services
    check = provider().check

    assert [] == list(check(profile(interactive=False), services))
    (problem,) = check(profile(interactive=True), services)

    assert "$.auth.interactive" == problem.path


@pytest.mark.parametrize(
    "found", [None, client(issuer="https://a.test"), client(authorization_endpoint="x")]
)
def test_nothing_to_check(build: Build, found: OAuth2Client | None) -> None:
    """A client that is missing is told elsewhere; one with an endpoint is fine."""
    services = build(found, Script({})).services

    assert [] == list(provider().check(profile(interactive=True), services))


def test_provider_is_loadable() -> None:
    """Its schema passes what the loader asks of any provider."""
    assert [] == plugins.check_schema(provider())
    assert ("oauth2", "OAuth2 SMTP") == (provider().mode, provider().title)


def test_nothing_secret_shows(build: Build) -> None:
    """The authenticator's repr holds neither services nor secrets."""
    assert "canary" not in repr(build(client(), Script({})))
