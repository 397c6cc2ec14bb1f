"""The command line's `profile` and `client`: documents in, documents out, no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner, Result

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import main
from email_profiles_plugin.secrets import SecretReader
from email_profiles_plugin.testing import CertificateAuthority

Run = Callable[..., Result]
Write = Callable[..., str]

CANARY = "c4n4ry-s3cr3t"
PROFILE: dict[str, Any] = {
    "name": "plant-alerts",
    "smtp": {"hostname": "mail.plant.example", "port": 587, "use_starttls": True},
    "auth": {"mode": "basic", "username": "gateway", "password": CANARY},
}
CLIENT: dict[str, Any] = {
    "name": "google",
    "client_id": "4711",
    "client_secret": CANARY,
    "token_endpoint": "https://login.example/token",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line on a home of the test's own; no secret may come out."""
    for name in ("EMAIL_PROFILES_DATABASE", "EMAIL_PROFILES_KEY"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str, input: str | bytes | None = None) -> Result:
        given = ["--home", str(tmp_path / "home"), "--no-plugins", *words]
        result = CliRunner().invoke(main, given, input=input, catch_exceptions=False)
        assert CANARY not in result.output
        return result

    return command


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write content to a file of that name, as JSON unless it is text; its path."""

    def written(content: object, name: str = "document.json") -> str:
        path = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, "utf-8")
        return str(path)

    return written


def secret(home: Path, name: str = "plant-alerts") -> str:
    """The password of a profile, as its provider would read it."""
    with EmailProfiles.open(home, only=(), deliver=False) as opened:
        profile = opened.resolve(name)
        assert profile is not None
        return SecretReader(opened.keyring).read(profile.auth["password"])


def test_apply_says_what_it_did(run: Run, write: Write) -> None:
    """Created, then unchanged, then changed; each with its revision."""
    path = write(PROFILE)
    first, again = run("profile", "apply", path), run("profile", "apply", path)
    changed = run("profile", "apply", write({**PROFILE, "description": "Alarms"}))

    assert (0, "plant-alerts: created (revision 1)\n") == (
        first.exit_code,
        first.output,
    )
    assert "plant-alerts: unchanged (revision 1)\n" == again.output
    assert "plant-alerts: changed (revision 2)\n" == changed.output


def test_apply_tells_every_mistake_on_a_line(run: Run, write: Write) -> None:
    """Five mistakes: five lines on stderr, nothing stored, exit code 1."""
    wrong = {
        "name": "plant-alerts",
        "smtp": {"hostname": "", "port": 70000, "use_ssl": "yes", "hostnam": CANARY},
        "auth": {"mode": "basic", "username": "gateway", "password": 4711},
    }
    result = run("profile", "apply", write(wrong))

    assert 1 == result.exit_code
    assert "" == result.stdout
    assert ["$.smtp.hostname", "$.smtp.port", "$.smtp.use_ssl", "$.smtp.hostnam"] == [
        line.split(":")[0] for line in result.stderr.splitlines()[:4]
    ]
    assert 5 == len(result.stderr.splitlines())
    assert "$.smtp.port: 70000 is more than 65535" in result.stderr
    assert "4711" not in result.output
    assert [] == json.loads(run("profile", "list", "--json").stdout)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "a",\n "smtp": {,}}', "line 2, column 11"),
        ('{"name": "a", "name": "b"}', "the name 'name' stands twice"),
        ('{"port": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("", "line 1, column 1"),
    ],
)
def test_apply_says_where_json_is_broken(
    run: Run, write: Write, text: str, said: str
) -> None:
    """The file, and line and column where there are any."""
    path = write(text)
    result = run("profile", "apply", path)

    assert 1 == result.exit_code
    assert result.stderr.startswith(f"error: {path}")
    assert said in result.stderr


def test_apply_takes_no_octets_for_text(run: Run, tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused by name."""
    path = tmp_path / "latin.json"
    path.write_bytes(b'{"name": "Beh\xe4lter"}')
    result = run("profile", "apply", str(path))

    assert f"error: {path} is not UTF-8 text: see its octet 13\n" == result.stderr


def test_apply_reads_standard_input(run: Run) -> None:
    """`-`, and a byte order mark is no mistake."""
    result = run(
        "client", "apply", "-", input=b"\xef\xbb\xbf" + json.dumps(CLIENT).encode()
    )

    assert "google: created (revision 1)\n" == result.stdout


def test_apply_stops_at_the_first_mistake(run: Run, write: Write) -> None:
    """An array is applied in order; what was stored before is named."""
    bad = {**PROFILE, "name": "second", "smtp": {"hostname": "h", "port": 0}}
    result = run(
        "profile", "apply", write([PROFILE, bad, {**PROFILE, "name": "third"}])
    )
    names = [one["name"] for one in json.loads(run("profile", "list", "--json").stdout)]

    assert 1 == result.exit_code
    assert "plant-alerts: created (revision 1)\n" == result.stdout
    assert "second: $.smtp.port: 0 is less than 1\n" in result.stderr
    assert "error: stopped at second; stored before: plant-alerts\n" in result.stderr
    assert ["plant-alerts"] == names


def test_broken_json_in_any_file_stores_nothing(run: Run, write: Write) -> None:
    """All files are read before the first document is stored."""
    good, bad = write(PROFILE, "good.json"), write("{", "bad.json")
    result = run("profile", "apply", good, bad)

    assert (1, "") == (result.exit_code, result.stdout)
    assert [] == json.loads(run("profile", "list", "--json").stdout)


def test_warnings_go_to_standard_error(run: Run, write: Write) -> None:
    """What is allowed but not meant is told, and is no failure."""
    document = {**PROFILE, "auth": {"mode": "basic", "username": "gateway"}}
    result = run("profile", "apply", write(document))

    assert 0 == result.exit_code
    assert result.stderr.startswith(
        "warning: plant-alerts: $.auth.password: is not set"
    )


def test_list(run: Run, write: Write) -> None:
    """In a pipe columns without a frame; as JSON an array."""
    run("profile", "apply", write(PROFILE))
    text, found = run("profile", "list"), run("profile", "list", "--json")

    assert [
        [
            "NAME",
            "STATE",
            "MODE",
            "SERVER",
            "SECURITY",
            "LAST",
            "FAILURE",
            "DESCRIPTION",
        ],
        [
            "plant-alerts",
            "well",
            "basic",
            "mail.plant.example:587",
            "STARTTLS",
            "-",
            "-",
        ],
    ] == [line.split() for line in text.stdout.splitlines()]
    (entry,) = json.loads(found.stdout)
    assert 32 == len(entry.pop("id"))
    assert {
        "name": "plant-alerts",
        "description": "",
        "enabled": True,
        "state": "well",
        "mode": "basic",
        "hostname": "mail.plant.example",
        "port": 587,
        "security": "STARTTLS",
        "revision": 1,
        "failures": 0,
        "paused_until": None,
        "last_success_at": None,
        "last_failure_at": None,
        "last_failure": "",
    } == entry


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (CANARY, "(sealed)"),
        ({"env": "RELAY"}, "(from the environment variable RELAY)"),
        ({"file": "/run/relay"}, "(from the file /run/relay)"),
    ],
)
def test_show_says_where_a_secret_comes_from(
    run: Run, write: Write, given: object, shown: str
) -> None:
    """Sealed, from a variable or from a file; in text and in JSON."""
    auth = {**PROFILE["auth"], "password": given}
    run("profile", "apply", write({**PROFILE, "auth": auth}))
    text, found = (
        run("profile", "show", "plant-alerts"),
        run("profile", "show", "plant-alerts", "--json"),
    )

    assert f"auth.password      {shown}\n" in text.stdout
    assert shown == json.loads(found.stdout)["auth"]["password"]


def test_export_is_what_apply_takes(run: Run, write: Write) -> None:
    """Exported and applied again, nothing has changed; several make an array."""
    run("profile", "apply", write([PROFILE, {**PROFILE, "name": "other"}]))
    one = run("profile", "export", "plant-alerts").stdout
    both = run("profile", "export", "plant-alerts", "other").stdout

    assert (
        "plant-alerts: unchanged (revision 1)\n"
        == run("profile", "apply", "-", input=one).output
    )
    assert (
        "plant-alerts: unchanged (revision 1)\nother: unchanged (revision 1)\n"
        == run("profile", "apply", "-", input=both).output
    )


def test_set_secret_reads_a_line_in_a_pipe(
    run: Run, write: Write, tmp_path: Path
) -> None:
    """The first line, without its end."""
    run("profile", "apply", write(PROFILE))
    new = f"{CANARY}-über"
    result = run(
        "profile", "set-secret", "plant-alerts", "password", input=f"{new}\r\nmore\n"
    )

    assert "plant-alerts: password set (revision 2)\n" == result.output
    assert new == secret(tmp_path / "home")


def test_set_secret_asks_twice_on_a_terminal(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that differ are asked for again; nothing is shown."""
    run("profile", "apply", write(PROFILE))
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)
    typed = f"{CANARY}-a\n{CANARY}-b\n{CANARY}-c\n{CANARY}-c\n"
    result = run("profile", "set-secret", "plant-alerts", "password", input=typed)

    assert 0 == result.exit_code
    assert f"{CANARY}-c" == secret(tmp_path / "home")


def test_set_secret_from_a_file(run: Run, write: Write) -> None:
    """A private key has several lines."""
    run("client", "apply", write(CLIENT))
    key = write(f"-----BEGIN\n{CANARY}\n-----END\n", "key.pem")
    result = run("client", "set-secret", "google", "private_key", "--from-file", key)

    assert "google: private_key set (revision 2)\n" == result.stdout


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("nobody", "password"), "x\n", "error: there is no email profile 'nobody'"),
        (("plant-alerts", "smtp.port"), "x\n", "$.smtp.port: 'smtp.port' is no secret"),
        (("plant-alerts", "password"), "", "error: no secret was given for password"),
    ],
)
def test_set_secret_refuses(
    run: Run, write: Write, words: tuple[str, str], typed: str, said: str
) -> None:
    """An unknown name, a field that is no secret, and nothing."""
    run("profile", "apply", write(PROFILE))
    result = run("profile", "set-secret", *words, input=typed)

    assert 1 == result.exit_code
    assert result.stderr.startswith(said)


def test_rename_and_delete(run: Run, write: Write) -> None:
    """A client that is used can't be deleted; a rename follows into its profile."""
    run("client", "apply", write(CLIENT))
    auth = {"mode": "oauth2", "username": "gateway@plant.example", "client": "google"}
    run("profile", "apply", write({**PROFILE, "auth": auth}))
    refused = run("client", "delete", "google")
    renamed = run("client", "rename", "google", "google-2")
    profile = json.loads(run("profile", "export", "plant-alerts").stdout)

    assert 1 == refused.exit_code
    assert (
        "error: OAuth2 client 'google' is used by email profile 'plant-alerts'\n"
        "remedy: change or delete those first\n" == refused.stderr
    )
    assert "google: renamed to google-2 (revision 2)\n" == renamed.output
    assert "google-2" == profile["auth"]["client"]
    assert "plant-alerts: deleted\n" == run("profile", "delete", "plant-alerts").output
    assert "google-2: deleted\n" == run("client", "delete", "google-2").output


def test_a_profile_with_waiting_messages_needs_force(run: Run, write: Write) -> None:
    """Deleted by force, its messages are refused."""
    run("profile", "apply", write(PROFILE))
    addresses = ("--from", "a@plant.example", "--to", "b@plant.example")
    run("send", "--profile", "plant-alerts", *addresses, "--queue")
    refused = run("profile", "delete", "plant-alerts")
    forced = run("profile", "delete", "plant-alerts", "--force")
    (message,) = json.loads(run("outbox", "list", "--json").stdout)

    assert (1, 0) == (refused.exit_code, forced.exit_code)
    assert "messages wait for email profile" in refused.stderr
    assert "refused" == message["state"]


def test_client_list(run: Run, write: Write) -> None:
    """Names, ids and servers; no secret."""
    run("client", "apply", write(CLIENT))
    text, found = run("client", "list"), run("client", "list", "--json")

    assert ["google", "4711", "https://login.example/token", "1", "-"] == (
        text.stdout.splitlines()[1].split()
    )
    assert ["google"] == [one["name"] for one in json.loads(found.stdout)]
    assert (
        "(sealed)"
        == json.loads(run("client", "show", "google", "--json").stdout)["client_secret"]
    )


def test_a_client_says_what_to_register(run: Run, write: Write) -> None:
    """By its lasting id; where nobody grants access by it, nothing is said."""
    login = {**CLIENT, "name": "login", "issuer": "https://login.example"}
    plain = run("client", "apply", write(CLIENT))
    done = run("client", "apply", write(login))
    shown = json.loads(run("client", "show", "login", "--json").stdout)
    base = "https://gateway.example/"
    other = run("client", "show", "login", "--base-url", base)

    uri = f"http://127.0.0.1/oauth2/callback/{shown['id']}"
    assert "next" not in plain.stdout
    assert f"next: register the redirect URI {uri} at" in done.stdout
    assert (1, uri) == (shown["revision"], shown["redirect_uri"])
    assert f"{base}oauth2/callback/{shown['id']}\n" in other.stdout
    assert "--base-url" in run("client", "show", "login").stderr


def test_keys_and_certificates_are_looked_at(
    run: Run, write: Write, tmp_path: Path
) -> None:
    """When they are stored, not when mail has to go out; shown is whose it is."""
    foreign = tmp_path / "foreign.pem"
    for path in (tmp_path / "own.pem", foreign):
        CertificateAuthority(tmp_path).write_certificate(path, "one.example")
    key, mark, certificate = (
        (tmp_path / "own.pem").read_text().partition("-----BEGIN CERTIFICATE-----")
    )
    client = {
        **CLIENT,
        "token_endpoint_auth_method": "private_key_jwt",
        "certificate": mark + certificate,
        "private_key": key,
    }
    good = run("client", "apply", write(client))
    set_ = "client", "set-secret", "google", "private_key", "--from-file"
    wrong = run(*set_, str(foreign))
    garbage = run(*set_, write("no key", "key.pem"))
    broken = run("client", "apply", write({**client, "certificate": "no certificate"}))

    assert ("", 0) == (good.stderr, good.exit_code)
    assert "$.certificate: is not that of the private key" in wrong.stderr
    assert "$.private_key: is no private key in PEM form" in garbage.stderr
    assert "$.certificate: is no X.509 certificate" in broken.stderr
    run("client", "apply", write(client))
    shown = run("client", "show", "google").stdout
    assert re.search(r"^certificate  +.*trustme.*, till \d{4}-", shown, re.MULTILINE)
    assert "BEGIN" not in shown


def test_a_secret_is_removed(run: Run, write: Write) -> None:
    """By its name; a name that is none is told with those that are."""
    run("profile", "apply", write(PROFILE))
    done = run("profile", "unset-secret", "plant-alerts", "password")
    again = run("profile", "unset-secret", "plant-alerts", "auth.password")
    wrong = run("profile", "set-secret", "plant-alerts", "pasword", input="x\n")

    assert "plant-alerts: password removed (revision 2)\n" == done.stdout
    assert "$.auth.password: is not set" in done.stderr
    assert "auth.password was not set" in again.stdout
    assert "did you mean password? its secrets are password" in wrong.stderr
    shown = json.loads(run("profile", "show", "plant-alerts", "--json").stdout)
    assert "password" not in shown["auth"]


def test_slips_are_answered_with_what_was_meant(run: Run, write: Write) -> None:
    """The name of a mode, and of an OAuth2 client that a profile names."""
    run("client", "apply", write(CLIENT))
    auth = {"username": "a@plant.example", "client": "gogle", "scope": "s"}
    mode = run("profile", "apply", write({**PROFILE, "auth": {"mode": "oauth"}}))
    client = run(
        "profile", "apply", write({**PROFILE, "auth": {"mode": "oauth2", **auth}})
    )

    assert "did you mean oauth2? Else install the plugin" in mode.stderr
    assert "did you mean google? Else apply that one first" in client.stderr


def test_a_secret_file_that_is_not_there(
    run: Run, write: Write, tmp_path: Path
) -> None:
    """What can't be done, and what to do."""
    lost = {"file": str(tmp_path / "nowhere")}
    run(
        "profile",
        "apply",
        write({**PROFILE, "auth": {**PROFILE["auth"], "password": lost}}),
    )
    done = run(
        "profile",
        "test",
        "plant-alerts",
        "--to",
        "a@plant.example",
        "--from",
        "b@plant.example",
    )

    assert f"the secret file {lost['file']} can't be read: No such file" in done.stderr
    assert "remedy: let it hold the secret" in done.stderr


def test_nothing_to_apply(run: Run) -> None:
    """An empty array stores nothing, and that is told."""
    done = run("client", "apply", "-", input="[]")

    assert (1, "") == (done.exit_code, done.stdout)
    assert "there is no document" in done.stderr


def test_a_change_has_an_actor(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login name goes into the audit trail; no name is no failure."""
    from email_profiles_plugin.store import audit
    from email_profiles_plugin.store.database import Database

    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", lambda: "operator")
    run("profile", "apply", write(PROFILE))
    monkeypatch.setattr("getpass.getuser", nobody)
    run("profile", "delete", "plant-alerts")
    database = Database.open(f"sqlite:///{tmp_path / 'home' / 'email_profiles.db'}")
    with database.read() as connection:
        entries = [(one.actor, one.action) for one in audit.entries(connection)]
    database.close()

    assert [("cli:unknown", "delete"), ("cli:operator", "create")] == entries


def test_a_profile_whose_plugin_is_gone_hides_no_other(
    run: Run, write: Write, tmp_path: Path
) -> None:
    """It is listed, as what it is; the others are listed as ever."""
    from email_profiles_plugin.store import documents

    run("profile", "apply", write(PROFILE))
    with EmailProfiles.open(tmp_path / "home", deliver=False, only=()) as profiles:
        stored = profiles.profiles.get("plant-alerts")
        orphan = evolve(
            stored,
            id="0" * 32,
            name="orphan",
            body={**stored.body, "name": "orphan", "auth": {"mode": "gone"}},
        )
        profiles.database.write(lambda c: documents.put(c, orphan, new=True))
    listed = run("profile", "list", "--json")

    assert 0 == listed.exit_code
    assert [("orphan", "no plugin"), ("plant-alerts", "well")] == [
        (one["name"], one["state"]) for one in json.loads(listed.stdout)
    ]
