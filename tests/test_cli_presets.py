"""`email-profiles profile new`: documents that `apply` takes, or why there are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from email_profiles_plugin.cli import main
from email_profiles_plugin.presets import PRESETS

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `profile` on a home of the test's own; *group* for another one."""
    for name in ("EMAIL_PROFILES_DATABASE", "EMAIL_PROFILES_KEY"):
        monkeypatch.delenv(name, raising=False)

    def command(
        *words: str, group: str = "profile", input: str | None = None
    ) -> Result:
        given = ["--home", str(tmp_path / "home"), "--no-plugins", group, *words]
        return CliRunner().invoke(main, given, input=input, catch_exceptions=False)

    return command


def shown(run: Run, name: str, group: str = "profile") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("export", name, group=group).stdout)
    return found


def test_without_a_preset_they_are_listed(run: Run, tmp_path: Path) -> None:
    """Each in a line; for programs as an array. No store is opened for it."""
    lines = run("new").stdout.splitlines()[1:]
    entries = json.loads(run("new", "--list", "--json").stdout)

    assert [one.name for one in PRESETS] == [line.split()[0] for line in lines]
    assert [one.name for one in PRESETS] == [one["name"] for one in entries]
    assert {"port": 587, "security": "STARTTLS"} == entries[0]["ports"][0]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("preset", [one.name for one in PRESETS])
def test_what_is_printed_can_be_applied(run: Run, preset: str) -> None:
    """The client first; stdout holds nothing but the document."""
    printed = run("new", "--preset", preset)
    document = json.loads(printed.stdout)
    if document["auth"]["mode"] == "oauth2":
        client = run("new", "--preset", preset, "--document", "client")
        done = run("apply", "-", group="client", input=client.stdout)
        assert 0 == done.exit_code, done.stderr
    done = run("apply", "-", input=printed.stdout)

    assert (0, 0) == (printed.exit_code, done.exit_code), done.stderr
    for line in printed.stderr.splitlines():
        assert line.startswith("note: ")


def test_what_is_left_open_is_told_by_its_place(run: Run) -> None:
    """And by what belongs there; each document has its own."""
    words = "new", "--preset", "microsoft365", "--no-interactive"
    profile, client = run(*words), run(*words, "--document", "client")

    assert "the mailbox's address for USERNAME at $.auth.username" in profile.stderr
    assert "TENANT at $.token_endpoint" not in profile.stderr
    assert "TENANT at $.token_endpoint" in client.stderr
    assert "CLIENT-ID at $.client_id" in client.stderr


def test_a_profile_and_its_client_are_stored(run: Run) -> None:
    """With what comes next; the preset's name is both's unless another is given."""
    done = run(
        *("new", "--preset", "gmail", "--username", "alarms@plant.example"),
        *("--client-id", "4711", "--apply"),
    )

    assert (0, "gmail") == (done.exit_code, shown(run, "gmail")["auth"]["client"])
    assert "4711" == shown(run, "gmail", "client")["client_id"]
    uid = json.loads(run("show", "gmail", "--json", group="client").stdout)["id"]
    lines = done.stdout.splitlines()
    registered = lines.pop(3)
    uri = f"http://127.0.0.1/oauth2/callback/{uid}"
    assert f"next: register the redirect URI {uri} " in registered
    assert [
        "OAuth2 client gmail: created (revision 1)",
        "email profile gmail: created (revision 1)",
        "next: `email-profiles client set-secret gmail client_secret`: the client "
        "secret that the provider gave to your registration",
        "next: `email-profiles token grant gmail`",
        "next: `email-profiles profile test gmail --to ADDR`",
    ] == lines
    assert "warning" not in done.stderr.replace("client_secret", "")


def test_what_was_stored_is_told_to_programs(run: Run) -> None:
    """As JSON; and --document has nothing to say there."""
    words = "new", "--preset", "relay", "--hostname", "mail.plant.example", "--apply"
    done, refused = run(*words, "--json"), run(*words, "--document", "client")
    found = json.loads(done.stdout)

    assert (None, "created", 1) == (
        found["client"],
        found["profile"]["change"],
        found["profile"]["revision"],
    )
    assert "profile test relay" in found["next"][-1]
    assert (2, True) == (refused.exit_code, "--document" in refused.stderr)


def test_profiles_share_a_client_that_is_there(run: Run) -> None:
    """It stays as it is, and nothing of it has to be said again."""
    user = "--username", "a@plant.example", "--apply"
    run("new", "--preset", "gmail", "--client-id", "4711", *user)
    second = run("new", "--preset", "gmail", "--name", "reports", *user)
    other = run(
        *("new", "--preset", "gmail", "--name", "third", "--client-id", "4712"), *user
    )

    assert (0, "gmail") == (second.exit_code, shown(run, "reports")["auth"]["client"])
    assert "OAuth2 client gmail: is there already" in second.stdout
    assert "client set-secret gmail client_secret" in second.stdout
    assert "register" not in second.stdout
    assert (1, "") == (other.exit_code, other.stdout)
    assert "remedy: give another --client" in other.stderr


def test_nothing_is_stored_by_halves(run: Run) -> None:
    """What is missing is told with its option, all at once."""
    done = run("new", "--preset", "m365", "--no-interactive", "--apply")

    assert (1, "") == (done.exit_code, done.stdout)
    for option in ("--username", "--client-id", "--tenant"):
        assert option in done.stderr
    assert "[]\n" == run("list", "--json").stdout
    assert "[]\n" == run("list", "--json", group="client").stdout


def test_a_profile_that_is_there_is_not_written_over(run: Run) -> None:
    """`new` is for new ones."""
    words = "new", "--preset", "relay", "--hostname", "mail.plant.example", "--apply"
    first, again = run(*words), run(*words)
    third = run(*words, "--name", "relay-2")

    assert (0, 1, 0) == (first.exit_code, again.exit_code, third.exit_code)
    assert "give another --name" in again.stderr


def test_warnings_are_told_but_for_secrets_that_come_next(run: Run) -> None:
    """The linter speaks where a choice goes against the provider."""
    done = run(
        *("new", "--preset", "ses", "--region", "eu-west-1", "--apply"),
        *("--username", "a@plant.example"),
    )
    warned = [one for one in done.stderr.splitlines() if one.startswith("warning")]

    assert 0 == done.exit_code
    assert 1 == len(warned)
    assert "$.auth.username: is an address" in warned[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gmial"], "remedy: did you mean gmail? "),
        (["x"], "remedy: `email-profiles profile new --list` has them all"),
        (["gmail", "--no-interactive"], "--interactive: "),
        (["outlook", "--mode", "basic"], "September 2024"),
        (["postmark", "--port", "465"], "--port: Postmark has no port 465"),
        (["m365", "--tenant", "a/b c"], "--tenant: may only have letters"),
        (["ses", "--document", "client"], "needs no OAuth2 client with mode basic"),
        (["gmail", "--from", "no one@"], "$.policy.from_addresses[0]: "),
    ],
)
def test_what_can_not_be_made_is_told(run: Run, words: list[str], said: str) -> None:
    """Exit code 1, and the reason; nothing is printed that might be applied."""
    done = run("new", "--preset", *words)

    assert (1, "") == (done.exit_code, done.stdout)
    assert said in done.stderr


def test_every_option_has_a_place(run: Run) -> None:
    """What is chosen stands in the profile."""
    done = run(
        *("new", "--preset", "zoho", "--name", "reports", "--region", "eu"),
        *(
            "--port",
            "587",
            "--username",
            "a@plant.example",
            "--from",
            "b@plant.example",
        ),
    )

    assert {
        "name": "reports",
        "description": "Zoho Mail",
        "smtp": {"hostname": "smtp.zoho.eu", "port": 587, "use_starttls": True},
        "auth": {"mode": "basic", "username": "a@plant.example"},
        "policy": {"from_addresses": ["b@plant.example"]},
    } == json.loads(done.stdout)
    assert "Zoho Mail is not from Zoho Mail itself" in done.stderr
