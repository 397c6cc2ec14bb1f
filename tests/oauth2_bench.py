"""What the tests of mode oauth2 stand on: scripted servers, one client, one profile."""

from __future__ import annotations

import json
import logging
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from attrs import define, evolve, field, frozen

from email_profiles_hookspecs import (
    AuthProvider,
    HttpReply,
    OAuth2Client,
    Profile,
    Reply,
    SecretRef,
    SmtpSettings,
    TokenStatus,
)
from email_profiles_hookspecs.errors import EmailProfilesError, HttpError, NotFound
from email_profiles_hookspecs.services import Clients, Clock, Http, Tokens
from email_profiles_plugin import token_rules
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.http import HttpClient
from email_profiles_plugin.providers import oauth2
from email_profiles_plugin.secrets import Keyring, SecretReader
from email_profiles_plugin.store.database import Database
from email_profiles_plugin.testing import AuthorizationServer
from email_profiles_plugin.tokens import TokenKeeper

SECRET = "canary+s3cret/% &="
REFUSED = Reply(code=535, text="no")
TOKEN = {"access_token": "canary-token", "expires_in": 3600, "token_type": "Bearer"}
ENDPOINT = "https://login.example/token"


@frozen
class Asked:
    """One request, as the scripted server saw it."""

    method: str
    url: str
    form: Mapping[str, str]
    auth: tuple[str, str] | None
    deadline: float


@define
class Script:
    """Answers by URL; 404 where nothing is scripted."""

    answers: dict[str, tuple[int, Any]]
    asked: list[Asked] = field(factory=list)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        auth: tuple[str, str] | None = None,
        ca_file: str | None = None,
        connect_timeout_s: float = 10,
        deadline: float,
    ) -> HttpReply:
        self.asked.append(Asked(method, url, dict(form or {}), auth, deadline))
        status, body = self.answers.get(url, (404, {}))
        if status == 0:
            raise HttpError("no connection")
        return HttpReply(status=status, headers={}, body=encoded(body))


def encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@frozen
class OneClient:
    """The only client there is; None: there is none."""

    client: OAuth2Client | None

    def get(self, name: str) -> OAuth2Client:
        if self.client is None:
            raise NotFound("OAuth2 client", name)
        return self.client


@frozen(kw_only=True)
class PlainServices:
    clock: Clock
    http: Http
    secrets: SecretReader
    clients: Clients
    tokens: Tokens
    logger: logging.Logger


Build = Callable[..., oauth2.OAuth2]


@contextmanager
def builder(folder: Path, clock: Clock | None = None) -> Iterator[Build]:
    """Authenticators of one profile, by its client, its HTTP and its auth block."""
    database = Database.open(f"sqlite:///{folder / 'store.db'}")
    keyring = Keyring(folder / "key")
    clock = clock or SystemClock()
    keeper = TokenKeeper(
        database,
        keyring,
        clock,
        spawn=lambda run: run(),
        pause=lambda seconds: None,
    )

    def make(client: OAuth2Client | None, http: Http, **auth: Any) -> oauth2.OAuth2:
        timing = token_rules.read_timing(auth)
        services = PlainServices(
            clock=clock,
            http=http,
            secrets=SecretReader(keyring),
            clients=OneClient(client),
            tokens=keeper.of("p1", "f1", timing),
            logger=logging.getLogger("test"),
        )
        built = provider().build(profile(**auth), services)
        assert isinstance(built, oauth2.OAuth2)
        return built

    try:
        yield make
    finally:
        database.close()


def provider() -> AuthProvider:
    (found,) = oauth2.email_profiles_auth_providers()
    return found


def profile(**auth: Any) -> Profile:
    return Profile(
        id="p1",
        revision=1,
        name="plant",
        smtp=SmtpSettings(hostname="mail.example", port=587),
        mode="oauth2",
        auth={"username": "gateway@plant.example", "client": "plant", **auth},
    )


def client(**changes: Any) -> OAuth2Client:
    secret = SecretRef(kind="plain", place="c1/client_secret", value=SECRET)
    made = OAuth2Client(
        id="c1",
        revision=1,
        name="plant",
        client_id="me:too",
        client_secret=secret,
        token_endpoint=ENDPOINT,
    )
    return evolve(made, **changes)


def live_client(server: AuthorizationServer, **changes: Any) -> OAuth2Client:
    registered = server.register("a+b c%41&=:/", SECRET)
    made = client(
        client_id=registered.client_id,
        token_endpoint=server.token_endpoint,
        revocation_endpoint=server.revocation_endpoint,
        ca_file=str(server.ca_file),
    )
    return evolve(made, **changes)


def far() -> float:
    return SystemClock().monotonic() + 60


def token_of(authenticator: oauth2.OAuth2) -> str:
    offer: Any = authenticator.acquire(far()).offers[0]
    return str(offer.token)


def failing(
    authenticator: oauth2.OAuth2, act: Callable[[], object] | None = None
) -> EmailProfilesError:
    """What acquire, or *act*, raises; nothing secret may be in it."""
    attempt = act or (lambda: authenticator.acquire(far()))
    with pytest.raises(EmailProfilesError) as caught:
        attempt()
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "canary" not in told
    assert "canary" not in repr(authenticator.status())
    return caught.value


REDIRECT = "http://127.0.0.1:1/oauth2/callback/c1"


def visit(url: str, ca_file: str) -> dict[str, str]:
    """Go where the browser is sent; the parameters with which it comes back."""
    reply = HttpClient(SystemClock()).request(
        "GET", url, ca_file=ca_file, deadline=far()
    )
    assert 302 == reply.status, reply.body
    location = urlsplit(reply.headers["location"])
    assert REDIRECT == location._replace(query="").geturl()
    return dict(parse_qsl(location.query))


def parameters(url: str) -> dict[str, str]:
    """The query of an address."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def grant(authenticator: oauth2.OAuth2, ca_file: str) -> TokenStatus:
    """Grant access as a person does, who agrees."""
    redirect = authenticator.begin(REDIRECT, "st4te")
    query = visit(redirect.url, ca_file)
    return authenticator.complete(REDIRECT, query, redirect.kept, far())


def jwt_of(**claims: Any) -> str:
    """A JWT with these claims, which nobody signed."""
    parts = ({"alg": "RS256"}, claims)
    encoded = [
        urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in parts
    ]
    return ".".join([*encoded, "canary-signature"])
