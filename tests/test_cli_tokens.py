"""`email-profiles token`, live: every state, errors, and nothing that is secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import define
from click.testing import CliRunner, Result

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import main
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.testing import AuthorizationServer

SECRET = "c4n4ry-secret"


@define
class Shifted:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@define
class Bench:
    """A home with the profile `cloud`, whose clock can be set forward."""

    profiles: EmailProfiles
    clock: Shifted
    server: AuthorizationServer

    def run(self, *words: str) -> Result:
        return self.group("token", *words)

    def group(self, *words: str) -> Result:
        def opener(*settings: object) -> AbstractContextManager[EmailProfiles]:
            return nullcontext(self.profiles)

        done = CliRunner().invoke(main, words, obj=opener)
        assert "c4n4ry" not in done.output
        return done

    def status(self) -> dict[str, Any]:
        done = self.run("status", "cloud", "--json")
        assert (0, "") == (done.exit_code, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    authorization_server: AuthorizationServer,
) -> Bench:
    clock = Shifted()
    profiles = open_profiles(deliver=False, clock=clock)
    authorization_server.register("gateway", SECRET)
    client = {
        "name": "plant-login",
        "client_id": "gateway",
        "client_secret": SECRET,
        "token_endpoint": authorization_server.token_endpoint,
        "ca_file": str(authorization_server.ca_file),
    }
    profiles.clients.apply(client, actor="test")
    profiles.profiles.apply(profile(), actor="test")
    return Bench(profiles, clock, authorization_server)


def profile(**auth: Any) -> dict[str, Any]:
    return {
        "name": "cloud",
        "smtp": {"hostname": "localhost"},
        "auth": {
            "mode": "oauth2",
            "username": "gateway@plant.example",
            "client": "plant-login",
            "scope": "mail.send",
            **auth,
        },
    }


def test_from_none_to_expired(bench: Bench) -> None:
    """The states of a token in the order of its life, and what each offers."""
    seen = [bench.status()]
    refreshed = bench.run("refresh", "cloud", "--json")
    for seconds in (0, 3400, 3700):
        bench.clock.seconds = seconds
        seen.append(bench.status())
    bench.run("refresh", "cloud")
    seen.append(bench.status())

    assert 0 == refreshed.exit_code
    assert seen[1] == json.loads(refreshed.stdout)
    expected = [
        ("none", 0, "", ["refresh"]),
        ("valid", 1, "mail.send", ["refresh", "revoke"]),
        ("expiring", 1, "mail.send", ["refresh", "revoke"]),
        ("expired", 1, "mail.send", ["refresh", "revoke"]),
        ("valid", 2, "mail.send", ["refresh", "revoke"]),
    ]
    assert expected == [
        (one["state"], one["generation"], one["scope"], one["actions"]) for one in seen
    ]
    assert [None, "Z"] == [seen[0]["expires_at"], text_of_expiry(bench)[-1]]


def text_of_expiry(bench: Bench) -> str:
    lines = bench.run("status", "cloud").stdout.splitlines()
    return next(line for line in lines if line.startswith("expires at"))


def test_a_refusal(bench: Bench) -> None:
    """One error with its remedy, once; the state keeps it; a good token stays good."""
    refusal = {"error": "invalid_client", "error_description": f"who is {SECRET}"}
    bench.server.answer_next(401, refusal)
    refused = bench.run("refresh", "cloud", "--json")
    found = bench.status()

    assert (1, "") == (refused.exit_code, refused.stdout)
    said = "the authorization server refused: invalid_client (who is ***)"
    remedy = "look at the OAuth2 client's id and secret, and at how it authenticates"
    assert [f"error: {said}", f"remedy: {remedy}"] == refused.stderr.splitlines()
    assert ("error", f"{said}: {remedy}") == (found["state"], found["error"])

    bench.run("refresh", "cloud")
    bench.server.answer_next(503, b"busy")
    assert 1 == bench.run("refresh", "cloud").exit_code
    found = bench.status()
    assert ("valid", 1) == (found["state"], found["generation"])
    assert "answered 503" in found["error"]


def test_revoke(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It says that it is done, and warns of nothing; then there is none to revoke."""
    bench.run("refresh", "cloud")
    done, again = bench.run("revoke", "cloud"), bench.run("revoke", "cloud")

    assert (0, "cloud: token revoked\n", "") == (
        done.exit_code,
        done.stdout,
        done.stderr,
    )
    assert [] == [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "none" == bench.status()["state"]
    said = "error: the token of 'cloud' can't be revoked now: there is no token; "
    said += "it offers refresh\n"
    assert (1, said) == (again.exit_code, again.stderr)


def test_interactive(bench: Bench) -> None:
    """A profile that needs a person can be granted, and nothing else before."""
    interactive = profile(interactive=True)
    endpoint = "https://login.example/authorize"
    document = bench.profiles.clients.export("plant-login")
    document["authorization_endpoint"] = endpoint
    bench.profiles.clients.apply({**document, "client_secret": SECRET}, actor="test")
    bench.profiles.profiles.apply(interactive, actor="test")
    refused = bench.run("refresh", "cloud")

    assert ("needs grant", ["grant"]) == (
        bench.status()["state"],
        bench.status()["actions"],
    )
    assert (
        "error: the token of 'cloud' can't be refreshed now: nobody has granted access "
        "yet; it offers grant\n" == refused.stderr
    )
    assert 0 == bench.server.token_requests


def test_all_that_have_a_token(bench: Bench) -> None:
    """`status` without a name; and the list of profiles says who needs a person."""
    alone = {**profile(interactive=True), "name": "alone"}
    plain = {**profile(), "name": "plain", "auth": {"mode": "basic"}}
    document = bench.profiles.clients.export("plant-login")
    document["authorization_endpoint"] = "https://login.example/authorize"
    bench.profiles.clients.apply({**document, "client_secret": SECRET}, actor="test")
    for one in (alone, plain):
        bench.profiles.profiles.apply(one, actor="test")
    bench.run("refresh", "cloud")
    lines = bench.run("status").stdout.splitlines()
    listed = json.loads(bench.group("profile", "list", "--json").stdout)

    assert ["alone", "cloud"] == [line.split()[0] for line in lines[1:]]
    assert [("alone", "needs grant"), ("cloud", "valid")] == [
        (one["profile"], one["state"])
        for one in json.loads(bench.run("status", "--json").stdout)
    ]
    assert [("alone", "needs grant"), ("cloud", "well"), ("plain", "well")] == [
        (one["name"], one["state"]) for one in listed
    ]


def test_a_missing_grant_is_told_once(bench: Bench) -> None:
    """With the command that grants it; `send` has queued nothing."""
    document = bench.profiles.clients.export("plant-login")
    document["authorization_endpoint"] = "https://login.example/authorize"
    bench.profiles.clients.apply({**document, "client_secret": SECRET}, actor="test")
    quick = profile(interactive=True, access_token_timeout_s=0)
    bench.profiles.profiles.apply(quick, actor="test")
    to = "--to", "operator@plant.example"
    tried = bench.group("profile", "test", "cloud", *to)
    sent = bench.group(
        *("send", "--profile", "cloud", "--from", "gateway@plant.example"),
        *(*to, "--subject", "Tank 4"),
    )

    for done in (tried, sent):
        assert 1 == done.exit_code
        assert 1 == done.stderr.count("nobody has granted access yet")
        assert done.stderr.endswith(": `email-profiles token grant cloud`\n")
    assert "error: not queued: nobody has" in sent.stderr
    assert {} == {key: one for key, one in bench.profiles.outbox.stats().items() if one}


@pytest.mark.parametrize("action", ["status", "refresh", "revoke"])
def test_wrong_input(bench: Bench, action: str) -> None:
    """No such profile, one without a token, and none named."""
    plain = {**profile(), "name": "plain", "auth": {"mode": "basic"}}
    bench.profiles.profiles.apply(plain, actor="test")
    unknown, without = bench.run(action, "nobody"), bench.run(action, "plain")

    assert (
        "error: there is no email profile 'nobody'\n"
        "remedy: see `email-profiles profile list`\n" == unknown.stderr
    )
    said = "error: email profile 'plain' has no token: its mode is basic\n"
    assert [1, 1, 0 if action == "status" else 2] == [
        unknown.exit_code,
        without.exit_code,
        bench.run(action).exit_code,
    ]
    assert said == without.stderr
