"""The command line as a whole: help, errors, exit codes, pipes, terminals."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from email_profiles_hookspecs import Problem, Reply, TokenStatus
from email_profiles_hookspecs.errors import (
    Conflict,
    EmailProfilesError,
    Invalid,
    NotFound,
    Refused,
    StoreUnavailable,
)
from email_profiles_plugin.cli import main
from email_profiles_plugin.store.health import Health

Run = Callable[..., Result]
Opener = Callable[..., AbstractContextManager[Any]]

PROFILE = {
    "name": "plant",
    "smtp": {"hostname": "mail.plant.example", "use_starttls": True},
    "auth": {"mode": "basic", "username": "gateway", "password": "c4n4ry"},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line on a home of the test's own."""
    for name in ("EMAIL_PROFILES_DATABASE", "EMAIL_PROFILES_KEY"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str, input: str | None = None, obj: Any = None) -> Result:
        given = ["--home", str(tmp_path / "home"), "--no-plugins", *words]
        return CliRunner().invoke(main, given, input=input, obj=obj)

    return command


def program(*words: str, home: Path, **options: Any) -> subprocess.Popen[Any]:
    """The command line as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("EMAIL_PROFILES_DATABASE", None)
    environment["EMAIL_PROFILES_HOME"] = str(home)
    return subprocess.Popen(
        [sys.executable, "-m", "email_profiles_plugin.cli", *words],
        env={**environment, **options.pop("env", {})},
        **options,
    )


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command below *group*."""
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize("words", list(commands(main)), ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    """What it does, every option explained, and for a command an example."""
    result = CliRunner().invoke(main, [*words, "--help"])
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    silent = [
        one.name
        for one in command.params
        if isinstance(one, click.Option) and not one.help
    ]

    assert 0 == result.exit_code
    assert [] == silent
    shown = "Examples:\n" in result.output and "email-profiles " in result.output
    assert shown or isinstance(command, click.Group)


def test_help_is_light() -> None:
    """`--help` loads neither the database, HTTP, the validator nor the drawing."""
    code = (
        "import sys\n"
        "from email_profiles_plugin.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'sqlalchemy', 'alembic', 'requests', 'jsonschema', 'oauthlib',"
        " 'rich', 'cryptography', 'aiosmtpd'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or None)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert "  demo " in done.stdout


def test_version() -> None:
    """`--version` says which."""
    result = CliRunner().invoke(main, ["--version"])

    assert 0 == result.exit_code
    assert result.output.startswith("email-profiles, version ")


def raising(error: Exception) -> Opener:
    """An opener whose facade can't be had."""

    @contextmanager
    def opener(*settings: object) -> Iterator[None]:
        raise error
        yield

    return opener


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (
            StoreUnavailable("the database is locked", "try again"),
            ["error: the database is locked", "remedy: try again"],
        ),
        (
            NotFound("OAuth2 client", "entra"),
            [
                "error: there is no OAuth2 client 'entra'",
                "remedy: see `email-profiles client list`",
            ],
        ),
        (
            Invalid("it", [Problem(path="$.a", message="is b", remedy="make it c")]),
            ["$.a: is b (make it c)"],
        ),
        (
            Refused("MAIL", Reply(code=550, enhanced="5.7.1", text="no"), "ask"),
            ["error: MAIL: 550 5.7.1 no", "remedy: ask"],
        ),
        (Conflict("a\x1b[2Jb"), ["error: a\\x1b[2Jb"]),
        (
            RuntimeError("line one\nline two, with values"),
            [
                "error: unexpected RuntimeError: line one",
                "remedy: `email-profiles --debug ...` shows where; please report it",
            ],
        ),
    ],
)
def test_errors_are_sentences(run: Run, error: Exception, lines: list[str]) -> None:
    """What failed and what to do, on stderr; exit code 1 and no traceback."""
    result = run("profile", "list", obj=raising(error))

    assert (1, "") == (result.exit_code, result.stdout)
    assert lines == result.stderr.splitlines()


@pytest.mark.parametrize("kind", [Conflict, RuntimeError])
def test_debug_shows_a_traceback_of_what_was_unexpected(
    run: Run, kind: type[Exception]
) -> None:
    """An error of the contract has none, with `--debug` either."""
    result = run("--debug", "profile", "list", obj=raising(kind("boom")))

    assert (kind is RuntimeError) == isinstance(result.exception, RuntimeError)
    assert ("error: boom" in result.stderr) == issubclass(kind, EmailProfilesError)


@pytest.mark.parametrize(
    "words", [("nothing",), ("profile", "show"), ("profile", "apply", "/no/such.json")]
)
def test_wrong_usage_is_2(run: Run, words: tuple[str, ...]) -> None:
    """An unknown command, a missing argument, a file that is not there."""
    assert 2 == run(*words).exit_code


def test_an_unusable_home_is_told(tmp_path: Path) -> None:
    """No traceback where the folder can't be made."""
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(
        main, ["--home", str(tmp_path / "file" / "home"), "profile", "list"]
    )

    assert 1 == result.exit_code
    assert result.stderr.startswith("error: the database ")


def test_the_database_can_be_elsewhere(run: Run, tmp_path: Path) -> None:
    """`--database` names it; the home holds the key only."""
    elsewhere = tmp_path / "elsewhere.db"
    result = run(
        *("--database", f"sqlite:///{elsewhere}", "profile", "apply", "-"),
        input=json.dumps(PROFILE),
    )

    assert 0 == result.exit_code
    assert elsewhere.exists()
    assert ["key"] == [one.name for one in (tmp_path / "home").iterdir()]


def test_what_the_library_logs_is_a_line(run: Run) -> None:
    """A warning goes to stderr without a traceback; with `--debug` it has one."""

    @contextmanager
    def opener(*settings: object) -> Iterator[Any]:
        try:
            raise RuntimeError("deep inside")
        except RuntimeError as error:
            logger = logging.getLogger("email_profiles_plugin.plugins")
            logger.warning("plugin %s is left out", "x", exc_info=error)
        raise Conflict("no more")
        yield

    plain, debug = run("plugins", obj=opener), run("--debug", "plugins", obj=opener)

    assert "warning: plugin x is left out\nerror: no more\n" == plain.stderr
    assert "RuntimeError: deep inside" in debug.stderr


def test_safe_mode(run: Run) -> None:
    """`--no-plugins` opens with none but the built-in ones."""
    seen: list[object] = []

    def opener(home: str, database: str | None, only: object) -> Any:
        seen.append(only)
        return raising(Conflict("enough"))()

    run("plugins", obj=opener)
    CliRunner().invoke(main, ["plugins"], obj=opener)

    assert [(), None] == seen


def test_plugins(run: Run) -> None:
    """Those in use with their modes, and, where one was left out, why."""
    found = json.loads(run("plugins", "--json").stdout)

    assert ("basic", "built in", ["basic"], "") in [
        (one["name"], one["source"], one["modes"], one["error"]) for one in found
    ]
    assert "PLUGIN" in run("plugins").stdout


def test_schema(run: Run) -> None:
    """The modes; and of each name a valid schema, whole in itself."""
    modes = json.loads(run("schema", "--json").stdout)
    names = [*(one["mode"] for one in modes), "oauth2_client", "send_request"]

    assert {"mode": "basic", "title": "Classic SMTP"} in modes
    for name in names:
        Draft202012Validator.check_schema(json.loads(run("schema", name).stdout))
    assert "basic" in run("schema").stdout
    assert "remedy: choose one of basic, " in run("schema", "ntlm").stderr


def test_rotate_and_retire_the_key(run: Run, tmp_path: Path) -> None:
    """Sealed anew, the secrets open without the old key."""
    run("profile", "apply", "-", input=json.dumps(PROFILE))
    rotated, retired = run("key", "rotate"), run("key", "retire")
    tested = run("profile", "apply", "-", input=json.dumps(PROFILE))

    assert rotated.output.startswith("sealed the secrets of 1 document with a new key")
    assert "dropped 1 old key\n" == retired.output
    assert 1 == len((tmp_path / "home" / "key").read_text().split())
    assert tested.output.startswith("plant: unchanged")


def test_backup(run: Run, tmp_path: Path) -> None:
    """A copy to open; a file that is there is not written over."""
    run("profile", "apply", "-", input=json.dumps(PROFILE))
    copy = tmp_path / "copy.db"
    first, again = run("backup", str(copy)), run("backup", str(copy))
    listed = run("--database", f"sqlite:///{copy}", "profile", "list", "--json")

    assert f"{copy}: written; keep the key too: {tmp_path / 'home' / 'key'}\n" == (
        first.output
    )
    assert (1, f"error: {copy} is there already\nremedy: name a new file\n") == (
        again.exit_code,
        again.stderr,
    )
    assert ["plant"] == [one["name"] for one in json.loads(listed.stdout)]


class Tokens:
    """A facade whose tokens are these."""

    STATUS = TokenStatus(
        state="valid",
        expires_at=datetime(2026, 11, 23, 8, tzinfo=UTC),
        scope="mail",
        account="gateway@plant.example",
        generation=3,
        has_refresh_token=True,
        actions=("refresh", "revoke"),
    )

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.tokens = self

    def __enter__(self) -> Tokens:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def status(self, name: str) -> TokenStatus:
        if name == "plain":
            raise Conflict("email profile 'plain' has no token: its mode is basic")
        self.asked.append(("status", name))
        return self.STATUS

    def refresh(self, name: str, *, actor: str) -> TokenStatus:
        self.asked.append(("refresh", name))
        return self.STATUS

    def revoke(self, name: str, *, actor: str) -> None:
        self.asked.append(("revoke", name))

    def health(self, name: str) -> Health:
        return Health()


def test_token_commands(run: Run) -> None:
    """Status and refresh print the state, revoke that it is done."""
    facade = Tokens()

    def ask(*words: str) -> Result:
        return run("token", *words, obj=lambda *settings: facade)

    found = json.loads(ask("status", "plant", "--json").stdout)
    text = ask("refresh", "plant").output
    revoked = ask("revoke", "plant").output
    refused = ask("status", "plain")

    assert {
        "profile": "plant",
        "state": "valid",
        "expires_at": "2026-11-23T08:00:00+00:00",
        "scope": "mail",
        "account": "gateway@plant.example",
        "generation": 3,
        "has_refresh_token": True,
        "error": "",
        "actions": ["refresh", "revoke"],
        "paused_until": None,
        "paused_because": "",
    } == found
    assert "expires at         2026-11-23 08:00:00Z\n" in text
    assert "plant: token revoked\n" == revoked
    assert [("status", "plant"), ("refresh", "plant"), ("revoke", "plant")] == (
        facade.asked
    )
    assert (1, "error: email profile 'plain' has no token: its mode is basic\n") == (
        refused.exit_code,
        refused.stderr,
    )


def test_a_pipe_gets_plain_columns(run: Run, tmp_path: Path) -> None:
    """Nothing drawn, coloured, cut or wrapped; names as they are, whatever they are."""
    long = "[red]" + "Behälter " * 30 + "end"
    run("profile", "apply", "-", input=json.dumps({**PROFILE, "description": long}))
    listed = program(
        *("profile", "list"),
        home=tmp_path / "home",
        stdout=subprocess.PIPE,
        env={"COLUMNS": "40", "FORCE_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
    )
    lines = listed.communicate()[0].decode().splitlines()

    assert 0 == listed.returncode
    assert 2 == len(lines)
    assert lines[1].endswith(long)
    assert lines[1].isprintable()


def test_a_terminal_gets_a_table(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn, with every word of what it holds; markup in it is text."""
    document = {**PROFILE, "description": "[b]x"}
    run("profile", "apply", "-", input=json.dumps(document))
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    drawn = run("profile", "list").stdout

    assert "─" in drawn
    assert "[b]x" in drawn


def test_nothing_is_lost_in_a_pipe_of_another_encoding(
    run: Run, tmp_path: Path
) -> None:
    """What it can't take is escaped; JSON is ASCII then."""
    document = {**PROFILE, "description": "Behälter → 4"}
    run("profile", "apply", "-", input=json.dumps(document))
    text, found = (
        program(
            *("profile", "list", *more),
            home=tmp_path / "home",
            stdout=subprocess.PIPE,
            env={"PYTHONIOENCODING": "latin-1"},
        ).communicate()[0]
        for more in ((), ("--json",))
    )

    assert "Behälter \\u2192 4" in text.decode("latin-1")
    assert found.isascii()
    assert "Behälter → 4" == json.loads(found)[0]["description"]


def test_a_failed_process_exits_with_1(tmp_path: Path) -> None:
    """The sentence is on stderr, and stdout stays empty."""
    failed = program(
        *("profile", "show", "nobody"),
        home=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = failed.communicate()

    assert (1, b"") == (failed.returncode, out)
    assert err.startswith(b"error: there is no email profile 'nobody'")
