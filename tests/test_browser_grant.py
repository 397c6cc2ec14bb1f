"""Granting access in Chromium, at an authorization server that others wrote."""

from __future__ import annotations

import json
import os
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, field
from chromium import driven_chromium
from click.testing import CliRunner, Result
from django_bench import PASSWORD, USER, Server, running

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import main
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.grant_rules import LIFETIME_S
from email_profiles_plugin.testing import CertificateAuthority

SECRET = "c4n4ry-secret"


@pytest.fixture(scope="module")
def server(
    certificate_authority: CertificateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("django"), certificate_authority) as server:
        yield server


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Each test starts without cookies."""
    with driven_chromium(tmp_path_factory.mktemp("chromium")) as driven:
        yield driven


@define
class Shifted:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@define(eq=False)
class Bench:
    """A home with the interactive profile `cloud`, and a person at a browser."""

    profiles: EmailProfiles
    clock: Shifted
    server: Server
    browser: Any
    threads: ThreadPoolExecutor
    urls: Queue[str] = field(factory=Queue)

    def grant(self) -> tuple[str, Future[Result]]:
        """`token grant` under way, and the address that it opened."""

        def opener(*settings: object) -> AbstractContextManager[EmailProfiles]:
            return nullcontext(self.profiles)

        words = ["token", "grant", "cloud", "--open", "--json"]
        running = self.threads.submit(CliRunner().invoke, main, words, obj=opener)
        return self.urls.get(timeout=20), running

    def consent(self, url: str) -> None:
        """Log in at the server, and stop before the decision."""
        self.browser.delete_all_cookies()
        self.browser.get(url)
        self.find("[name=username]").send_keys(USER)
        self.find("[name=password]").send_keys(PASSWORD)
        self.find("button").click()
        assert "Send mail" in self.find("#authorizationForm").text

    def allow(self) -> str:
        """Agree; what the page says to which the browser comes then."""
        self.find("[name=allow]").click()
        return self.page()

    def refuse(self) -> str:
        self.find("[value=Cancel]").click()
        return self.page()

    def page(self) -> str:
        text: str = self.find("h1").text + "\n" + self.find("p").text
        return text

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    certificate_authority: CertificateAuthority,
    server: Server,
    chromium: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    clock = Shifted()
    profiles = open_profiles(deliver=False, clock=clock)
    document = {
        "name": "django",
        "client_id": "",
        "client_secret": SECRET,
        "issuer": server.issuer,
        "ca_file": str(certificate_authority.ca_file),
    }
    document["client_id"] = f"gateway-{os.urandom(4).hex()}"
    profiles.clients.apply(document, actor="test")
    auth = {
        "mode": "oauth2",
        "username": "anna@plant.example",
        "client": "django",
        "scope": "mail.send",
        "interactive": True,
    }
    plant = {"name": "cloud", "smtp": {"hostname": "localhost"}, "auth": auth}
    profiles.profiles.apply(plant, actor="test")
    server.tell(
        name="Gateway",
        client_id=document["client_id"],
        client_secret=SECRET,
        # Of a loopback address the toolkit takes any port (RFC 8252, 7.3).
        redirect_uri=profiles.tokens.redirect_uri("cloud", "http://127.0.0.1"),
    )
    monkeypatch.setenv("DISPLAY", ":0")
    with ThreadPoolExecutor() as threads:
        bench = Bench(profiles, clock, server, chromium, threads)
        monkeypatch.setattr(webbrowser, "open", lambda url: not bench.urls.put(url))
        yield bench


def test_login_and_consent(bench: Bench) -> None:
    """A valid token; then two refreshes, each with the refresh token of the last."""
    before = bench.server.token_requests
    url, running = bench.grant()
    bench.consent(url)
    page = bench.allow()
    done = running.result(20)

    assert "Access granted\nEmail profile cloud has its token." in page
    assert "code" not in bench.browser.page_source
    assert 0 == done.exit_code, done.stderr
    found = json.loads(done.stdout)
    assert ("valid", 1, True, "mail.send") == (
        found["state"],
        found["generation"],
        found["has_refresh_token"],
        found["scope"],
    )
    for generation in (2, 3):
        status = bench.profiles.tokens.refresh("cloud")
        assert ("valid", generation) == (status.state, status.generation)
    assert 3 == bench.server.token_requests - before


def test_the_user_refuses(bench: Bench) -> None:
    """The page and the command say so; no token is asked for."""
    before = bench.server.token_requests
    url, running = bench.grant()
    bench.consent(url)
    page = bench.refuse()
    done = running.result(20)

    assert "Access was not granted" in page
    assert "access_denied" in page
    assert 1 == done.exit_code
    assert "access_denied" in done.stderr
    assert "needs grant" == bench.profiles.tokens.status("cloud").state
    assert 0 == bench.server.token_requests - before


def test_a_replayed_callback(bench: Bench) -> None:
    """Told the same as the first time; it ends no other grant; one token request."""
    before = bench.server.token_requests
    tokens = bench.profiles.tokens
    uri = tokens.redirect_uri("cloud", "http://127.0.0.1:1")  # nobody is there
    bench.consent(tokens.begin("cloud", uri, "cookie", actor="anna"))
    assert "Access" not in bench.allow()
    callback = urlsplit(bench.browser.current_url)
    first, again = (tokens.complete(callback.query, "cookie") for _ in range(2))

    assert ("valid", 1) == (first.status.state, first.status.generation)
    assert first == again
    url, running = bench.grant()
    here = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    bench.browser.get(f"{here}?{callback.query}")
    assert "Not granted\nthis grant was begun in another session" == bench.page()
    assert 1 == bench.server.token_requests - before
    bench.consent(url)
    assert "Access granted" in bench.allow()
    assert 2 == json.loads(running.result(20).stdout)["generation"]


def test_a_forged_state(bench: Bench) -> None:
    """It is nobody's; the right answer is taken after it."""
    before = bench.server.token_requests
    url, running = bench.grant()
    here = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    bench.browser.get(f"{here}?code=c0de&state={'A' * 43}&iss={bench.server.issuer}")

    assert "this answer belongs to no grant that was begun here" in bench.page()
    assert 0 == bench.server.token_requests - before
    bench.consent(url)
    assert "Access granted" in bench.allow()
    assert 0 == running.result(20).exit_code


def test_a_callback_after_ten_minutes(bench: Bench) -> None:
    """The code is good still, and is not redeemed."""
    before = bench.server.token_requests
    url, running = bench.grant()
    bench.consent(url)
    bench.clock.seconds = LIFETIME_S + 1
    page = bench.allow()
    done = running.result(20)

    assert "the answer came later than 10 minutes" in page
    assert 1 == done.exit_code
    assert "later than 10 minutes" in done.stderr
    assert 0 == bench.server.token_requests - before
