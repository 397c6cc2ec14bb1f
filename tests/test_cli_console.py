"""`email-profiles console`: runs, lets one in, ends; and who may use the API."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result
from console_client import Browser

from email_profiles_hookspecs import SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import console as command
from email_profiles_plugin.cli import main
from email_profiles_plugin.cli.console import Place

Run = Callable[..., Result]

LINK = re.compile(r"(http://\S+)/sign-in\?link=\S+")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line on a home of the test's own."""
    for name in ("EMAIL_PROFILES_DATABASE", "EMAIL_PROFILES_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run_command(*words: str) -> Result:
        given = ["--home", str(tmp_path / "home"), "--no-plugins", *words]
        return CliRunner().invoke(main, given)

    return run_command


@contextmanager
def running(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The console as a process of its own, which has printed where it is."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("EMAIL_PROFILES_DATABASE", None)
    environment |= {"EMAIL_PROFILES_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    given = ["--no-plugins", "console", "--port", "0", "--no-browser", *words]
    process = subprocess.Popen(
        [sys.executable, "-m", "email_profiles_plugin.cli", *given],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def link_of(process: subprocess.Popen[str]) -> str:
    """The link that the console prints."""
    assert process.stdout is not None
    for line in process.stdout:
        if LINK.search(line):
            return line.strip()
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_delivers_lets_one_in_and_ends(
    tmp_path: Path, smtp_server: Any, profile_document: Any, ending: int
) -> None:
    """By either signal, with exit code 0; calls are told without their query."""
    home = tmp_path / "home"
    with EmailProfiles.open(home, only=(), deliver=False) as profiles:
        profiles.profiles.apply(profile_document(smtp_server), actor="test")
        receipt = profiles.send(
            SendRequest(
                profile="plant",
                from_address="gateway@plant.example",
                to=["operator@plant.example"],
                text="Level is 92 %.",
            )
        )
        with running(home) as process:
            link = link_of(process)
            url = link.partition("/sign-in")[0]
            browser = Browser(url)
            browser.headers["X-Forwarded-For"] = "203.0.113.7"  # no proxy is there
            entered = browser.submit(browser.get(link))
            again = CliRunner().invoke(
                main, ["--home", str(home), "--no-plugins", "console", "link"]
            )
            outcome = profiles.outcome(receipt.id, wait=20)
            process.send_signal(ending)
            _, told = process.communicate(timeout=20)

    assert (0, 200) == (process.returncode, entered.status_code)
    assert again.stdout.startswith(f"{url}/sign-in?link=")
    assert outcome is not None
    assert "accepted" == outcome.state
    assert "127.0.0.1 POST /sign-in 303" in told
    assert link.partition("link=")[2] not in told
    assert "the console has ended" in told


def test_it_leaves_the_outbox_alone_if_told_so(
    tmp_path: Path, smtp_server: Any, profile_document: Any
) -> None:
    """Other processes deliver then."""
    home = tmp_path / "home"
    with EmailProfiles.open(home, only=(), deliver=False) as profiles:
        profiles.profiles.apply(profile_document(smtp_server), actor="test")
        request = SendRequest(
            profile="plant",
            from_address="gateway@plant.example",
            to=["operator@plant.example"],
            text="Level is 92 %.",
        )
        id = profiles.send(request).id
        with running(home, "--no-delivery") as process:
            url = link_of(process).partition("/sign-in")[0]
            assert 200 == requests.get(f"{url}/sign-in", timeout=20).status_code
            state = profiles.outbox.show(id).state

    assert ("queued", []) == (state, smtp_server.messages)


def test_a_port_that_is_taken_is_told(run: Run) -> None:
    """With what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = run("console", "--port", port)

    assert 1 == done.exit_code
    assert f"error: port {port} of 127.0.0.1 is taken" in done.stderr
    assert "--port" in done.stderr.partition("remedy:")[2]


def test_an_address_of_another_machine_is_told(run: Run) -> None:
    """And whoever listens for others is warned that all can be read on the way."""
    done = run("console", "--host", "203.0.113.9", "--port", "0")

    assert 1 == done.exit_code
    assert "warning: whoever reaches 203.0.113.9 reaches the console" in done.stderr
    assert "error: 203.0.113.9 port 0 can't be listened at" in done.stderr


def test_a_proxy_with_tls_is_no_reason_to_warn(run: Run) -> None:
    """Then what is sent can't be read on the way."""
    done = run(
        *("console", "--host", "203.0.113.9", "--port", "0"),
        *("--base-url", "https://gateway.example/mail"),
    )

    assert "warning" not in done.stderr


def test_a_missing_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, not what could not be imported."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(
        sys.modules, "email_profiles_plugin.console.serving", raising=False
    )
    done = run("console", "--port", "0")

    assert 1 == done.exit_code
    assert "the console is not installed" in done.stderr
    assert "remedy: pip install 'email-profiles-plugin[console]'" in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        *("", "gateway.example", "https://", "https://a/?b", "https://[a", "ftp://a"),
        *("https://a:65536", "https://a:0", "https://a b", "https://a/b%20c"),
        *("https://a@b", "https://a/../b", "https://a//b", "https://a/profiles/x"),
    ],
)
def test_a_base_url_that_is_none_is_told(run: Run, url: str) -> None:
    """Before anything is opened."""
    done = run("console", "--base-url", url, "link")

    assert (2, True) == (done.exit_code, "say https://host" in done.stderr)


def test_a_base_url_of_an_international_name(run: Run) -> None:
    """As browsers send it."""
    done = run("console", "--base-url", "https://Werk-Größe.example:8443/m/", "link")

    assert done.stdout.startswith("https://xn--werk-gre-wya3u.example:8443/m/sign-in?")


@pytest.mark.parametrize(
    ("place", "url"),
    [
        (Place(), "http://127.0.0.1:8470"),
        (Place(host="0.0.0.0", port=1), "http://127.0.0.1:1"),
        (Place(host="::", port=1), "http://[::1]:1"),
        (Place(host="::1", port=1), "http://[::1]:1"),
        (Place(base_url="https://a/b/"), "https://a/b"),
    ],
)
def test_where_browsers_reach_it(place: Place, url: str) -> None:
    """As it was said, or by where it listens."""
    assert url == place.url


def test_a_link_for_where_it_was_started_or_for_another_place(run: Run) -> None:
    """With the role that was wanted; only who runs commands here can make one."""
    first = run("console", "link")
    placed = run("console", "--base-url", "https://gateway.example/mail", "link")
    known = run("console", "link", "--role", "viewer")

    assert first.stdout.startswith("http://127.0.0.1:8470/sign-in?link=")
    assert [True, True] == [
        one.stdout.startswith("https://gateway.example/mail/sign-in?link=")
        for one in (placed, known)
    ]
    assert "within 5 minutes" in known.stderr


@pytest.mark.parametrize("desktop", [True, False])
def test_the_browser_is_opened_on_a_desktop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desktop: bool
) -> None:
    """At the link; elsewhere it is only printed."""
    opened: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(command.webbrowser, "open", opened.put)
    monkeypatch.setattr(command, "desktop", lambda: desktop)
    with EmailProfiles.open(tmp_path, only=(), deliver=False) as profiles:
        command._welcome(profiles, Place(), browse=False)
        command._welcome(profiles, Place(), browse=True)

    if desktop:
        assert LINK.match(opened.get(timeout=20))
    assert opened.empty()


def test_tokens_are_made_listed_and_revoked(run: Run) -> None:
    """Shown once, by the command that made it."""
    made = run("console", "token", "new", "nightly", "--role", "viewer")
    taken = run("console", "token", "new", "nightly")
    table = run("console", "token", "list")
    listed = json.loads(run("console", "token", "list", "--json").stdout)
    gone = run("console", "token", "revoke", "nightly")
    none = run("console", "token", "revoke", "nightly")

    secret = made.stdout.strip()
    assert secret.startswith("ept_")
    assert (1, True) == (taken.exit_code, "already" in taken.stderr)
    assert secret not in table.stdout + json.dumps(listed)
    assert [("nightly", "viewer", None)] == [
        (one["name"], one["role"], one["used_at"]) for one in listed
    ]
    assert "nightly: API token revoked\n" == gone.stdout
    assert "see `email-profiles console token list`" in none.stderr
