"""check_provider: what keeps the promises passes, and each broken one is told."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import logging
import ssl
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib import request as urllib
from urllib.parse import urlencode

import pytest
from attrs import evolve, field, frozen

from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Device,
    HttpReply,
    Problem,
    Profile,
    Redirect,
    Reply,
    Services,
    Timing,
    Token,
    TokenStatus,
    sasl,
)
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    GrantRefused,
    HttpError,
    NeedsGrant,
    SecretError,
    SlowDown,
    TokenError,
)
from email_profiles_plugin.providers import basic, oauth2
from email_profiles_plugin.testing import (
    AuthorizationServer,
    BrokenPromises,
    FakeServices,
    SmtpServer,
    check_provider,
    json_reply,
)
from email_profiles_plugin.testing.fake_services import Asked

MAILBOX = "gateway@plant.example"
ENDPOINT = "https://login.example/token"
SECRET = {"$ref": "urn:email-profiles:secret", "writeOnly": True}
SCHEMA = {
    "type": "object",
    "required": ["username", "key"],
    "properties": {"username": {"type": "string"}, "key": SECRET},
}
AUTH = {"username": MAILBOX}

(BASIC,) = basic.email_profiles_auth_providers()
(OAUTH2,) = oauth2.email_profiles_auth_providers()


def provider(build: Any, schema: Mapping[str, Any] = SCHEMA, **more: Any) -> Any:
    return AuthProvider(mode="odd", title="", schema=schema, build=build, **more)


def broken(odd: AuthProvider, *arguments: Any, **options: Any) -> tuple[str, ...]:
    """The promises that are broken."""
    arguments = arguments or (AUTH,)
    with pytest.raises(BrokenPromises) as caught:
        check_provider(odd, *arguments, **options)
    return caught.value.promises


# Providers that keep their promises, to be spoilt


@frozen
class Key:
    """A key, read when it is needed."""

    profile: Profile
    services: Services = field(repr=False)

    def acquire(self, deadline: float) -> Credential:
        key = self.services.secrets.read(self.profile.auth["key"])
        return Credential(offers=[sasl.Plain("apikey", key)], identity="apikey")

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return False


@frozen
class Robot:
    """Trades a key for a token."""

    profile: Profile
    services: Services = field(repr=False)

    def acquire(self, deadline: float) -> Credential:
        token = self.services.tokens.current(self.fetch, deadline, Timing())
        return Credential(
            offers=[sasl.XOAuth2(self.profile.auth["username"], token.access_token)],
            generation=token.generation,
        )

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
        key = self.services.secrets.read(self.profile.auth["key"])
        form = {"grant_type": "client_credentials", "client_secret": key}
        reply = self.services.http.request(
            "POST", ENDPOINT, form=form, deadline=deadline
        )
        return self.services.tokens.parse(reply)


class Issuer:
    """A token endpoint that numbers what it issues."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, asked: Asked) -> HttpReply:
        self.count += 1
        return json_reply({"access_token": f"t0ken-{self.count}", "expires_in": 3600})


PERSON: dict[str, Any] = {
    "type": "object",
    "required": ["username", "client"],
    "properties": {
        "username": {"type": "string"},
        "client": {"type": "string", "x-references": "oauth2_client"},
    },
}


@frozen
class Person(Robot):
    """Access that a person grants, in a browser or from another device."""

    def status(self) -> TokenStatus:
        status = self.services.tokens.status()
        held = ("refresh", "revoke") if status.has_refresh_token else ()
        return evolve(status, actions=("grant", "device", *held))

    def begin(self, redirect_uri: str, state: str) -> Redirect:
        client, verifier = self.client(), state[::-1] * 3
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        url = f"{client.authorization_endpoint}?{urlencode(query)}"
        return Redirect(url=url, kept=verifier)

    def complete(
        self, redirect_uri: str, query: Mapping[str, str], kept: str, deadline: float
    ) -> TokenStatus:
        if query.get("iss", self.client().issuer) != self.client().issuer:
            raise TokenError("the answer is of another issuer")
        if "code" not in query:
            raise GrantRefused("access was not granted", query.get("error", ""))
        form = {
            "grant_type": "authorization_code",
            "code": query["code"],
            "redirect_uri": redirect_uri,
            "code_verifier": kept,
        }
        self.services.tokens.grant(lambda _, until: self.ask(form, until), deadline)
        return self.status()

    def device_begin(self, deadline: float) -> Device:
        url = self.client().device_authorization_endpoint
        return Device(**json.loads(self.post(url, {}, deadline).body))

    def device_poll(self, device: Device, deadline: float) -> TokenStatus | None:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": device.device_code,
        }
        try:
            self.services.tokens.grant(lambda _, until: self.ask(form, until), deadline)
        except GrantRefused as error:
            if error.error == "authorization_pending":
                return None
            if error.error == "slow_down":
                raise SlowDown("not so fast", device.interval + 5) from None
            raise
        return self.status()

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        if previous is None or previous.refresh_token is None:
            raise NeedsGrant("nobody has granted access")
        refresh_token = previous.refresh_token
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.ask(form, deadline)

    def client(self) -> Any:
        return self.services.clients.get(self.profile.auth["client"])

    def ask(self, form: dict[str, str], deadline: float) -> Token:
        url = self.client().token_endpoint
        return self.services.tokens.parse(self.post(url, form, deadline))

    def post(self, url: str, form: dict[str, str], deadline: float) -> HttpReply:
        client = self.client()
        return self.services.http.request(
            "POST",
            url,
            form=form,
            auth=(client.client_id, self.services.secrets.read(client.client_secret)),
            ca_file=client.ca_file,
            deadline=deadline,
        )


# What passes


@pytest.mark.parametrize("mechanism", ["automatic", "PLAIN", "CRAM-MD5"])
def test_basic(smtp_server: SmtpServer, mechanism: str) -> None:
    """The built-in mode basic, against a mail server."""
    check_provider(
        BASIC,
        {"username": "gateway", "mechanism": mechanism},
        secrets={"password": (smtp_server.users or {})["gateway"]},
        server=smtp_server,
    )


def test_basic_without_anybody() -> None:
    """No username and no password: nothing is offered, and that is right."""
    check_provider(BASIC)


@pytest.fixture
def token_server(
    smtp_server_factory: Callable[..., SmtpServer],
    authorization_server: AuthorizationServer,
) -> SmtpServer:
    """A mail server that takes the authorization server's tokens."""
    return smtp_server_factory(
        tls="implicit", accept_token=authorization_server.accepts
    )


@pytest.mark.parametrize("interactive", [False, True])
def test_oauth2(
    token_server: SmtpServer,
    authorization_server: AuthorizationServer,
    interactive: bool,
) -> None:
    """The built-in mode oauth2, against both servers."""
    check_provider(
        OAUTH2,
        {"username": MAILBOX, "scope": "mail.send", "interactive": interactive},
        server=token_server,
        authorization_server=authorization_server,
    )


def test_an_authorization_server_of_its_own() -> None:
    """A mode that refers to an OAuth2 client needs nothing else to be given."""
    check_provider(OAUTH2, AUTH)


def test_a_grant_of_a_persons(
    token_server: SmtpServer, authorization_server: AuthorizationServer
) -> None:
    """In a browser, and from another device, with refresh tokens that rotate."""
    check_provider(
        provider(Person, PERSON),
        AUTH,
        server=token_server,
        authorization_server=authorization_server,
    )
    grants = {one.grant_type for one in authorization_server.requests}

    assert {"authorization_code", "refresh_token"} <= grants
    assert 0 == authorization_server.reuses


def test_what_answers_http_may_be_given() -> None:
    """As one reply, or a function of what is asked."""
    check_provider(provider(Robot), AUTH, http=Issuer())
    check_provider(provider(Robot), AUTH, http=json_reply({"access_token": "abcdefg"}))


def examples() -> Any:
    path = Path(__file__).with_name("test_provider_examples.py")
    spec = importlib.util.spec_from_file_location("provider_examples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_examples() -> None:
    """An API key, and a password that is kept in a secret manager."""
    found = examples()
    check_provider(found.API_KEY)
    check_provider(
        found.vault_provider(lambda path: "c4n4ry-of-the-vault"),
        {"username": "gateway", "path": "mail/plant"},
        confidential=["c4n4ry-of-the-vault"],
    )


# What does not


def without(name: str, value: Any = None) -> Mapping[str, Any]:
    """The schema with another property, or none of that name."""
    properties = {**SCHEMA["properties"], name: value}  # type: ignore[dict-item]
    return {**SCHEMA, "properties": properties}


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "array"}, "the schema's type is not object"),
        (without("mode", {}), "the schema names mode, which the core adds"),
        ({"$schema": "draft-04"}, "the schema is not of draft 2020-12"),
    ],
)
def test_schema(schema: Any, sentence: str) -> None:
    """Nothing else is looked at where the schema is none."""
    promise = "schema is a JSON Schema of an object, without mode"
    told = broken(provider(Key, schema))

    assert f"{promise}: {sentence}" == told[0]


def test_secrets_that_are_not_marked() -> None:
    """A property that has a secret's name, one without writeOnly, one that is given."""
    told = broken(
        provider(
            Key,
            without("key", {"$ref": "urn:email-profiles:secret"}),
        )
    )
    plain = broken(provider(Key, without("api_key", {"type": "string"})))
    given = broken(provider(Key), AUTH, secrets={"key": "12345678", "username": "u"})

    promise = "schema marks what is secret"
    hides = '{"$ref": "urn:email-profiles:secret", "writeOnly": true} hides it'
    assert (f"{promise}: $.auth.key refers to a secret, and is not writeOnly",) == told
    assert (
        f"{promise}: $.auth.api_key is text that anybody may read; {hides}",
    ) == plain
    assert f"{promise}: $.auth.username does not refer to a secret" in given


def test_the_test_itself() -> None:
    """An auth block that the schema does not allow proves nothing."""
    promise = "the auth block of this test is valid: "

    assert (f"{promise}$.auth.username: is required",) == broken(provider(Key), {})


class Early(Key):
    def __init__(self, profile: Profile, services: Services) -> None:
        services.secrets.read(profile.auth["key"])
        super().__init__(profile, services)


class Choosy(Key):
    def __init__(self, profile: Profile, services: Services) -> None:
        profile.auth["site"]
        super().__init__(profile, services)


class Half:
    def __init__(self, profile: Profile, services: Services) -> None:
        pass

    def acquire(self, deadline: float) -> Credential:
        return Credential(offers=())


def test_build() -> None:
    """It reads a secret; it needs what may be left out; it gives half a thing."""
    early, half = broken(provider(Early)), broken(provider(Half))
    choosy = broken(
        provider(Choosy, without("site", {"type": "string"})),
        {**AUTH, "site": "north"},
    )

    assert ("build does no I/O: it reads the secret p1#/auth/key",) == early
    assert 1 == len(choosy)
    assert choosy[0].startswith("build does no I/O: it raises KeyError (test_")
    assert choosy[0].endswith("with the least settings")
    assert ("build gives an authenticator: Half has no rejected",) == half


@pytest.mark.parametrize(
    ("check", "sentences"),
    [
        (
            lambda profile, services: ["wrong"],
            ["check yields problems, and raises nothing: it yields str, no Problem"],
        ),
        (
            lambda profile, services: [Problem(path="$.auth.key", message="is old")],
            [
                "check finds nothing wrong with the auth block of this test: "
                "$.auth.key is old"
            ],
        ),
        (
            lambda profile, services: services.secrets.read(profile.auth["key"]) and (),
            ["check does no I/O: it reads the secret p1#/auth/key"],
        ),
        (
            lambda profile, services: [
                Problem(path="$", message=services.clients.get("c").name)
            ],
            [
                f"check yields problems, and raises nothing: it raises NotFound{when}"
                for when in (
                    "",
                    " with the least settings",
                    " while the OAuth2 client is gone",
                )
            ],
        ),
    ],
)
def test_check(check: Any, sentences: list[str]) -> None:
    """It yields what is no problem, finds a mistake where none is, does I/O, raises."""
    assert tuple(sentences) == broken(provider(Key, check=check))


def spoilt(kind: type[Any], **methods: Any) -> AuthProvider:
    """A provider of *kind* with other methods."""
    made = type(f"Spoilt{kind.__name__}", (kind,), methods)
    return provider(made, PERSON if kind is Person else SCHEMA)


def test_acquire_gives_something_else() -> None:
    """Everything stands on it: no more is told."""
    told = broken(spoilt(Key, acquire=lambda self, deadline: "key"))

    assert ("acquire gives a credential: it returns str",) == told


def test_acquire_raises() -> None:
    """An error of the contract is told, any other one by its type and its line."""

    def refuse(self: Key, deadline: float) -> Credential:
        raise SecretError("no such key", "type it")

    def crash(self: Key, deadline: float) -> Credential:
        raise ValueError("c4n4ry")

    expected = "acquire gives a credential: SecretError: no such key: type it"
    assert (expected,) == broken(spoilt(Key, acquire=refuse))
    (sentence,) = broken(spoilt(Key, acquire=crash))
    assert sentence.startswith(
        "acquire gives a credential, or an error of the contract: it raises ValueError "
        "(test_testing_conformance.py, line "
    )
    assert "c4n4ry" not in sentence


def test_acquire_hangs() -> None:
    """Whatever it waits for, the suite does not."""
    told = broken(
        spoilt(Key, acquire=lambda self, deadline: threading.Event().wait()),
        patience_s=1,
    )

    promise = "acquire gives a credential, or an error of the contract"
    assert (f"{promise}: it does not end",) == told


@frozen
class Odd:
    """A mechanism that is none."""

    mechanism: str = "plain"

    def respond(self) -> Generator[bytes | None, bytes | None, None]:
        yield b""


class Empty(Odd):
    def respond(self) -> Generator[bytes | None, bytes | None, None]:
        yield from ()


class Late(Odd):
    def respond(self) -> Any:
        return [b"", b""]


@pytest.mark.parametrize(
    ("offer", "sentence"),
    [
        (Odd(), "Odd's mechanism is no name in capitals: 'plain'"),
        (Empty("ODD"), "Empty's respond ends before it begins"),
        (Late("ODD"), "Late's respond gives no generator"),
    ],
)
def test_offers(offer: Any, sentence: str) -> None:
    """A name in capitals, and an exchange that begins."""
    told = broken(
        spoilt(Key, acquire=lambda self, deadline: Credential(offers=[offer]))
    )

    promise = "offers are SASL mechanisms, for any number of exchanges"
    assert (f"{promise}: {sentence}",) == told


def test_the_mail_server_says_no(smtp_server: SmtpServer) -> None:
    """The server's own words are told."""
    told = broken(provider(Key), AUTH, server=smtp_server)

    assert 1 == len(told)
    assert told[0].startswith("the mail server takes what acquire gives: Refused: AUTH")


def eager(self: Robot, deadline: float) -> Credential:
    token = self.services.tokens.renew(self.fetch, deadline)
    return Credential(offers=[sasl.XOAuth2(MAILBOX, token.access_token)])


def test_a_request_for_each_thread() -> None:
    """Whoever insists on a new token asks for one in each thread."""
    told = broken(spoilt(Robot, acquire=eager), http=Issuer())

    promise = "acquire serves many threads with one token request"
    sentence = "8 at once made 8 requests, where one alone makes 1"
    assert f"{promise}: {sentence}" in told


def test_deadline_beyond() -> None:
    """It gives itself more time than it was given."""

    def fetch(self: Robot, previous: Token | None, deadline: float) -> Token:
        return Robot.fetch(self, previous, deadline + 90)

    told = broken(spoilt(Robot, fetch=fetch), http=Issuer())

    sentence = f"it asks {ENDPOINT} with a deadline 90 s later"
    assert (f"acquire ends by its deadline: {sentence}",) == told


def test_again_and_again() -> None:
    """It asks on after its deadline."""

    def fetch(self: Robot, previous: Token | None, deadline: float) -> Token:
        while True:
            try:
                return Robot.fetch(self, previous, deadline)
            except HttpError:
                continue

    odd = spoilt(Robot, fetch=fetch)
    (first, *_) = broken(odd, AUTH, http=Issuer())

    sentence = "it asks again and again where nothing answers"
    assert f"acquire ends by its deadline: {sentence}" == first


def test_a_network_of_its_own(authorization_server: AuthorizationServer) -> None:
    """It asks past services.http, for ever."""
    server = authorization_server
    context = ssl.create_default_context(cafile=server.ca_file)

    def fetch(self: Robot, previous: Token | None, deadline: float) -> Token:
        form = {"grant_type": "client_credentials", "client_id": "x"}
        try:
            with urllib.urlopen(
                server.token_endpoint, urlencode(form).encode(), context=context
            ) as answer:
                answer.read()
        except OSError:
            pass
        return Token(access_token="abcdefgh")

    told = broken(
        spoilt(Robot, fetch=fetch), AUTH, authorization_server=server, patience_s=3
    )

    sentence = "it does not end while the authorization server hangs"
    assert f"acquire ends by its deadline: {sentence}" in told


def test_troubles() -> None:
    """What no author thinks of: each trouble is named, and where it came out."""

    def fetch(self: Robot, previous: Token | None, deadline: float) -> Token:
        reply = self.services.http.request("POST", ENDPOINT, deadline=deadline)
        return Token(access_token=json.loads(reply.body.decode())["access_token"])

    told = broken(spoilt(Robot, fetch=fetch), http=Issuer())
    named = {sentence.rpartition(") ")[2]: sentence for sentence in told}

    assert (
        "it raises UnicodeDecodeError"
        in named["where the answer is 200 with octets that are no text"]
    )
    assert "it raises TypeError" in named["where the answer is an array"]
    assert "it raises KeyError" in named["where the answer is an empty object"]
    assert "it raises JSONDecodeError" in named["where the answer is 200 with nothing"]


def test_nothing_offered_in_trouble() -> None:
    """Mail would go without signing in."""

    def acquire(self: Key, deadline: float) -> Credential:
        try:
            return Key.acquire(self, deadline)
        except EmailProfilesError:
            return Credential(offers=())

    told = broken(spoilt(Key, acquire=acquire))

    promise = "acquire raises where there is no credential"
    sentence = "where its secrets can't be read, so that mail would go without "
    assert (f"{promise}: it offers nothing {sentence}signing in",) == told


@pytest.mark.parametrize(
    ("rejected", "sentence"),
    [
        (
            lambda self, credential, reply: None,
            "rejected answers true or false, and raises nothing: it answers None",
        ),
        (
            lambda self, credential, reply: bool(self.acquire(0).offers) and False,
            "rejected does no I/O: it reads the secret p1#/auth/key",
        ),
    ],
)
def test_rejected(rejected: Any, sentence: str) -> None:
    """A bool, without I/O."""
    assert (sentence,) == broken(spoilt(Key, rejected=rejected))


def test_rejected_raises() -> None:
    """It is asked between two sessions, and has no business to fail."""

    def rejected(self: Key, credential: Credential, reply: Reply) -> bool:
        return bool(reply.enhanced[0] == "5")

    (sentence,) = broken(spoilt(Key, rejected=rejected))

    assert "it raises IndexError (test_testing_conformance.py, line " in sentence
    assert sentence.endswith("after 550")


def test_the_same_again() -> None:
    """It says that another acquire helps, and offers the same."""
    told = broken(spoilt(Robot, rejected=lambda self, *_: True), http=Issuer())

    promise = "what was refused is not offered again"
    sentence = "acquire gives the same generation after rejected said true"
    assert (f"{promise}: {sentence}",) == told


def acting(*actions: str) -> Callable[[Robot], TokenStatus]:
    """A status that names these actions."""
    return lambda self: evolve(self.services.tokens.status(), actions=actions)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (acting("renew"), "there is no action 'renew'"),
        (acting("grant"), "it names grant, and is no Grantable"),
        (acting("device"), "it names device, and is no DeviceGrantable"),
    ],
)
def test_actions(status: Any, sentence: str) -> None:
    """Only what there is, and what the provider has methods for."""
    told = broken(spoilt(Robot, status=status), http=Issuer())

    assert (f"status().actions names what can be done: {sentence}",) == told


def test_status() -> None:
    """A TokenStatus, without I/O."""

    def asking(self: Robot) -> TokenStatus:
        self.acquire(self.services.clock.monotonic() + 10)
        return Robot.status(self)

    other = broken(spoilt(Robot, status=lambda self: {}), http=Issuer())
    io = broken(spoilt(Robot, status=asking), http=Issuer())

    promise = "status tells of the token, and raises nothing"
    assert f"{promise}: it gives dict before there is a token" in other
    assert any(one.startswith("status does no I/O: it ") for one in io)


def test_refresh() -> None:
    """It has to bring another generation, and to raise where it fails."""

    def quiet(self: Robot, deadline: float) -> TokenStatus:
        try:
            return Robot.refresh(self, deadline)
        except EmailProfilesError:
            return self.status()

    idle = broken(spoilt(Robot, refresh=lambda self, _: self.status()), http=Issuer())
    told = broken(spoilt(Robot, refresh=quiet), http=Issuer())

    promise = "refresh brings a newer generation"
    assert (f"{promise}: the status after it has the same",) == idle
    sentence = "it does not where nothing answers"
    assert (f"refresh raises where it fails: {sentence}",) == told


def test_expiry() -> None:
    """What keeps its credential keeps it too long."""

    class Keeping(Robot):
        def __init__(self, profile: Profile, services: Services) -> None:
            super().__init__(profile, services)
            self.__dict__["held"] = []

        def acquire(self, deadline: float) -> Credential:
            held: list[Credential] = self.__dict__["held"]
            if not held:
                held.append(super().acquire(deadline))
            return held[0]

    told = broken(provider(Keeping), AUTH, http=Issuer())

    sentence = "acquire gives the same generation"
    assert f"an expired token is replaced: {sentence}" in told


def test_rotation() -> None:
    """Whoever drops the new refresh token sends the old one again."""

    def ask(self: Person, form: dict[str, str], deadline: float) -> Token:
        token = Person.ask(self, form, deadline)
        kept = form["grant_type"] != "refresh_token"
        return token if kept else evolve(token, refresh_token=None)

    told = broken(spoilt(Person, ask=ask), AUTH)

    promise = "a rotated refresh token replaces the one before"
    assert f"{promise}: the old one is sent again" in told


def test_revoke() -> None:
    """It has to give the token up."""
    told = broken(spoilt(Robot, revoke=lambda self, deadline: None), http=Issuer())

    promise = "revoke gives the token up"
    assert (
        f"{promise}: afterwards the state is 'valid'",
        f"{promise}: acquire gives it again",
    ) == told


GRANTS = "grant works in a browser, as status().actions says"


@pytest.mark.parametrize(
    ("dropped", "sentence"),
    [
        ("&state=", "begin's url lacks the state, or the redirect_uri"),
        (
            "code_challenge_method=S256",
            "begin's url has no code_challenge by S256 (RFC 7636)",
        ),
    ],
)
def test_where_the_browser_is_sent(
    authorization_server: AuthorizationServer, dropped: str, sentence: str
) -> None:
    """With the state that it was given, and with PKCE."""
    authorization_server.rules.require_pkce = False

    def begin(self: Person, redirect_uri: str, state: str) -> Redirect:
        redirect = Person.begin(self, redirect_uri, state)
        url = redirect.url.replace(dropped, "&x=" if "&" in dropped else "y=z")
        return evolve(redirect, url=url.replace("code_challenge=", "code_challenges="))

    told = broken(
        spoilt(Person, begin=begin), AUTH, authorization_server=authorization_server
    )

    assert (f"{GRANTS}: {sentence}",) == told


def test_a_refusal_is_no_grant() -> None:
    """What comes back without a code is refused, and loses nothing."""

    def complete(
        self: Person,
        redirect_uri: str,
        query: Mapping[str, str],
        kept: str,
        deadline: float,
    ) -> TokenStatus:
        if "code" in query:
            return Person.complete(self, redirect_uri, query, kept, deadline)
        self.services.tokens.forget()
        return self.status()

    told = broken(spoilt(Person, complete=complete), AUTH)

    assert (
        f"{GRANTS}: complete takes a refusal for a grant",
        f"{GRANTS}: complete takes a callback without a code for a grant",
        f"{GRANTS}: a refused grant loses the token that was there",
    ) == told


def test_device() -> None:
    """Pending is None; a refusal is an error."""

    def device_poll(self: Person, device: Device, deadline: float) -> Any:
        try:
            return Person.device_poll(self, device, deadline) or self.status()
        except SlowDown as error:
            raise HttpError("too fast") from error
        except GrantRefused:
            return None

    told = broken(spoilt(Person, device_poll=device_poll), AUTH)

    promise = "device works from another device, as status().actions says"
    assert (
        f"{promise}: device_poll does not answer None while it is pending",
        f"{promise}: device_poll does not raise SlowDown where it is to slow down",
        f"{promise}: device_poll takes a refusal for a grant",
    ) == told


def logging_acquire(self: Key, deadline: float) -> Credential:
    credential = Key.acquire(self, deadline)
    self.services.logger.debug("signing in by %s", credential.offers[0].password)  # type: ignore[attr-defined]
    return credential


def quoting(self: Robot, previous: Token | None, deadline: float) -> Token:
    key = self.services.secrets.read(self.profile.auth["key"])
    reply = self.services.http.request(
        "POST", ENDPOINT, form={"client_secret": key}, deadline=deadline
    )
    if reply.status != 200:
        raise HttpError(f"it answers {reply.body!r}")
    return self.services.tokens.parse(reply)


class Password(sasl.Plain):
    """PLAIN, with a repr that tells all."""

    def __repr__(self) -> str:
        return f"{self.username}:{self.password}"


@pytest.mark.parametrize(
    ("odd", "where"),
    [
        (
            spoilt(Key, acquire=logging_acquire),
            "the log of email_profiles_plugin.mode.odd",
        ),
        (
            spoilt(
                Key,
                acquire=lambda self, deadline: Credential(
                    offers=[
                        Password(
                            "u", self.services.secrets.read(self.profile.auth["key"])
                        )
                    ]
                ),
            ),
            "a credential's repr",
        ),
        (
            spoilt(Robot, fetch=quoting),
            "the error where the answer is 503 with a page of HTML",
        ),
        (
            spoilt(
                Robot,
                status=lambda self: evolve(
                    self.services.tokens.status(),
                    account=self.services.secrets.read(self.profile.auth["key"]),
                ),
            ),
            "the status",
        ),
    ],
)
def test_redaction(odd: AuthProvider, where: str) -> None:
    """Neither secrets nor tokens in a log, a repr, an error, a status."""
    told = broken(odd, AUTH, http=Issuer())

    assert f"no secret and no token is shown: {where} shows one" in told


def test_it_reads_well() -> None:
    """All broken promises together, a line each."""
    with pytest.raises(BrokenPromises) as caught:
        check_provider(spoilt(Robot, revoke=lambda *_: None), AUTH, http=Issuer())

    assert (
        "mode 'odd' breaks 2 promises:\n"
        "  - revoke gives the token up: afterwards the state is 'valid'\n"
        "  - revoke gives the token up: acquire gives it again" == str(caught.value)
    )


def test_the_log_is_left_as_it_was() -> None:
    """Its level and its handlers."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    check_provider(BASIC)

    assert before == (root.level, root.handlers)


# The fakes


def test_fake_services_tell_what_was_used() -> None:
    """In the order of their kinds."""
    services = FakeServices()
    services.http.answer = json_reply({"access_token": "abc", "expires_in": 60})
    robot_services: Services = services
    services.secrets.values = {"KEY": "s3cret"}
    found: Iterable[str] = services.used

    assert () == found
    assert robot_services is services


def test_fake_tokens() -> None:
    """Fetched once, again when expired; the clock is the test's."""
    services = FakeServices()

    def fetch(previous: Token | None, deadline: float) -> Token:
        reply = services.http.request("POST", ENDPOINT, deadline=deadline)
        return services.tokens.parse(reply)

    services.http.answer = Issuer()
    first = [services.tokens.current(fetch, 10, Timing()) for _ in range(2)]
    services.clock.forward(3600)
    second = services.tokens.current(fetch, 10, Timing())

    assert [1, 1, 2] == [one.generation for one in (*first, second)]
    assert 2 == len(services.http.asked)
    assert "valid" == services.tokens.status().state
    assert services.used[0] == f"asks POST {ENDPOINT}"


# Refused, expired, shown: what a review found


def test_any_issuers_answer() -> None:
    """A code that somebody else's answer brings is redeemed all the same."""

    def careless(
        self: Person, uri: str, query: Mapping[str, str], kept: str, deadline: float
    ) -> TokenStatus:
        own = {name: query[name] for name in query if name != "iss"}
        return Person.complete(self, uri, own, kept, deadline)

    promise = "grant works in a browser, as status().actions says"
    sentence = "complete takes an answer of another issuer (iss)"
    assert (f"{promise}: {sentence}",) == broken(spoilt(Person, complete=careless))


def test_the_second_connection_is_lost() -> None:
    """It is told no although the first one's refusal has brought a new token."""
    seen: set[tuple[object, int]] = set()

    def once(self: Robot, credential: Credential, reply: Reply) -> bool:
        if credential.generation and (self.services, credential.generation) in seen:
            return False
        seen.add((self.services, credential.generation))
        return self.services.tokens.reject(credential.generation)

    told = broken(spoilt(Robot, rejected=once), http=Issuer())

    promise = "every connection whose token was refused may try the next one"
    sentence = "rejected answers false where a newer one is there already"
    assert (f"{promise}: {sentence}",) == told


def test_a_refused_token_is_kept() -> None:
    """Nothing is asked for, and every message waits for the token's end."""
    told = broken(
        spoilt(Robot, rejected=lambda self, credential, reply: False), http=Issuer()
    )

    promise = "a refused token that can be renewed is"
    sentence = "rejected answers false, and the next one is never asked for"
    assert (f"{promise}: {sentence}",) == told


class Hoarder(Robot):
    """Keeps what it was given."""

    def acquire(self, deadline: float) -> Credential:
        return HELD.setdefault(self.services, Robot.acquire(self, deadline))

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        HELD.pop(self.services, None)
        return Robot.rejected(self, credential, reply)

    def refresh(self, deadline: float) -> TokenStatus:
        HELD.pop(self.services, None)
        return Robot.refresh(self, deadline)


HELD: dict[object, Credential] = {}


class Loner(Key):
    """Has no tokens in services.tokens."""

    def acquire(self, deadline: float) -> Credential:
        if (found := HELD.get(self.services)) is None:
            key = self.services.secrets.read(self.profile.auth["key"])
            form = {"client_secret": key}
            reply = self.services.http.request(
                "POST", ENDPOINT, form=form, deadline=deadline
            )
            token = self.services.tokens.parse(reply).access_token
            found = Credential(offers=[sasl.XOAuth2(MAILBOX, token)])
            HELD[self.services] = found
        return found


def test_tokens_that_are_kept_elsewhere() -> None:
    """Past services.tokens, and past their end."""
    HELD.clear()
    hoarder = broken(provider(Hoarder), http=Issuer())
    loner = broken(provider(Loner), http=Issuer())

    kept = "tokens are kept in services.tokens, and nowhere else"
    assert f"{kept}: acquire gives one that was forgotten there" in hoarder
    ends = "a token ends when the authorization server says"
    assert f"{ends}: acquire gives it afterwards; keep it in services.tokens" in loner


def test_a_token_without_an_end() -> None:
    """What the server said of its life is dropped."""

    def endless(self: Robot, previous: Token | None, deadline: float) -> Token:
        return evolve(Robot.fetch(self, previous, deadline), expires_at=None)

    promise = "a token ends when the authorization server says"
    sentence = "its expires_in, 3600 s, is dropped"
    assert (f"{promise}: {sentence}",) == broken(
        spoilt(Robot, fetch=endless), http=Issuer()
    )


def test_a_refused_refresh_token_again() -> None:
    """Sent once more at once, as if the server had not meant it."""

    def stubborn(self: Person, previous: Token | None, deadline: float) -> Token:
        try:
            return Person.fetch(self, previous, deadline)
        except GrantRefused:
            return Person.fetch(self, previous, deadline)

    promise = "a refused refresh token is not sent again"
    assert f"{promise}: it is sent 2 times" in broken(spoilt(Person, fetch=stubborn))


LONELY = logging.getLogger("lonely.vendor")


@pytest.mark.parametrize(
    ("show", "where"),
    [
        (
            lambda token: logging.getLogger("vendor").info(
                "auth %s", base64.b64encode(f"user=a\1auth=Bearer {token}\1\1".encode())
            ),
            "the log of vendor",
        ),
        (lambda token: print("got", token), "what is printed"),
        (lambda token: LONELY.warning("got %s", token), "the log of lonely.vendor"),
    ],
)
def test_where_else_a_token_is_shown(
    monkeypatch: pytest.MonkeyPatch, show: Callable[[str], None], where: str
) -> None:
    """In base64, in print, and by a logger that keeps its records to itself."""
    monkeypatch.setattr(LONELY, "propagate", False)
    monkeypatch.setattr(LONELY, "handlers", [logging.NullHandler()])

    def talk(self: Robot, previous: Token | None, deadline: float) -> Token:
        token = Robot.fetch(self, previous, deadline)
        show(token.access_token)
        return token

    told = broken(spoilt(Robot, fetch=talk), http=Issuer())

    assert (f"no secret and no token is shown: {where} shows one",) == told


def test_what_can_not_be_meant() -> None:
    """A module, a mode, a secret that is none: told before anything is examined."""
    with pytest.raises(TypeError, match="this is a module: give what the hook yields"):
        check_provider(oauth2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="auth is without mode"):
        check_provider(provider(Key), {**AUTH, "mode": "odd"})
    with pytest.raises(ValueError, match=r"'kye', which is no property.*are: key"):
        check_provider(provider(Key), AUTH, secrets={"kye": "12345678"})
