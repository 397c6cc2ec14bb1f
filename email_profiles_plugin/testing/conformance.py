"""
The conformance suite of providers: one line in a test of their author's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from email_profiles_hookspecs import AuthProvider, HttpReply, OAuth2Client, SecretRef
from email_profiles_hookspecs.errors import HttpError

from ..documents import map_secrets
from ..documents.shapes import below, here, is_secret
from ..http import HttpClient
from . import promises_of_credentials as credentials
from . import promises_of_form as form
from . import promises_of_keeping as keeping
from . import promises_of_rejection as rejection
from . import promises_of_tokens as tokens
from .authorization_server import AuthorizationServer
from .certificates import CertificateAuthority
from .examination import Broken, Examination
from .fake_services import Answering, Asked, FakeClock
from .smtp_server import SmtpServer

FIRST: tuple[Callable[[Examination], None], ...] = (
    form.schema_is_usable,
    form.secrets_are_marked,
    form.auth_is_valid,
    form.build_does_no_io,
    form.check_yields_problems,
    credentials.acquire_gives_a_credential,
)
"""In this order; where one of these breaks down, the others can't be looked at."""

THEN: tuple[Callable[[Examination], None], ...] = (
    credentials.offers_are_mechanisms,
    credentials.server_takes_it,
    credentials.threads_share,
    credentials.deadline_is_kept,
    credentials.real_deadline_is_kept,
    credentials.troubles_are_told,
    credentials.rejected_is_a_bool,
    rejection.refused_tokens_are_renewed,
    rejection.refused_together,
    keeping.tokens_are_kept_in_one_place,
    keeping.expiry_is_kept,
    keeping.refused_refresh_is_final,
    tokens.status_is_told,
    tokens.refresh_renews,
    tokens.expired_tokens_are_replaced,
    tokens.revoke_gives_up,
    tokens.grant_is_granted,
    tokens.device_is_granted,
)

REDACTED = "no secret and no token is shown"


class BrokenPromises(AssertionError):
    """What a provider promises and does not keep: one sentence each, in *promises*."""

    def __init__(self, mode: str, promises: tuple[str, ...]) -> None:
        super().__init__(mode, promises)
        self.mode = mode
        self.promises = promises

    def __str__(self) -> str:
        count = len(self.promises)
        line = f"mode {self.mode!r} breaks {count} promise{'s' * (count > 1)}:"
        return "\n".join([line, *(f"  - {one}" for one in self.promises)])


def check_provider(
    provider: AuthProvider,
    auth: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    confidential: Iterable[str] = (),
    clients: Iterable[OAuth2Client] = (),
    http: HttpReply | Answering | None = None,
    server: SmtpServer | None = None,
    authorization_server: AuthorizationServer | None = None,
    browser: Callable[[str], Mapping[str, str]] | None = None,
    patience_s: float = 10,
) -> None:
    """
    Have *provider* keep what the contract promises; BrokenPromises where it doesn't.

    *auth* is a profile's auth block without `mode`, *secrets* the secret properties in
    it, by name; a secret that has to be given and is not is made up. *confidential*
    are other texts that nobody may be shown, such as what a vault answers.

    HTTP is answered by *authorization_server*, or whatever is at the addresses in
    *auth*, unless *http* answers it. An OAuth2 client that the schema refers to is
    among *clients*, or else one of the authorization server's, which is started where
    there is none. Access that a person has to grant is granted by *browser*, which is
    given an address and gives the query of the redirect; without it, by the loopback
    authorization server at once. A mail *server* has to sign the credential in.

    *patience_s*: real seconds after which a call hangs. TypeError and ValueError
    where what is given can't be meant.
    """
    _check_given(provider, auth or {}, secrets or {})
    with ExitStack() as stack:
        if authorization_server is None and not clients and _refers(provider):
            authorization_server = stack.enter_context(_own_server())
        exam = _examination(
            provider,
            {**(auth or {}), **(secrets or {})},
            clients,
            http,
            authorization_server,
        )
        exam.server, exam.patience_s = server, patience_s
        exam.browser = browser or exam.browser
        exam.shown.hide(*exam.secrets.values(), *confidential)
        for name in secrets or {}:
            if name not in _secret_names(provider):
                exam.says(
                    "schema marks what is secret",
                    f"$.auth.{name} does not refer to a secret",
                )
        if authorization_server is not None:
            stack.enter_context(_same_time(authorization_server, exam.clock))
        with exam.listening():
            _examine(exam)
        for where in exam.shown.leaks():
            exam.says(REDACTED, f"{where} shows one")
    if exam.broken:
        raise BrokenPromises(provider.mode, tuple(dict.fromkeys(exam.broken)))


def _check_given(
    provider: object, auth: Mapping[str, Any], secrets: Mapping[str, str]
) -> None:
    if not isinstance(provider, AuthProvider):
        raise TypeError(
            f"check_provider takes an AuthProvider, and this is a "
            f"{type(provider).__name__}: give what the hook yields, as in "
            "(provider,) = plugin.email_profiles_auth_providers()"
        )
    if "mode" in auth:
        raise ValueError("auth is without mode, which is the provider's own")
    known: object = provider.schema.get("properties")
    for name in secrets:
        if isinstance(known, Mapping) and name not in known:
            offered = ", ".join(_secret_names(provider)) or "none"
            raise ValueError(
                f"secrets names {name!r}, which is no property of the schema; its "
                f"secrets are: {offered}"
            )


def _examine(exam: Examination) -> None:
    try:
        for promise in FIRST:
            promise(exam)
    except Broken:
        return
    for promise in THEN:
        with suppress(Broken):
            promise(exam)


def _examination(
    provider: AuthProvider,
    auth: dict[str, Any],
    clients: Iterable[OAuth2Client],
    http: HttpReply | Answering | None,
    server: AuthorizationServer | None,
) -> Examination:
    """An examination of *provider*, with what it is given, or made up, to work with."""
    named = {client.name: client for client in clients}
    kept: dict[str, str] = {}
    for name in _references(provider):
        if server is not None and auth.setdefault(name, "client") not in named:
            named[auth[name]] = _client(auth[name], server)
            kept["client_secret"] = server.client.client_secret or ""
    for name in _secret_names(provider):
        if name in provider.schema.get("required", ()):
            auth.setdefault(name, f"made-up-{name}-c4n4ry")

    def keep(pointer: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        variable = f"EMAIL_PROFILES_SECRET_{len(kept)}"
        kept[variable] = value
        return {"env": variable}

    auth = map_secrets(auth, provider.schema, keep)
    exam = Examination(
        provider=provider,
        auth=auth,
        secrets=kept,
        clients=named,
        answer=_unanswered,
        server=None,
        authorization_server=server,
        browser=None,
        patience_s=0,
    )
    client = HttpClient(exam.clock)
    if isinstance(http, HttpReply):
        exam.answer = lambda asked: http
    elif http is not None:
        exam.answer = http
    elif server is not None:
        exam.answer = lambda asked: _ask(client, asked)
    if server is not None:
        exam.browser = lambda url: _follow(client, exam.clock, server, url)
    return exam


def _ask(client: HttpClient, asked: Asked) -> HttpReply:
    return client.request(
        asked.method,
        asked.url,
        headers=asked.headers,
        form=asked.form,
        json=asked.json,
        auth=asked.auth,
        ca_file=asked.ca_file,
        connect_timeout_s=asked.connect_timeout_s,
        deadline=asked.deadline,
    )


def _follow(
    client: HttpClient, clock: FakeClock, server: AuthorizationServer, url: str
) -> Mapping[str, str]:
    """What the browser of a person who agrees brings back."""
    reply = client.request(
        "GET", url, ca_file=str(server.ca_file), deadline=clock.monotonic() + 30
    )
    return dict(parse_qsl(urlsplit(reply.headers.get("location", "")).query))


def _unanswered(asked: Asked) -> HttpReply:
    raise HttpError(
        f"nothing answers {asked.method} {asked.url} in this test",
        "give check_provider an authorization_server, or http",
    )


def _client(name: str, server: AuthorizationServer) -> OAuth2Client:
    return OAuth2Client(
        id="c1",
        revision=1,
        name=name,
        client_id=server.client.client_id,
        client_secret=SecretRef(
            kind="sealed", place="c1#/client_secret", value="client_secret"
        ),
        authorization_endpoint=server.authorization_endpoint,
        token_endpoint=server.token_endpoint,
        device_authorization_endpoint=server.device_authorization_endpoint,
        revocation_endpoint=server.revocation_endpoint,
        issuer=server.issuer,
        ca_file=str(server.ca_file),
    )


def _references(provider: AuthProvider) -> Iterator[str]:
    """The properties that name an OAuth2 client."""
    for name, one in provider.schema.get("properties", {}).items():
        if isinstance(one, Mapping) and one.get("x-references") == "oauth2_client":
            yield name


def _refers(provider: AuthProvider) -> bool:
    return any(_references(provider))


def _secret_names(provider: AuthProvider) -> list[str]:
    """The properties of the auth block that are secrets."""
    schema = provider.schema
    return [
        name
        for name in schema.get("properties", {})
        if is_secret(below(here(schema, schema), schema, name))
    ]


@contextmanager
def _own_server() -> Iterator[AuthorizationServer]:
    with TemporaryDirectory() as folder:
        authority = CertificateAuthority(Path(folder))
        with AuthorizationServer(authority) as server:
            yield server


@contextmanager
def _same_time(server: AuthorizationServer, clock: FakeClock) -> Iterator[None]:
    """The authorization server has the time that the provider has."""
    before, server.rules.clock = server.rules.clock, clock.timestamp
    try:
        yield
    finally:
        server.rules.clock = before
