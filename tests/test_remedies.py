"""Remedies: the most specific row decides, and every consumer tells the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs import Reply, SendRequest, errors
from email_profiles_plugin import EmailProfiles, remedies
from email_profiles_plugin.remedies import ROWS, TOKEN, Row
from email_profiles_plugin.testing import SmtpServer
from email_profiles_plugin.verdict import TRANSACTION, judge_error, judge_reply

MAIL = [row for row in ROWS if TOKEN not in row.stages]
TOKENS = [row for row in ROWS if TOKEN in row.stages]
REPLIES = [row for row in MAIL if isinstance(row.code, int)]


def label(row: Row) -> str:
    return f"{row.code or ''} {row.enhanced} {row.pattern or row.host}".strip()[:40]


@pytest.mark.parametrize("row", MAIL, ids=label)
def test_a_mail_servers_example_finds_its_own_row(row: Row) -> None:
    """By a reply where it has a code, else by what failed."""
    stage = row.stages[0] if row.stages else "MAIL"
    code = row.code if isinstance(row.code, int) else 550
    reply = Reply(code=code, enhanced=row.enhanced, text=row.example)
    told = {
        remedies.for_reply(stage, reply),
        remedies.for_failure(stage, row.example),
    }

    assert row.advice in told


@pytest.mark.parametrize("row", TOKENS, ids=label)
def test_an_authorization_servers_example_finds_its_own_row(row: Row) -> None:
    """By its code, what it said, and where it is."""
    code, host = str(row.code or "invalid_request"), f"oauth2.{row.host}"

    assert row.advice == remedies.for_refusal(code, row.example, row.host and host)


def test_rows_differ() -> None:
    """Two rows that ask for the same would make one of them useless."""
    asked = [
        (row.stages, row.code, row.enhanced, row.pattern, row.host) for row in ROWS
    ]

    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "text", "word"),
    [
        ("AUTH", 535, "5.7.139", "basic authentication is disabled", "oauth2"),
        ("AUTH", 535, "5.7.139", "SMTPCLIENTAUTHENTICATION IS DISABLED", "switch"),
        ("AUTH", 535, "5.7.139", "something new", "token status"),
        ("AUTH", 535, "", "no", "token status"),
        ("MAIL", 530, "5.7.0", "Must issue a STARTTLS command first", "use_starttls"),
        ("MAIL", 530, "5.7.0", "Authentication required", "username"),
        ("RCPT", 550, "5.1.1", "User unknown", "correct the recipient"),
        ("RCPT", 554, "5.7.1", "<x@y>: Relay access denied", "sign in"),
        ("end of data", 554, "5.2.2", "STOREDRV.Submission", "make room in it, or"),
        ("end of data", 554, "5.2.2", "over quota", "have room made"),
    ],
)
def test_the_most_specific_row_wins(
    stage: str, code: int, enhanced: str, text: str, word: str
) -> None:
    """Words before the enhanced status, that before the code."""
    reply = Reply(code=code, enhanced=enhanced, text=text)

    assert word in remedies.for_reply(stage, reply)


def test_google_tells_why_a_grant_ended() -> None:
    """By its words or its host; elsewhere nobody knows why."""
    plain = remedies.for_refusal("invalid_grant")

    assert "grant access anew" == plain
    for found in (
        remedies.for_refusal("invalid_grant", "Token has been expired or revoked."),
        remedies.for_refusal("invalid_grant", "Bad Request", "oauth2.googleapis.com"),
    ):
        assert "7 days" in found
    assert plain == remedies.for_refusal("invalid_grant", "", "evilgoogleapis.com")


def test_microsoft_tells_by_its_own_codes() -> None:
    """One code is no other's beginning."""
    long = remedies.for_refusal("invalid_client", "AADSTS7000215: Invalid secret")
    other = remedies.for_refusal("invalid_client", "AADSTS70002159: news")

    assert "not its id" in long
    assert "look at the OAuth2 client's id and secret" in other


def test_nothing_is_said_where_nothing_is_known() -> None:
    """Better none than a wrong one."""
    assert "" == remedies.for_reply("RCPT", Reply(code=550, text="no"))
    assert "" == remedies.for_refusal("out_of_biscuits")
    assert "" == remedies.for_failure("RCPT", "the connection broke")


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_patterns_are_bounded(row: Row) -> None:
    """No repetition without end: a server chooses what they run over."""
    assert not re.search(r"(?<!\\)[*+]|\{\d*,\}", row.pattern)
    assert not row.pattern or re.search(row.pattern, row.example, re.IGNORECASE)


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_each_row_says_what_to_do_and_who_says_so(row: Row) -> None:
    """In one line, in our style; what is not confirmed is known to be."""
    assert row.remedy
    assert row.source
    for text in (row.cause, row.remedy):
        assert text == text.strip().rstrip(".")
        assert text.isprintable()


said = st.text(max_size=200) | st.sampled_from([row.example for row in ROWS])


@given(
    st.sampled_from([*TRANSACTION, "AUTH", "greeting", "TLS", TOKEN]),
    st.integers(400, 599),
    st.sampled_from(["", "5.7.139", "5.7.3", "4.3.2", "5.2.0"]),
    said,
)
def test_advice_holds_no_word_of_the_servers(
    stage: str, code: int, enhanced: str, text: str
) -> None:
    """It is one of ours, to the letter: what a server echoes is not in it."""
    ours = {"", *(row.advice for row in ROWS)}
    reply = Reply(code=code, enhanced=enhanced, text=text)

    assert remedies.for_reply(stage, reply) in ours
    assert remedies.for_failure(stage, text) in ours
    assert remedies.for_refusal("invalid_grant", text) in ours


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    """A reply may have 64 KiB."""
    words = "x" * remedies.MOST + "STARTTLS"

    assert "use_starttls" not in remedies.for_reply("MAIL", Reply(code=530, text=words))


@pytest.mark.parametrize("row", REPLIES, ids=label)
def test_verdicts_bring_the_remedy(row: Row) -> None:
    """On a recipient's reply, and on one that ended the session."""
    assert isinstance(row.code, int)
    stage = row.stages[0] if row.stages else "MAIL"
    reply = Reply(code=row.code, enhanced=row.enhanced, text=row.example)
    verdict = judge_reply(stage, reply)
    refused = judge_error(errors.Refused(stage, reply), handed_over=False)

    assert row.advice == verdict.remedy == refused.remedy
    assert verdict.kind == refused.kind


def test_an_errors_own_remedy_goes_before() -> None:
    """Whoever raised it knew more."""
    reply = Reply(code=535, text="no")
    own = errors.Refused("AUTH", reply, "ask Jo")
    silent = errors.TimedOut("greeting", "the server did not answer in time")

    assert "ask Jo" == judge_error(own, handed_over=False).remedy
    assert "use_ssl" in judge_error(silent, handed_over=False).remedy
    assert "" == judge_error(own, handed_over=True).remedy


def test_good_replies_have_no_remedy() -> None:
    """Nothing is wrong."""
    assert "" == judge_reply("end of data", Reply(code=250)).remedy


def test_a_test_and_an_attempt_tell_the_remedy(
    tmp_path: Path,
    smtp_server: SmtpServer,
    profile_document: Callable[..., dict[str, Any]],
) -> None:
    """The same words in a trial's report, an attempt, and the profile's health."""
    smtp_server.users = {"gateway": "right"}
    auth = {"mode": "basic", "username": "gateway", "password": "wrong"}
    document = profile_document(smtp_server, "mistyped", auth=auth)
    request = SendRequest(
        profile="mistyped",
        from_address="gateway@plant.example",
        to=["operator@plant.example"],
        text="x",
    )
    with EmailProfiles.open(tmp_path, only=(), deliver=False) as profiles:
        profiles.profiles.apply(document, actor="t")
        report = profiles.profiles.test("mistyped", request)
        outcome = profiles.deliver(request, 20)
        attempt = profiles.outbox.show(outcome.id).history[-1]
        health = profiles.health("mistyped")

    assert "look at the username and the password" in report.remedy
    assert [report.remedy] * 2 == [attempt.remedy, health.remedy]
