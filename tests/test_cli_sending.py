"""The command line's `send`, `profile test` and `outbox`, on a live server."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from email_profiles_hookspecs.errors import Unknown
from email_profiles_plugin.cli import main
from email_profiles_plugin.testing import SmtpServer

Run = Callable[..., Result]
Start = Callable[..., SmtpServer]
Document = Callable[..., dict[str, Any]]
Apply = Callable[..., None]

CANARY = "c4n4ry-p4ssw0rd"
FORMS = (
    CANARY,
    base64.b64encode(CANARY.encode()).decode(),
    base64.b64encode(f"\0gateway\0{CANARY}".encode()).decode(),
)
ENVELOPE = ("--from", "gateway@plant.example", "--to", "operator@plant.example")
SEND = ("send", "--profile", "plant", *ENVELOPE)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line on a home of the test's own; no secret may come out."""
    for name in ("EMAIL_PROFILES_DATABASE", "EMAIL_PROFILES_KEY"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str, input: str | None = None, obj: Any = None) -> Result:
        given = ["--home", str(tmp_path / "home"), "--no-plugins", *words]
        result = CliRunner().invoke(
            main, given, input=input, obj=obj, catch_exceptions=False
        )
        assert [] == [form for form in FORMS if form in result.output]
        return result

    return command


@pytest.fixture
def server(smtp_server_factory: Start) -> SmtpServer:
    """STARTTLS and a password."""
    return smtp_server_factory(tls="starttls", users={"gateway": CANARY})


@pytest.fixture
def apply(run: Run, server: SmtpServer, profile_document: Document) -> Apply:
    """Store the profile `plant` for the server, with some blocks replaced."""

    def applied(**blocks: Any) -> None:
        document = json.dumps(profile_document(server, **blocks))
        assert 0 == run("profile", "apply", "-", input=document).exit_code

    applied()
    return applied


def sent(result: Result) -> dict[str, Any]:
    """What `--json` printed."""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.usefixtures("apply")
def test_send_delivers_now(run: Run, server: SmtpServer, tmp_path: Path) -> None:
    """Everything given goes into the message, and the outcome is accepted."""
    attachment = tmp_path / "Füllstände.csv"
    attachment.write_text("4;92\n", "utf-8")
    html = tmp_path / "body.html"
    html.write_text("<p>Füllstand</p>", "utf-8")
    result = run(
        *SEND,
        *("--cc", "Chief <chief@plant.example>", "--bcc", "archive@plant.example"),
        *("--reply-to", "desk@plant.example", "--subject", "Behälter 4"),
        *("--text", "Füllstand", "--html-file", str(html), "--attach", str(attachment)),
        *("--header", "X-Site: West", "--priority", "1", "--lane", "alarm"),
    )
    (delivered,) = server.messages
    message = delivered.message
    body, (attached,) = message.get_body(("plain",)), message.iter_attachments()

    assert 0 == result.exit_code
    assert result.stdout.startswith("state       accepted\n")
    assert (
        "operator@plant.example",
        "chief@plant.example",
        "archive@plant.example",
    ) == delivered.recipients
    assert ("Behälter 4", "West", "desk@plant.example") == (
        message["Subject"],
        message["X-Site"],
        message["Reply-To"],
    )
    assert body is not None
    assert "Füllstand" == body.get_content().strip()
    assert "Füllstände.csv" == attached.get_filename()
    assert ("gateway", True) == (delivered.identity, delivered.tls)


@pytest.mark.usefixtures("apply")
def test_send_json(run: Run) -> None:
    """Exactly the documented keys."""
    result = run(*SEND, "--json")
    found = sent(result)

    assert 0 == result.exit_code
    assert "" == result.stderr
    assert [
        "id",
        "message_id",
        "state",
        "accepted",
        "refused",
        "attempts",
        "duplicate",
        "error",
    ] == list(found)
    assert {
        "id": found["id"],
        "message_id": f"<{found['id']}@plant.example>",
        "state": "accepted",
        "accepted": ["operator@plant.example"],
        "refused": {},
        "attempts": 1,
        "duplicate": False,
        "error": "",
    } == found


@pytest.mark.usefixtures("apply")
def test_a_refused_recipient_is_a_failure(run: Run, server: SmtpServer) -> None:
    """Partly accepted: exit code 1, and who was refused with what reply."""
    server.refuse["gone@plant.example"] = "550 5.1.1 no such user"
    words = (*SEND, "--to", "gone@plant.example")
    result, text = run(*words, "--json"), run(*words)

    assert 1 == result.exit_code
    assert "partly accepted" == sent(result)["state"]
    assert {"gone@plant.example": {"code": 550, "text": "5.1.1 no such user"}} == (
        sent(result)["refused"]
    )
    assert "refused     gone@plant.example: 550 5.1.1 no such user\n" in text.stdout
    assert text.stderr.startswith("error: partly accepted: ")
    assert "550 5.1.1 no such user" in text.stderr


@pytest.mark.usefixtures("apply")
def test_a_wrong_password_shows_none(run: Run, server: SmtpServer) -> None:
    """Nobody signs in, nothing is sent; the reason is told, the password never."""
    server.mechanisms = ["PLAIN"]
    server.auth_reply = f"535 5.7.8 {CANARY} is wrong"
    result = run(*SEND, "--json", "--timeout", "1")
    id = sent(result)["id"]
    shown = run("outbox", "show", id, "--transcript")
    tested = run("profile", "test", "plant", *ENVELOPE, "--transcript")

    assert (1, 1) == (result.exit_code, tested.exit_code)
    assert "cancelled" == sent(result)["state"]
    assert "535" in sent(result)["error"]
    assert "535" in result.stderr
    assert "AUTH" in shown.stdout
    assert "AUTH" in tested.stdout
    run("outbox", "show", id, "--json", "--transcript")
    run("outbox", "list")


@pytest.mark.usefixtures("apply")
def test_the_same_key_sends_once(run: Run, server: SmtpServer) -> None:
    """The second time it is a duplicate; with other content a conflict."""
    first, again = (run(*SEND, "--key", "4711", "--json") for _ in range(2))
    other = run(*SEND, "--key", "4711", "--subject", "Other")

    assert [False, True] == [sent(one)["duplicate"] for one in (first, again)]
    assert sent(first)["id"] == sent(again)["id"]
    assert 1 == len(server.messages)
    assert 1 == other.exit_code
    assert other.stderr.startswith("error: ")


@pytest.mark.usefixtures("apply")
def test_the_text_may_come_from_standard_input(run: Run, server: SmtpServer) -> None:
    """`--text -`; without a text the body is empty, and nothing is read."""
    run(*SEND, "--text", "-", input="from a pipe\n")
    run(*SEND, input="not read\n")
    bodies = [one.message.get_content().strip() for one in server.messages]

    assert ["from a pipe", ""] == bodies


@pytest.mark.usefixtures("apply")
def test_queue_leaves_it_to_a_worker(run: Run, server: SmtpServer) -> None:
    """State queued, exit code 0, nothing sent; it is in the outbox."""
    result = run(*SEND, "--queue", "--json", "--subject", "Later")
    listed = json.loads(run("outbox", "list", "--state", "queued", "--json").stdout)

    assert (0, "queued", 0) == (
        result.exit_code,
        sent(result)["state"],
        sent(result)["attempts"],
    )
    assert [("Later", sent(result)["id"])] == [
        (one["subject"], one["id"]) for one in listed
    ]
    assert [] == server.messages


@pytest.mark.parametrize("more", [(), ("--queue",)])
@pytest.mark.usefixtures("apply")
def test_dry_run_sends_nothing(
    run: Run, server: SmtpServer, more: tuple[str, ...]
) -> None:
    """Checked, and that is all."""
    result = run(*SEND, "--dry-run", "--json", *more)

    assert (0, "dry run") == (result.exit_code, sent(result)["state"])
    assert [] == server.messages


@pytest.mark.usefixtures("apply")
def test_what_is_too_late_is_not_sent(run: Run, server: SmtpServer) -> None:
    """A time in the past, with its zone or without."""
    late = datetime.now(UTC) - timedelta(days=2)
    moments = [late.isoformat(), late.replace(tzinfo=None).isoformat(" ")]
    results = [
        run(*SEND, "--json", "--timeout", "0", "--not-after", one) for one in moments
    ]

    assert [1, 1] == [one.exit_code for one in results]
    assert {sent(one)["state"] for one in results} <= {"expired", "cancelled"}
    assert [] == server.messages


@pytest.mark.usefixtures("apply")
def test_nobody_there_is_told_with_a_remedy(run: Run, server: SmtpServer) -> None:
    """What can't be sent within the timeout is cancelled, and the reason told."""
    server.stop()
    result = run(*SEND, "--timeout", "10")

    assert 1 == result.exit_code
    assert result.stderr.startswith("error: cancelled: connect: ")
    assert "\nremedy: " in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--profile", "p", "--from", "a@b.example"), "give --to, --cc or --bcc"),
        ((*SEND[1:], "--text", "a", "--text-file", "-"), "either --text or"),
        ((*SEND[1:], "--text", "-", "--html-file", "-"), "read once only"),
        ((*SEND[1:], "--attach", "-"), "needs a file"),
        ((*SEND[1:], "--attach", "/nowhere/at.all"), "does not exist"),
        ((*SEND[1:], "--header", "X-Site"), "'Name: value'"),
        ((*SEND[1:], "--header", "X-A: 1", "--header", "x-a: 2"), "given twice"),
        ((*SEND[1:], "--not-after", "tomorrow"), "is not a time such as"),
        ((*SEND[1:], "--priority", "9"), "range"),
        (SEND[3:], "--profile"),
    ],
)
def test_wrong_usage(run: Run, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, before anything is opened."""
    result = run("send", *words)

    assert 2 == result.exit_code
    assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--profile", "nobody", *ENVELOPE),
            "error: there is no email profile 'nobody'",
        ),
        ((*SEND[1:], "--to", "no address"), "$.to[1]: "),
        ((*SEND[1:], "--subject", "a\nb"), "$.subject: "),
    ],
)
@pytest.mark.usefixtures("apply")
def test_what_can_never_be_sent(run: Run, words: tuple[str, ...], said: str) -> None:
    """Exit code 1, and why."""
    result = run("send", *words)

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(said)


def test_attachments_are_bounded(
    run: Run, apply: Apply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone would do; together they are too much."""
    monkeypatch.setattr("email_profiles_plugin.cli.files.MOST_ATTACHED", 10)
    path = tmp_path / "six.bin"
    path.write_bytes(b"123456")
    one, two = (
        run(*SEND, "--dry-run", "--attach", str(path)),
        run(*SEND, "--attach", str(path), "--attach", str(path)),
    )

    assert (0, 1) == (one.exit_code, two.exit_code)
    assert "the attachments have more than 10 octets together" in two.stderr


def test_a_disabled_profile_refuses(run: Run, apply: Apply) -> None:
    """Said so, and nothing is queued."""
    apply(enabled=False)
    result = run(*SEND)

    assert 1 == result.exit_code
    assert "error: the email profile 'plant' is disabled\n" == result.stderr
    assert [] == json.loads(run("outbox", "list", "--json").stdout)


@pytest.fixture
def unknown(run: Run, server: SmtpServer, apply: Apply) -> str:
    """The id of a message whose content the server took without an answer."""
    server.before_reply = lambda verb, reply: None if verb == "." else reply
    result = run(*SEND, "--json", "--subject", "Lost")
    server.before_reply = None
    assert (1, "unknown") == (result.exit_code, sent(result)["state"])
    return str(sent(result)["id"])


def test_settle_an_unknown_message(run: Run, unknown: str) -> None:
    """The server has it: settled as accepted; a second decision is a conflict."""
    listed = run("outbox", "list", "--state", "unknown", "--profile", "plant")
    settled = run("outbox", "settle", unknown[:8], "--accepted")
    again = run("outbox", "settle", unknown, "--not-sent")

    assert unknown in listed.stdout
    assert f"{unknown}: settled as accepted\n" == settled.output
    assert (
        1,
        f"error: message {unknown} is accepted: there is nothing to decide\n",
    ) == (
        again.exit_code,
        again.stderr,
    )


def test_settle_takes_one_decision(run: Run, unknown: str) -> None:
    """None and two are wrong usage; `--retry` queues it again."""
    none = run("outbox", "settle", unknown)
    two = run("outbox", "settle", unknown, "--accepted", "--retry")
    retried = run("outbox", "settle", unknown, "--retry")

    assert [2, 2, 0] == [one.exit_code for one in (none, two, retried)]
    assert (
        "queued" == json.loads(run("outbox", "show", unknown, "--json").stdout)["state"]
    )


@pytest.mark.usefixtures("apply")
def test_cancel_and_retry(run: Run) -> None:
    """Queued, cancelled, queued again; stats count it."""
    id = sent(run(*SEND, "--queue", "--json"))["id"]
    cancelled = run("outbox", "cancel", id[:10])
    stats = json.loads(run("outbox", "stats", "--json").stdout)
    refused = run("outbox", "cancel", id)
    retried = run("outbox", "retry", id)

    assert f"{id}: cancelled\n" == cancelled.output
    assert [{"state": "cancelled", "count": 1}] == stats
    assert (1, 0) == (refused.exit_code, retried.exit_code)
    assert "STATE   COUNT\nqueued  1\n" == run("outbox", "stats").output


@pytest.mark.usefixtures("apply")
def test_outbox_show(run: Run) -> None:
    """Recipients with replies, attempts with worker and verdict, and the session."""
    id = sent(run(*SEND, "--json", "--subject", "Tank 4"))["id"]
    text = run("outbox", "show", id[:12], "--transcript").stdout
    whole = json.loads(run("outbox", "show", id, "--json").stdout)

    assert "subject     Tank 4\n" in text
    assert "accepted    operator@plant.example: 250 " in text
    assert "  C: MAIL FROM:<gateway@plant.example>" in text
    assert [("operator@plant.example", "accepted")] == [
        (one["address"], one["state"]) for one in whole["recipients"]
    ]
    assert [1] == [one["number"] for one in whole["history"]]
    assert ["transcript" in one for one in whole["history"]] == [False]


def test_outbox_list_refuses_an_unknown_state(run: Run) -> None:
    """A misspelt state would list nothing; written with a hyphen it is fine."""
    wrong = run("outbox", "list", "--state", "sent")
    right = run("outbox", "list", "--state", "partly-accepted", "--json")

    assert 2 == wrong.exit_code
    assert "none of queued, sending, accepted" in wrong.stderr
    assert "[]\n" == right.stdout


@pytest.mark.usefixtures("apply")
def test_profile_test(run: Run, server: SmtpServer) -> None:
    """A message outside the outbox; with `--json` all that the report has."""
    text = run("profile", "test", "plant", *ENVELOPE, "--subject", "Hello")
    report = json.loads(run("profile", "test", "plant", *ENVELOPE, "--json").stdout)

    assert 0 == text.exit_code
    assert "accepted    operator@plant.example\n" in text.stdout
    assert "Hello" == server.messages[0].message["Subject"]
    assert (True, "") == (report["passed"], report["error"])
    assert "[]\n" == run("outbox", "list", "--json").stdout


def test_profile_test_knows_who_it_is_from(
    run: Run, server: SmtpServer, apply: Apply
) -> None:
    """The first address that the profile may send as; else it has to be given."""
    words = ("profile", "test", "plant", "--to", "operator@plant.example")
    without = run(*words)
    apply(policy={"from_addresses": ["plant.example", "alarms@plant.example"]})
    result = run(*words)

    assert (2, 0) == (without.exit_code, result.exit_code)
    assert "give --from" in without.stderr
    assert "alarms@plant.example" == server.messages[0].mail_from


class Waiting:
    """A facade whose message somebody else is sending still."""

    id = "3f6c"
    message_id = "<3f6c@plant.example>"
    attempts = 1

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def outbox(self) -> Waiting:
        return self

    def show(self, id: str) -> Waiting:
        return self

    def deliver(self, request: object, timeout: float) -> None:
        raise Unknown("message 3f6c is being sent", "3f6c", "ask later")


def test_a_message_that_is_still_being_sent_is_unknown(run: Run) -> None:
    """Never failed now and delivered later: its id is given to look at it again."""
    result = run(*SEND, "--json", obj=lambda *settings: Waiting())

    assert (1, "unknown", "3f6c") == (
        result.exit_code,
        sent(result)["state"],
        sent(result)["id"],
    )
    assert "remedy: `email-profiles outbox show 3f6c`" in result.stderr
