"""Trials of OAuth2 clients by a person's grant, and by a refresh token."""

from __future__ import annotations

import io
import json
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from attrs import define, field
from click.testing import CliRunner, Result

from email_profiles_hookspecs import Redirect
from email_profiles_hookspecs.errors import (
    Invalid,
    NotFound,
    StateRefused,
    TokenError,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import main
from email_profiles_plugin.client_trial import ClientReport
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.testing import AuthorizationServer

SECRET = "c4n4ry-cl1ent-secret"
URI = "http://127.0.0.1:1/callback"


@define
class Ahead:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@define(eq=False)
class Bench:
    """A home with the client `plant-login`, and a browser."""

    profiles: EmailProfiles
    server: AuthorizationServer
    clock: Ahead
    threads: ThreadPoolExecutor
    pages: list[Future[Any]] = field(factory=list)

    def callback(self, url: str) -> str:
        """Where the authorization server sends the browser to."""
        ca_file = str(self.server.ca_file)
        answer = requests.get(url, verify=ca_file, timeout=30, allow_redirects=False)
        assert 302 == answer.status_code, answer.text
        return answer.headers["Location"]

    def open(self, url: str) -> bool:
        """As the browser of a desktop; the page is in `pages`."""
        self.pages.append(
            self.threads.submit(
                lambda: requests.get(self.callback(url), timeout=30).text
            )
        )
        return True

    def begin(self, **options: Any) -> Redirect:
        return self.profiles.clients.begin_test("plant-login", URI, **options)

    def complete(self, redirect: Redirect, **options: Any) -> ClientReport:
        query = urlsplit(self.callback(redirect.url)).query
        return self.profiles.clients.complete_test(
            "plant-login", query, redirect.kept, **options
        )

    def run(self, *words: str, input: Any = None, **env: str) -> Result:
        """`client test plant-login`; nothing secret is printed."""

        def opener(*settings: object) -> AbstractContextManager[EmailProfiles]:
            return nullcontext(self.profiles)

        given = ["client", "test", "plant-login", *words]
        done = CliRunner().invoke(main, given, obj=opener, input=input, env=env)
        told = done.output
        assert "c4n4ry" not in told
        for token in self.server._validator.tokens:
            assert token not in told
        return done


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    authorization_server: AuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    clock = Ahead()
    profiles = open_profiles(deliver=False, clock=clock)
    authorization_server.register("gateway", SECRET)
    client = {
        "name": "plant-login",
        "client_id": "gateway",
        "client_secret": SECRET,
        "issuer": authorization_server.issuer,
        "ca_file": str(authorization_server.ca_file),
    }
    profiles.clients.apply(client, actor="test")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("EMAIL_PROFILES_REFRESH_TOKEN", raising=False)
    with ThreadPoolExecutor() as threads:
        made = Bench(profiles, authorization_server, clock, threads)
        monkeypatch.setattr(webbrowser, "open", made.open)
        yield made


def grants(server: AuthorizationServer) -> list[str | None]:
    return [one.grant_type for one in server.requests if one.path == "/token"]


def test_authorization_and_token(bench: Bench) -> None:
    """Ignition's *test authorization*, whose output feeds *test token*."""
    report = bench.complete(bench.begin(scope="mail.send"))

    assert (True, "authorization_code", 200) == (
        report.passed,
        report.grant,
        report.status,
    )
    assert report.granted is not None
    assert ("Bearer", 3600, ("mail.send",), True) == (
        report.granted.token_type,
        report.granted.expires_in,
        report.granted.scopes,
        report.granted.has_refresh_token,
    )
    token = report.refresh_token
    assert token is not None
    assert token not in repr(report)

    again = bench.profiles.clients.test(
        "plant-login", scope="mail.send", refresh_token=token
    )
    assert (True, "refresh_token") == (again.passed, again.grant)
    assert again.refresh_token not in (None, token)  # it was rotated
    assert ["authorization_code", "refresh_token"] == grants(bench.server)


def test_nothing_is_kept(bench: Bench) -> None:
    """No token, no grant in progress, no entry in the trail."""
    trail = bench.profiles.trail()

    bench.complete(bench.begin())

    assert trail == bench.profiles.trail()


def test_parameters(bench: Bench) -> None:
    """Those of the authorization are in its request alone, those of the token too."""
    redirect = bench.begin(params={"prompt": "consent"})
    report = bench.complete(redirect, params={"plant": "7"})
    bench.profiles.clients.test(
        "plant-login", refresh_token=report.refresh_token, params={"plant": "8"}
    )

    sent = [
        (one.path, one.form.get("prompt"), one.form.get("plant"))
        for one in bench.server.requests
        if not one.path.startswith("/.well-known")
    ]
    assert [
        ("/authorize", "consent", None),
        ("/token", None, "7"),
        ("/token", None, "8"),
    ] == sent


def test_a_refusal_by_the_person(bench: Bench) -> None:
    """A report in the server's words; nobody answered a request."""
    bench.server.rules.approves = False

    report = bench.complete(bench.begin())

    assert (False, "access_denied") == (report.passed, report.code)
    assert "refused: access_denied" in report.error
    assert [] == grants(bench.server)


def test_a_worthless_refresh_token(bench: Bench) -> None:
    """The server's refusal, without the token."""
    token = "c4n4ry-refresh-token"

    report = bench.profiles.clients.test("plant-login", refresh_token=token)

    assert ("invalid_grant", 400) == (report.code, report.status)
    assert "c4n4ry" not in repr(report)


def test_an_answer_of_another_test(bench: Bench) -> None:
    """A state that is not this test's: nothing is asked."""
    first, second = bench.begin(), bench.begin()
    query = urlsplit(bench.callback(first.url)).query

    with pytest.raises(StateRefused, match="belongs to another grant"):
        bench.profiles.clients.complete_test("plant-login", query, second.kept)

    assert [] == grants(bench.server)


@pytest.mark.parametrize("kept", ["", "{}", "[]", "7"])
def test_a_test_that_was_not_begun(bench: Bench, kept: str) -> None:
    """What was kept is what `begin_test` gave, or none."""
    with pytest.raises(StateRefused, match="no such test"):
        bench.profiles.clients.complete_test("plant-login", "code=1&state=2", kept)


def test_a_late_answer(bench: Bench) -> None:
    """Ten minutes, as for a profile."""
    redirect = bench.begin()
    bench.clock.seconds = 601

    with pytest.raises(StateRefused, match="too late"):
        bench.complete(redirect)


def test_what_can_not_be_begun(bench: Bench) -> None:
    """No such client, a bad address, one of the protocol's parameters, no endpoint."""
    clients = bench.profiles.clients
    with pytest.raises(NotFound):
        clients.begin_test("nobody", URI)
    with pytest.raises(Invalid, match="redirect URI"):
        clients.begin_test("plant-login", "http://gateway.example/")
    with pytest.raises(Invalid, match="the protocol sets it itself"):
        bench.begin(params={"state": "mine"})
    bench.server.rules.metadata["authorization_endpoint"] = None
    with pytest.raises(TokenError, match="has no authorization endpoint"):
        bench.begin()


# On the command line


CODE = ("--grant", "authorization_code")
REFRESH = ("--grant", "refresh_token")


def test_by_a_browser(bench: Bench) -> None:
    """It comes back to this machine, and the test goes on where it was begun."""
    words = ("--open", "--scope", "mail.send", "--authorization-param", "prompt=login")
    done = bench.run(*CODE, *words)

    assert 0 == done.exit_code, done.output
    assert "Access granted" in bench.pages[0].result(10)
    for line in (
        "grant          authorization_code",
        "scopes         mail.send",
        "refresh token  yes",
    ):
        assert line in done.stdout.splitlines()
    (asked,) = (one for one in bench.server.requests if one.path == "/authorize")
    uid = bench.profiles.clients.get("plant-login").id
    assert asked.form["redirect_uri"].endswith(f"/oauth2/callback/{uid}")
    assert "login" == asked.form["prompt"]


def test_both_in_turn(bench: Bench) -> None:
    """The refresh token goes from one to the other in memory; as JSON an array."""
    done = bench.run(*CODE, *REFRESH, "--open", "--json")

    assert 0 == done.exit_code, done.output
    found = json.loads(done.stdout)
    assert [("authorization_code", True), ("refresh_token", True)] == [
        (one["grant"], one["passed"]) for one in found
    ]
    assert "open in a browser" in done.stderr


def test_there_is_no_refresh_token(bench: Bench) -> None:
    """Told with what to ask for; the first report stands."""
    bench.server.rules.offline_params = {"access_type": "offline"}

    done = bench.run(*CODE, *REFRESH, "--open")

    assert 1 == done.exit_code
    assert "refresh token  no" in done.stdout
    assert "the grant brought no refresh token" in done.stderr
    assert "access_type=offline" in done.stderr
    told = bench.run(*CODE, *REFRESH, "--open", "--json")
    assert 1 == told.exit_code
    assert ["authorization_code"] == [one["grant"] for one in json.loads(told.stdout)]


def test_a_refresh_token_of_the_environment(bench: Bench) -> None:
    """And one from standard input; neither is shown."""
    report = bench.complete(bench.begin())
    bench.server.rules.rotate = False
    token = report.refresh_token or ""

    by_environment = bench.run(*REFRESH, EMAIL_PROFILES_REFRESH_TOKEN=token)
    by_pipe = bench.run(*REFRESH, "--json", input=f"{token}\n")

    assert 0 == by_environment.exit_code, by_environment.output
    assert "grant          refresh_token" in by_environment.stdout.splitlines()
    assert json.loads(by_pipe.stdout)["passed"]


def test_no_refresh_token_is_given(bench: Bench) -> None:
    """It is told where one may be."""
    done = bench.run(*REFRESH, input="\n")

    assert 1 == done.exit_code
    assert "no refresh token was given" in done.stderr
    assert "EMAIL_PROFILES_REFRESH_TOKEN" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--grant", "client_credentials", *REFRESH), "own credentials bring none"),
        ((*REFRESH, *CODE), "there is no refresh token yet"),
    ],
)
def test_a_refresh_token_that_can_not_be_there(
    bench: Bench, words: tuple[str, ...], said: str
) -> None:
    """Told with the grant that brings one, and nobody is asked to type it."""
    done = bench.run(*words)

    assert 1 == done.exit_code
    assert said in done.stderr
    assert "put --grant authorization_code before" in done.stderr


def test_the_status_is_of_the_test(bench: Bench) -> None:
    """Where nothing was asked for, the metadata's good answer says nothing."""
    bench.profiles.clients.unset_secret("plant-login", "client_secret", actor="test")
    done = bench.run("--json")

    assert "no client secret" in json.loads(done.stdout)["error"]
    assert json.loads(done.stdout)["status"] is None


def test_a_scope_twice(bench: Bench) -> None:
    """As the scope and as a parameter: which one counts would be anybody's guess."""
    done = bench.run("--scope", "bar", "--param", "scope=foo")

    assert 1 == done.exit_code
    assert "$.params.scope: is asked for as the scope already" in done.stderr


class Typed(io.RawIOBase):
    """Standard input of somebody who types what *line* gives, when it is there."""

    def __init__(self, line: Callable[[], str]) -> None:
        self.line: Callable[[], str] | None = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        octets = self.line().encode() if self.line else b""
        self.line = None
        buffer[: len(octets)] = octets
        return len(octets)


def test_by_pasting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a browser on another machine, and a redirect URI of one's own."""
    place: Future[str] = Future()

    def browse(url: str) -> bool:
        place.set_result(bench.callback(url))
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    uri = "https://gateway.example/oauth"
    typed = io.BufferedReader(Typed(lambda: place.result(10) + "\n"))
    done = bench.run(*CODE, "--paste", "--open", "--redirect-uri", uri, input=typed)

    assert 0 == done.exit_code, done.output
    assert f"it comes back to {uri}" in done.stdout
    code = parse_qs(urlsplit(place.result()).query)["code"][0]
    assert code not in done.output


def test_nothing_is_pasted(bench: Bench) -> None:
    """No address, no test."""
    done = bench.run(*CODE, "--paste", input="\n")

    assert 1 == done.exit_code
    assert "no address was pasted" in done.stderr


def test_refused_on_the_command_line(bench: Bench) -> None:
    """On the page, and on standard error; what was to follow is not tried."""
    bench.server.rules.approves = False

    done = bench.run(*CODE, *REFRESH, "--open")

    assert 1 == done.exit_code
    assert "refused: access_denied" in done.stderr
    assert "Not granted" in bench.pages[0].result(10)
    assert [] == grants(bench.server)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grant", "password"], "password"),
        (["--paste"], "a browser is for --grant authorization_code"),
        (["--port", "8400", *REFRESH], "a browser is for"),
        (["--authorization-param", "a=b"], "a browser is for"),
        ([*CODE, "--port", "1", "--redirect-uri", URI], "give no --port"),
        ([*CODE, "--redirect-uri", "https://gateway.example/"], "add --paste"),
        (
            [*CODE, "--authorization-param", "a=1", "--authorization-param", "a=2"],
            "is given twice",
        ),
    ],
)
def test_wrong_usage(bench: Bench, words: list[str], said: str) -> None:
    """Exit code 2, before anything is asked."""
    done = bench.run(*words)

    assert 2 == done.exit_code
    assert said in done.stderr
    assert [] == bench.server.requests


def test_a_double_redirect(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that comes twice: the code is redeemed once."""

    def browse(url: str) -> bool:
        place = bench.callback(url)

        def twice() -> list[str]:
            with ThreadPoolExecutor() as tabs:
                both = [tabs.submit(requests.get, place, timeout=30) for _ in "12"]
                bench.server.hold.wait_held()
                bench.server.hold.open()
                return [one.result(30).text for one in both]

        bench.server.hold.close()
        bench.pages.append(bench.threads.submit(twice))
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    done = bench.run(*CODE, "--open")

    assert 0 == done.exit_code, done.output
    assert ["Access granted"] * 2 == [
        "Access granted" if "Access granted" in page else page
        for page in bench.pages[0].result(30)
    ]
    assert ["authorization_code"] == grants(bench.server)
