"""Grants in progress, through the facade, with a mode as a third party writes it."""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pluggy
import pytest
from attrs import define, evolve, field, frozen

from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Device,
    DeviceGrantable,
    Grantable,
    OAuth2Client,
    Problem,
    Profile,
    Redirect,
    Reply,
    Services,
    Token,
    TokenStatus,
    hookimpl,
)
from email_profiles_hookspecs.errors import (
    Conflict,
    EmailProfilesError,
    GrantRefused,
    Invalid,
    NeedsGrant,
    NotFound,
    PluginFailed,
    StateRefused,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.grant_rules import KEPT_S, LIFETIME_S, REDEEM_S
from email_profiles_plugin.granting import Granting
from email_profiles_plugin.testing import AuthorizationServer

URI = "http://127.0.0.1:8400/oauth2/callback/4711"
BASE = "https://gateway.example"
CANARIES = "c4n4ry"


@frozen
class Kiosk:
    """The code grant with PKCE, and the device grant, in few lines."""

    profile: Profile
    services: Services

    def acquire(self, deadline: float) -> Credential:
        return Credential(offers=())

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return False

    @property
    def client(self) -> OAuth2Client:
        return self.services.clients.get(self.profile.auth["client"])

    def status(self) -> TokenStatus:
        offered = self.profile.auth.get("offers", "grant device refresh revoke")
        return evolve(self.services.tokens.status(), actions=tuple(offered.split()))

    def refresh(self, deadline: float) -> TokenStatus:
        def fetch(previous: Token | None, deadline: float) -> Token:
            assert previous is not None
            assert previous.refresh_token is not None
            form = {
                "grant_type": "refresh_token",
                "refresh_token": previous.refresh_token,
            }
            return self.services.tokens.parse(self.post("token", form, deadline))

        self.services.tokens.renew(fetch, deadline)
        return self.status()

    def revoke(self, deadline: float) -> None:
        self.services.tokens.forget()

    def begin(self, redirect_uri: str, state: str) -> Redirect:
        verifier = f"{CANARIES}-{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        url = f"{self.client.issuer}/authorize?{urlencode(query)}"
        return Redirect(url=url, kept=verifier)

    def complete(
        self, redirect_uri: str, query: Mapping[str, str], kept: str, deadline: float
    ) -> TokenStatus:
        if "error" in query:
            raise GrantRefused(query.get("error_description", "no"), query["error"])
        form = {
            "grant_type": "authorization_code",
            "code": query["code"],
            "redirect_uri": redirect_uri,
            "code_verifier": kept,
        }
        return self.granted("token", form, deadline)

    def granted(
        self, path: str, form: Mapping[str, str], deadline: float
    ) -> TokenStatus:
        self.services.tokens.grant(
            lambda previous, until: self.services.tokens.parse(
                self.post(path, form, until)
            ),
            deadline,
        )
        return self.status()

    def post(self, path: str, form: Mapping[str, str], deadline: float) -> Any:
        assert self.client.client_secret is not None
        secret = self.services.secrets.read(self.client.client_secret)
        return self.services.http.request(
            "POST",
            f"{self.client.issuer}/{path}",
            form=form,
            auth=(self.client.client_id, secret),
            ca_file=self.client.ca_file,
            deadline=deadline,
        )

    def device_begin(self, deadline: float) -> Device:
        import json

        answer = json.loads(self.post("device_authorization", {}, deadline).body)
        return Device(
            user_code=answer["user_code"],
            verification_uri=answer["verification_uri"],
            device_code=answer["device_code"],
            expires_in=answer["expires_in"],
        )

    def device_poll(self, device: Device, deadline: float) -> TokenStatus | None:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": device.device_code,
        }
        try:
            return self.granted("token", form, deadline)
        except GrantRefused as error:
            if error.error == "authorization_pending":
                return None
            raise


class Lame(Kiosk):
    """Offers what it can't do."""

    begin = complete = device_begin = device_poll = None  # type: ignore[assignment]


class Plugin:
    @hookimpl
    def email_profiles_auth_providers(self) -> Iterable[AuthProvider]:
        login = {"type": "string", "x-references": "oauth2_client"}
        schema = {
            "type": "object",
            "properties": {
                "client": login,
                "offers": {"type": "string"},
                "username": {"type": "string"},
            },
        }
        yield AuthProvider(mode="kiosk", title="Kiosk", schema=schema, build=Kiosk)
        yield AuthProvider(mode="lame", title="Lame", schema=schema, build=Lame)


@define
class Shifted:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.seconds


@define(eq=False)
class Bench:
    """The profile `cloud`, its authorization server, and a browser in between."""

    profiles: EmailProfiles
    clock: Shifted
    server: AuthorizationServer
    home: Path
    open: Callable[..., EmailProfiles]
    seen: list[object] = field(factory=list)

    def begin(self, session: str = "cookie", uri: str = URI) -> str:
        """What the browser comes back with, once the user has decided."""
        url = self.profiles.tokens.begin("cloud", uri, session, actor="operator")
        self.seen.append(url)
        return self.browse(url)

    def browse(self, url: str) -> str:
        parts = urlsplit(url)
        assert parts.hostname is not None
        trusted = create_default_context(cafile=str(self.server.ca_file))
        browser = HTTPSConnection(parts.hostname, parts.port, context=trusted)
        browser.request("GET", f"{parts.path}?{parts.query}")
        location = browser.getresponse().getheader("Location")
        browser.close()
        assert location is not None
        assert location.startswith(URI)
        return urlsplit(location).query

    def complete(self, query: str, session: str = "cookie") -> TokenStatus:
        done = self.profiles.tokens.complete(query, session, redirect_uri=URI)
        assert "cloud" == done.profile
        return done.status

    def refused(self, query: str, session: str = "cookie") -> str:
        """Why it is, when nothing is asked of the server, and nothing changed."""
        before = (self.rows(), self.server.token_requests)
        with pytest.raises(StateRefused) as caught:
            self.complete(query, session)
        assert before == (self.rows(), self.server.token_requests)
        self.seen.append(caught.value)
        return caught.value.reason

    def rows(self) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.home / "email_profiles.db") as connection:
            found = connection.execute("SELECT * FROM grant_in_progress").fetchall()
        connection.close()
        return found


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    authorization_server: AuthorizationServer,
    tmp_path: Path,
) -> Bench:
    clock = Shifted()

    def start() -> EmailProfiles:
        manager = pluggy.PluginManager("email_profiles")
        manager.register(Plugin(), "kiosk")
        return open_profiles(plugin_manager=manager, deliver=False, clock=clock)

    profiles = start()
    client = {
        "name": "login",
        "client_id": authorization_server.client.client_id,
        "client_secret": authorization_server.client.client_secret,
        "issuer": authorization_server.issuer,
        "ca_file": str(authorization_server.ca_file),
    }
    profiles.clients.apply(client, actor="test")
    profiles.profiles.apply(profile(), actor="test")
    return Bench(profiles, clock, authorization_server, tmp_path / "home", start)


def profile(mode: str = "kiosk", name: str = "cloud", **auth: Any) -> dict[str, Any]:
    return {
        "name": name,
        "smtp": {"hostname": "localhost"},
        "auth": {"mode": mode, "client": "login", **auth},
    }


def test_they_are_what_the_contract_asks_for() -> None:
    """Checked by the type checker here, and by the core at run time."""
    one: type[Grantable] = Kiosk
    two: type[DeviceGrantable] = Kiosk

    assert {Kiosk} == {one, two}


def test_a_grant_from_beginning_to_end(bench: Bench) -> None:
    """A valid token; who granted it is in the audit trail; the verifier is gone."""
    status = bench.complete(bench.begin())

    assert ("valid", 1, True) == (
        status.state,
        status.generation,
        status.has_refresh_token,
    )
    assert status == bench.profiles.tokens.status("cloud")
    entry = bench.profiles.trail(limit=1)[0]
    stored = bench.profiles.profiles.get("cloud")
    assert ("grant", "token", "operator", stored.id, "cloud") == (
        entry.action,
        entry.kind,
        entry.actor,
        entry.subject_id,
        entry.subject,
    )
    assert {"generation": 1, "by": "browser"} == entry.detail
    columns = [column for row in bench.rows() for column in row]
    assert "done" in columns
    assert None in columns


def test_refresh_and_revoke_name_their_actor(bench: Bench) -> None:
    """In the audit trail, as every change is."""
    bench.complete(bench.begin())
    bench.profiles.tokens.refresh("cloud", actor="anna")
    bench.profiles.tokens.revoke("cloud", actor="bert")

    found = [(one.action, one.actor) for one in bench.profiles.trail(limit=2)]
    assert [("revoke", "bert"), ("refresh", "anna")] == found


def test_the_same_answer_again_is_told_the_same(bench: Bench) -> None:
    """A reload, a double redirect, another process: one request at the server."""
    query = bench.begin()
    first = bench.complete(query)
    again = bench.complete(query)
    bench.profiles.close()
    other = bench.open().tokens.complete(query, "cookie")

    assert [first, first] == [again, other.status]
    assert 1 == bench.server.token_requests
    assert 1 == len([one for one in bench.open().trail() if one.action == "grant"])


def test_the_same_refusal_again_is_told_the_same(bench: Bench) -> None:
    """As the error that it was, with all that it said."""
    bench.server.rules.approves = False
    query = f"error=access_denied&error_description=Ask+an+admin&state={state(bench)}"
    for _ in range(2):
        with pytest.raises(GrantRefused, match="Ask an admin") as caught:
            bench.complete(query)
        assert "access_denied" == caught.value.error

    assert "none" == bench.profiles.tokens.status("cloud").state
    assert 0 == bench.server.token_requests
    assert "used" == bench.refused(query.replace("error=access_denied", "code=1"))


def state(bench: Bench) -> str:
    url = bench.profiles.tokens.begin("cloud", URI, "cookie", actor="operator")
    return parse_qs(urlsplit(url).query)["state"][0]


class Strange(GrantRefused):
    """A plugin's own, with arguments of its own."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("strange", "invalid_grant", "look")
        self.args = (reply,)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            Invalid("settings", [Problem(path="$.x", message="is wrong")]),
            "$.x: is wrong",
        ),
        (Strange(Reply(code=550, text="c0de")), "strange: look"),
        (ValueError("c0de"), "mode 'kiosk' failed"),
    ],
)
def test_an_error_that_nobody_expects_is_told_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, raised: Exception, told: str
) -> None:
    """Whatever its arguments are, or wherever it comes from."""

    def fail(*args: object) -> None:
        raise raised

    query = bench.begin()
    monkeypatch.setattr(Kiosk, "complete", fail)
    for _ in range(2):
        with pytest.raises(EmailProfilesError) as caught:
            bench.complete(query)
        assert "c0de" not in str(caught.value)
    assert told in str(caught.value)


def test_what_the_server_refuses_ends_the_grant(bench: Bench) -> None:
    """A code that is no good is not tried again."""
    query = bench.begin()
    refusal = {"error": "invalid_grant", "error_description": "AADSTS54005"}
    bench.server.answer_next(400, refusal)
    for _ in range(2):
        with pytest.raises(GrantRefused, match="AADSTS54005"):
            bench.complete(query)

    assert 1 == bench.server.token_requests


def test_answers_that_are_refused(bench: Bench) -> None:
    """Each for its reason, with nothing changed: the right one is still taken."""
    query = bench.begin()
    forged = query.replace("state=", "state=x")

    assert "malformed" == bench.refused("code=1")
    assert "unknown" == bench.refused(forged)
    assert "unknown" == bench.refused("code=1&state=" + "A" * 43)
    assert "session" == bench.refused(query, "another")
    with pytest.raises(StateRefused) as caught:
        bench.profiles.tokens.complete(query, "cookie", redirect_uri=URI + "1")
    assert "redirect_uri" == caught.value.reason
    assert 0 == bench.server.token_requests
    assert "valid" == bench.complete(query).state
    assert "used" == bench.refused(query.replace("code=", "code=x"))
    assert "session" == bench.refused(query, "another")


def test_ten_minutes(bench: Bench) -> None:
    """An answer that comes later ends nothing, and says so for an hour."""
    early, late = bench.begin(), bench.begin()
    bench.clock.seconds = LIFETIME_S - 5
    assert "valid" == bench.complete(early).state

    bench.clock.seconds = LIFETIME_S + 1
    assert "expired" == bench.refused(late)
    bench.clock.seconds = LIFETIME_S + KEPT_S + 1
    assert 2 == len(bench.rows())
    bench.begin()
    assert 1 == len(bench.rows())
    assert "unknown" == bench.refused(late)


def test_a_sweep_deletes_what_is_long_over(bench: Bench) -> None:
    """For whoever looks after the database; what is in progress stays."""
    bench.begin()
    granting, database = bench.profiles._granting, bench.profiles.database
    now = SystemClock().now().timestamp()
    ended = now + LIFETIME_S + KEPT_S + 1

    assert 0 == database.write(lambda c: granting.sweep(c, now))
    assert 1 == database.write(lambda c: granting.sweep(c, ended))
    assert [] == bench.rows()


def test_two_answers_at_once_are_one(bench: Bench) -> None:
    """The second waits for the first, in this process or another."""
    query = bench.begin()
    other = bench.open()
    bench.server.hold.close()
    with ThreadPoolExecutor() as browsers:
        first = browsers.submit(bench.complete, query)
        bench.server.hold.wait_held()
        waited = threading.Event()
        other._granting.pause = lambda seconds: waited.set()
        second = browsers.submit(other.tokens.complete, query, "cookie")
        assert waited.wait(10)
        bench.server.hold.open()

        assert first.result(10) == second.result(10).status
    assert 1 == bench.server.token_requests


def test_a_crash_between_the_exchange_and_the_record(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is redeemed once; who asks again learns that nobody can tell."""
    query = bench.begin()

    class Killed(BaseException):
        pass

    def die(*args: object) -> None:
        raise Killed

    monkeypatch.setattr(Granting, "_record", die)
    with pytest.raises(Killed):
        bench.complete(query)
    other = bench.open()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        bench.clock.seconds += REDEEM_S

    other._granting.pause = pause
    with pytest.raises(NeedsGrant, match="did not live") as caught:
        other.tokens.complete(query, "cookie")
    assert "status" in caught.value.remedy
    assert (1, 1) == (len(pauses), bench.server.token_requests)
    assert "valid" == other.tokens.status("cloud").state


@pytest.mark.parametrize("what", ["profile", "client"])
def test_a_change_meanwhile_ends_the_grant(bench: Bench, what: str) -> None:
    """What the token is for is another thing now; the code goes nowhere."""
    query = bench.begin()
    if what == "profile":
        changed = profile(username="other@plant.example")
        bench.profiles.profiles.apply(changed, actor="test")
    else:
        changed = bench.profiles.clients.export("login")
        changed["issuer"] = "https://elsewhere.example"
        changed["client_secret"] = "another"
        bench.profiles.clients.apply(changed, actor="test")
    for _ in range(2):
        with pytest.raises(StateRefused, match="was changed") as caught:
            bench.complete(query)
        assert "changed" == caught.value.reason

    assert 0 == bench.server.token_requests


def test_a_change_that_does_not_matter(bench: Bench) -> None:
    """A rename, a description: the grant goes on."""
    query = bench.begin()
    described = {**profile(), "description": "the plant's"}
    bench.profiles.profiles.apply(described, actor="test")
    bench.profiles.profiles.rename("cloud", "sky", actor="test")
    done = bench.profiles.tokens.complete(query, "cookie")

    assert "valid" == done.status.state
    assert "valid" == bench.profiles.tokens.status("sky").state


def test_a_profile_that_is_gone(bench: Bench) -> None:
    """Its grants go with it; a new one of that name has nothing to do with them."""
    query = bench.begin()
    bench.profiles.profiles.delete("cloud", actor="test")
    assert [] == bench.rows()
    bench.profiles.profiles.apply(profile(), actor="test")

    assert "unknown" == bench.refused(query)


def test_what_is_not_offered(bench: Bench) -> None:
    """Neither begun nor ended; the mode says what it offers."""
    query = bench.begin()
    bench.profiles.profiles.apply(profile(offers="refresh"), actor="test")
    tokens = bench.profiles.tokens
    with pytest.raises(Conflict, match="can't be granted now; it offers refresh"):
        tokens.begin("cloud", URI, "cookie")
    with pytest.raises(Conflict, match="another device now; it offers refresh"):
        tokens.device_begin("cloud")
    with pytest.raises(StateRefused):
        bench.complete(query)
    assert 0 == bench.server.token_requests


def test_a_mode_that_promises_too_much(bench: Bench) -> None:
    """It is the plugin's fault, and is called so."""
    bench.profiles.profiles.apply(profile("lame", "lame"), actor="test")
    for action in (
        lambda: bench.profiles.tokens.begin("lame", URI, "cookie"),
        lambda: bench.profiles.tokens.device_begin("lame"),
    ):
        with pytest.raises(PluginFailed):
            action()


def test_what_is_asked_for_wrongly(bench: Bench) -> None:
    """A redirect in clear, no session, nobody of that name, a mode without token."""
    tokens = bench.profiles.tokens
    plain = {**profile("basic", "plain"), "auth": {"mode": "basic"}}
    bench.profiles.profiles.apply(plain, actor="test")
    with pytest.raises(Invalid):
        tokens.begin("cloud", "http://gateway.example/", "cookie")
    with pytest.raises(ValueError, match="session"):
        tokens.begin("cloud", URI, "")
    with pytest.raises(NotFound):
        tokens.begin("nobody", URI, "cookie")
    with pytest.raises(Conflict, match="no token"):
        tokens.begin("plain", URI, "cookie")
    assert [] == bench.rows()


def test_the_redirect_uri_of_a_profile(bench: Bench) -> None:
    """Its client's id, whatever that is called; its own where it has no client."""
    profiles = bench.profiles
    profiles.profiles.apply(profile(name="two"), actor="test")
    alone = profile(name="alone")
    del alone["auth"]["client"]
    own = profiles.profiles.apply(alone, actor="test").stored.id
    client = profiles.clients.get("login").id
    expected = f"{BASE}/oauth2/callback/{client}"

    assert expected == profiles.tokens.redirect_uri("cloud", BASE)
    profiles.clients.rename("login", "entra", actor="test")
    assert expected == profiles.tokens.redirect_uri("two", BASE + "/")
    assert f"{BASE}/oauth2/callback/{own}" == profiles.tokens.redirect_uri(
        "alone", BASE
    )
    with pytest.raises(Invalid, match="https"):
        profiles.tokens.redirect_uri("cloud", "http://gateway.example")


def test_from_another_device(bench: Bench) -> None:
    """None as long as nobody typed the code; then a token, with its actor."""
    bench.server.rules.device_answers = ["authorization_pending"]
    tokens = bench.profiles.tokens
    device = tokens.device_begin("cloud")
    waiting = tokens.device_poll("cloud", device)
    status = tokens.device_poll("cloud", device, actor="operator")

    assert waiting is None
    assert status is not None
    assert ("valid", 1) == (status.state, status.generation)
    entry = bench.profiles.trail(limit=1)[0]
    assert ("grant", "operator", {"generation": 1, "by": "device"}) == (
        entry.action,
        entry.actor,
        entry.detail,
    )
    assert device.device_code not in repr(device)


def test_what_is_kept_survives_a_new_key(bench: Bench) -> None:
    """It is sealed anew with all other secrets, and the old key goes."""
    query = bench.begin()
    bench.profiles.rotate_key(actor="test")
    bench.profiles.retire_key(actor="test")

    assert "valid" == bench.complete(query).state


def test_what_no_key_opens_hinders_no_rotation(bench: Bench) -> None:
    """A verifier is good for ten minutes; it is not worth an error."""
    query = bench.begin()
    with sqlite3.connect(bench.home / "email_profiles.db") as connection:
        connection.execute("UPDATE grant_in_progress SET sealed = 'broken'")
    connection.close()
    bench.profiles.rotate_key(actor="test")
    with pytest.raises(EmailProfilesError, match="does not open"):
        bench.complete(query)


def test_nothing_secret_shows_anywhere(
    bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """State, code, session, verifier and tokens: in no log, error, repr or file."""
    caplog.set_level(logging.DEBUG)
    server = "oauthlib.oauth2.rfc6749.grant_types"
    caplog.set_level(logging.INFO, server)
    session = f"{CANARIES}-session"
    queries = [bench.begin(session) for _ in range(4)]
    for query, after in zip(queries, ["", "&error=x", "x", "&state=y"], strict=True):
        for who in (session, "another"):
            try:
                done = bench.profiles.tokens.complete(query + after, who)
                bench.seen += [done, repr(done)]
            except EmailProfilesError as error:
                bench.seen += [error, repr(error), *traceback.format_exception(error)]
    codes = [
        parse_qs(query)[name][0] for query in queries for name in ("code", "state")
    ]
    tokens = list(bench.server._validator.tokens)
    bench.seen += [bench.profiles, bench.profiles.trail(), bench.profiles._granting]
    urls = [one for one in bench.seen if str(one).startswith("https:")]
    bench.profiles.close()

    assert len(tokens) > 1
    said = [str(one) for one in bench.seen if one not in urls]
    said += [caplog.text, *capfd.readouterr()]
    files = [path for path in bench.home.rglob("*") if path.is_file()]
    said += [path.read_bytes().decode("latin-1") for path in files]
    hidden = [*codes, *tokens, CANARIES]
    assert [] == [one for one in hidden for text in said if one in text]


def test_a_grant_is_seen_while_it_goes_on(bench: Bench) -> None:
    """By its actor and its time; by all, and as its own by its session."""
    id, seen = bench.profiles.profiles.get("cloud").id, bench.profiles.tokens.grant_seen
    assert None is seen("cloud", "cookie")
    query = bench.begin()
    sight, foreign = seen("cloud", "cookie"), seen("cloud", "another")
    assert sight is not None
    assert foreign is not None
    now = bench.clock.now().timestamp()

    assert ("begun", "operator", True, "") == (
        sight.step,
        sight.actor,
        sight.own,
        sight.error,
    )
    assert (True, False) == (sight.goes_on(now), sight.goes_on(now + LIFETIME_S))
    assert not foreign.own
    assert id == bench.profiles.tokens.subject(query, "cookie")
    assert None is bench.profiles.tokens.subject(query, "another")
    assert None is bench.profiles.tokens.subject("state=x", "cookie")
    bench.complete(query)
    ended = seen("cloud", "cookie")
    assert ended is not None
    assert (False, "") == (ended.goes_on(now), ended.error)


def test_why_a_grant_failed_is_told_to_its_session(bench: Bench) -> None:
    """And to no other; its own are seen before others' that are newer."""
    query = bench.begin()
    bench.server.answer_next(400, {"error": "invalid_grant"})
    with pytest.raises(GrantRefused):
        bench.complete(query)
    own = bench.profiles.tokens.grant_seen("cloud", "cookie")
    foreign = bench.profiles.tokens.grant_seen("cloud", "another")
    assert own is not None
    assert foreign is not None

    assert "invalid_grant" in own.error
    assert "" == foreign.error
    bench.begin("another")
    assert own == bench.profiles.tokens.grant_seen("cloud", "cookie")


def test_a_grant_whose_redeemer_died_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said so, and nobody waits for it."""

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    query = bench.begin()
    monkeypatch.setattr(Kiosk, "complete", die)
    with pytest.raises(KeyboardInterrupt):
        bench.complete(query)
    sight = bench.profiles.tokens.grant_seen("cloud", "cookie")
    assert sight is not None
    assert "redeemed" == sight.step
    bench.clock.seconds = REDEEM_S + 1
    sight = bench.profiles.tokens.grant_seen("cloud", "cookie")
    assert sight is not None
    assert ("done", True) == (sight.step, "did not live" in sight.error)


def test_a_fetch_under_way_is_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody asks for a new token, and no longer."""
    seen: list[bool] = []
    post = Kiosk.post

    def look(self: Kiosk, *args: Any) -> Any:
        seen.append(bench.profiles.tokens.is_fetching("cloud"))
        return post(self, *args)

    bench.complete(bench.begin())
    monkeypatch.setattr(Kiosk, "post", look)
    assert not bench.profiles.tokens.is_fetching("cloud")
    bench.profiles.tokens.refresh("cloud")
    assert ([True], False) == (seen, bench.profiles.tokens.is_fetching("cloud"))
