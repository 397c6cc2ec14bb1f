"""Rules of grants in progress, with a clock that the test holds."""

from __future__ import annotations

import pytest
from attrs import evolve

from email_profiles_hookspecs.errors import Invalid, StateRefused
from email_profiles_plugin import grant_rules
from email_profiles_plugin.grant_rules import LIFETIME_S, REDEEM_S, InProgress

URI = "http://127.0.0.1:8400/oauth2/callback/4711"
ANSWER = grant_rules.read("code=c0de&state=st%41te")
OTHER = grant_rules.read("code=another&state=st%41te")
BEGUN = InProgress(
    state_hash=ANSWER.state_hash,
    profile_id="1",
    profile_name="cloud",
    fingerprint="f",
    session_hash=grant_rules.digest("cookie"),
    redirect_uri=URI,
    sealed="sealed",
    actor="operator",
    expires_at=1000.0 + LIFETIME_S,
)
REDEEMED = evolve(
    BEGUN, step="redeemed", query_hash=ANSWER.query_hash, redeemed_at=1100.0
)
DONE = evolve(REDEEMED, step="done", sealed=None, result="{}")


@pytest.mark.parametrize(
    ("row", "now", "expected"),
    [
        (BEGUN, 1000.0, "redeem"),
        (BEGUN, 1000.0 + LIFETIME_S - 0.1, "redeem"),
        (REDEEMED, 1100.0, "wait"),
        (REDEEMED, 1100.0 + REDEEM_S, "lost"),
        (DONE, 1101.0, "tell"),
        (DONE, 1000.0 + 2 * LIFETIME_S, "tell"),
    ],
)
def test_what_is_done_with_an_answer(
    row: InProgress, now: float, expected: str
) -> None:
    """Redeemed once; the same again waits for the first, and is told the same."""
    for uri in (None, URI):
        assert expected == grant_rules.decide(
            row, ANSWER, session="cookie", redirect_uri=uri, now=now
        )


@pytest.mark.parametrize(
    ("row", "answer", "session", "uri", "now", "reason"),
    [
        (None, ANSWER, "cookie", URI, 1000.0, "unknown"),
        (BEGUN, ANSWER, "another", URI, 1000.0, "session"),
        (BEGUN, ANSWER, "", URI, 1000.0, "session"),
        (BEGUN, ANSWER, "cookie", URI + "1", 1000.0, "redirect_uri"),
        (BEGUN, ANSWER, "cookie", URI, 1000.0 + LIFETIME_S, "expired"),
        (REDEEMED, OTHER, "cookie", URI, 1101.0, "used"),
        (DONE, OTHER, "cookie", URI, 1101.0, "used"),
        (DONE, ANSWER, "another", URI, 1101.0, "session"),
        (evolve(BEGUN, expires_at=0.0), ANSWER, "another", URI, 1.0, "session"),
    ],
)
def test_what_is_refused(
    row: InProgress | None,
    answer: grant_rules.Callback,
    session: str,
    uri: str,
    now: float,
    reason: str,
) -> None:
    """Each for its own reason, with a remedy; a stranger learns only that he is one."""
    with pytest.raises(StateRefused) as caught:
        grant_rules.decide(row, answer, session=session, redirect_uri=uri, now=now)

    assert reason == caught.value.reason
    assert caught.value.remedy
    assert "c0de" not in str(caught.value)


def test_an_answer_is_the_same_in_any_order() -> None:
    """And has its state found by a hash; it shows nothing of itself."""
    other = grant_rules.read("state=stAte&code=c0de")

    assert (ANSWER.state_hash, ANSWER.query_hash) == (
        other.state_hash,
        other.query_hash,
    )
    assert ANSWER.query_hash != OTHER.query_hash
    assert "c0de" not in repr(ANSWER)
    assert "stAte" not in repr(ANSWER)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=c0de",
        "state=&code=c0de",
        "state=a&state=a",
        "state=a&code=1&code=2",
        "state=a&" + "x" * grant_rules.LONGEST,
        "state=a&" + "&".join(f"p{n}=" for n in range(50)),
        "\ud800",
    ],
)
def test_what_is_no_answer(query: str) -> None:
    """No state, a parameter twice (RFC 6749, 3.1), too much of it."""
    with pytest.raises(StateRefused, match="no answer") as caught:
        grant_rules.read(query)
    assert "malformed" == caught.value.reason


def test_half_a_character_is_a_state_like_any_other() -> None:
    """It is none that was given out, and raises nothing strange."""
    assert grant_rules.read("state=%ED%A0%80&code=\ud800").query_hash


@pytest.mark.parametrize(
    ("pasted", "query"),
    [
        (f"{URI}?code=1&state=2\n", "code=1&state=2"),
        ("  ?code=1&state=2#_=_ ", "code=1&state=2"),
        ("code=1&state=2", "code=1&state=2"),
        ("\r\n", ""),
    ],
)
def test_what_is_pasted(pasted: str, query: str) -> None:
    """A whole address, or its query, with what a browser appends."""
    assert query == grant_rules.query_of(pasted)


@pytest.mark.parametrize(
    "base_url", ["https://gateway.example/mail", "https://gateway.example/mail/"]
)
def test_the_redirect_uri(base_url: str) -> None:
    """The same with and without a final slash."""
    expected = "https://gateway.example/mail/oauth2/callback/4711"

    assert expected == grant_rules.redirect_uri(base_url, "4711")


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example",
        "ftp://gateway.example",
        "gateway.example",
        "https://gateway.example/#x",
        "https://user@gateway.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_code_never_goes_in_clear(url: str) -> None:
    """https, or this machine itself."""
    for check in (grant_rules.check_redirect_uri, lambda u: base(u)):
        with pytest.raises(Invalid):
            check(url)


def base(url: str) -> None:
    grant_rules.redirect_uri(url, "4711")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://127.0.0.1/x", True),
        ("http://localhost:8400", True),
        ("https://localhost:8400", False),
        ("http://127.0.0.1:0/x", False),
        ("http://127.0.0.1:x/", False),
        ("http://127.0.0.1/x?y=z", False),
        ("http://gateway.example/", False),
        ("http://[/", False),
    ],
)
def test_what_a_listener_here_can_answer(uri: str, expected: bool) -> None:
    """Plain http at a loopback address (RFC 8252, 7.3)."""
    assert expected == grant_rules.is_on_loopback(uri)
