"""Verdicts and settlements: tables of cases, and properties over all of them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs import Reply, errors
from email_profiles_hookspecs.values import Lane, OnUnknown
from email_profiles_plugin.settlement import Finding, Terms, final, settle
from email_profiles_plugin.verdict import (
    LONGEST_PAUSE_S,
    LONGEST_RETRY_S,
    Kind,
    Verdict,
    back_off,
    judge_error,
    judge_reply,
    outcome,
    pause,
    retries,
)


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "kind"),
    [
        ("end of data", 250, "", "accepted"),
        ("MAIL", 550, "", "refused"),
        ("RCPT", 550, "5.1.1", "refused"),
        ("RCPT", 599, "", "refused"),
        ("DATA", 554, "", "refused"),
        ("end of data", 552, "", "refused"),
        ("RCPT", 450, "", "retry"),
        ("end of data", 421, "", "retry"),
        ("greeting", 421, "", "retry"),
        ("AUTH", 454, "", "retry"),
        ("greeting", 554, "", "profile"),
        ("EHLO", 550, "", "profile"),
        ("STARTTLS", 501, "", "profile"),
        ("AUTH", 535, "5.7.8", "profile"),
        ("AUTH", 501, "", "profile"),
        ("MAIL", 530, "5.7.57", "profile"),
        ("RCPT", 534, "", "profile"),
        ("RCPT", 538, "", "profile"),
        ("MAIL", 550, "5.7.30", "profile"),
        ("end of data", 554, "5.2.0", "profile"),
        ("RCPT", 554, "5.4.5", "profile"),
        ("RCPT", 354, "", "retry"),
    ],
)
def test_a_reply_is_judged_by_stage_and_code(
    stage: str, code: int, enhanced: str, kind: Kind
) -> None:
    """5xx refuses within a transaction only; before it, the profile is at fault."""
    assert kind == judge_reply(stage, Reply(code=code, enhanced=enhanced)).kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ConnectFailed("connect", "x"), "retry"),
        (errors.TimedOut("connect", "x"), "retry"),
        (errors.TimedOut("end of data", "x"), "retry"),
        (errors.Disconnected("RCPT", "x"), "retry"),
        (errors.TlsFailed("TLS", "x"), "profile"),
        (errors.NotOffered("STARTTLS", "x"), "profile"),
        (errors.NotOffered("AUTH", "x"), "profile"),
        (errors.NotOffered("MAIL", "too big"), "refused"),
        (errors.ProtocolError("greeting", "x"), "profile"),
        (errors.ProtocolError("DATA", "x"), "retry"),
        (errors.Refused("AUTH", Reply(code=535)), "profile"),
        (errors.Refused("greeting", Reply(code=421)), "retry"),
        (errors.SecretError("x"), "profile"),
        (errors.NeedsGrant("x"), "profile"),
        (errors.SaslError("x"), "profile"),
    ],
)
def test_an_error_is_judged_by_its_kind_and_stage(
    error: errors.EmailProfilesError, kind: Kind
) -> None:
    """And is unknown, whatever it is, once the last octet was handed over."""
    assert kind == judge_error(error, handed_over=False).kind
    assert "unknown" == judge_error(error, handed_over=True).kind


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_back_off_is_bounded_and_full_of_jitter(tries: int, fraction: float) -> None:
    """Anything from now to the longest wait; later tries wait no less."""
    assert 0 <= back_off(tries, fraction) <= LONGEST_RETRY_S
    assert back_off(tries, fraction) <= back_off(tries + 1, fraction)


def test_pauses_grow_to_a_bound() -> None:
    """15 seconds, twice as long each time, 15 minutes at most."""
    assert [15, 30, 60] == [pause(failures) for failures in (1, 2, 3)]
    assert LONGEST_PAUSE_S == pause(1000)


@pytest.mark.parametrize(
    ("lane", "on_unknown", "again"),
    [
        ("alarm", "auto", True),
        ("normal", "auto", False),
        ("bulk", "auto", False),
        ("alarm", "hold", False),
        ("bulk", "retry", True),
    ],
)
def test_unknown_is_sent_again_only_where_that_was_asked_for(
    lane: Lane, on_unknown: OnUnknown, again: bool
) -> None:
    """An alarm twice is better than none; a report is not."""
    assert again == retries(lane, on_unknown)


def terms(tries: int = 0, on_unknown: OnUnknown = "hold") -> Terms:
    return Terms(lane="normal", tries=tries, max_attempts=3, on_unknown=on_unknown)


def found(**kinds: Kind) -> dict[str, Finding]:
    return {
        name: Finding(verdict=Verdict(kind, kind), stage="RCPT")
        for name, kind in kinds.items()
    }


def test_each_recipient_has_its_own_fate() -> None:
    """Accepted and refused are final, the deferred alone are tried again."""
    made = settle(terms(), found(a="accepted", b="refused", c="retry"))

    assert {"a": "accepted", "b": "refused", "c": "deferred"} == made.states
    assert (True, True, False) == (made.again, made.tried, made.pause)


def test_the_last_try_expires_what_is_deferred() -> None:
    """Bounded in count."""
    made = settle(terms(tries=2), found(a="retry"))

    assert ({"a": "expired"}, False) == (made.states, made.again)


def test_a_profile_at_fault_costs_no_try() -> None:
    """One mistyped password refuses no mail."""
    made = settle(terms(tries=2), found(a="profile", b="profile"))

    assert {"a": "waiting", "b": "waiting"} == made.states
    assert (True, False, True) == (made.again, made.tried, made.pause)


def test_a_server_out_of_reach_rests_the_profile() -> None:
    """A retry before the transaction says something of the server."""
    early = {"a": Finding(verdict=Verdict("retry", "x"), stage="connect")}

    assert settle(terms(), early).pause


def test_unknown_is_held_or_retried() -> None:
    """As the policy says."""
    assert {"a": "unknown"} == settle(terms(), found(a="unknown")).states
    again = settle(terms(on_unknown="retry"), found(a="unknown"))
    assert {"a": "deferred"} == again.states


KINDS: list[Kind] = ["accepted", "refused", "retry", "profile", "unknown"]


@given(
    st.dictionaries(st.text(min_size=1), st.sampled_from(KINDS), min_size=1),
    st.integers(0, 5),
    st.sampled_from(["auto", "hold", "retry"]),
)
def test_a_message_is_over_exactly_when_nobody_waits(
    kinds: dict[str, Kind], tries: int, on_unknown: OnUnknown
) -> None:
    """Nobody is lost: a state for each recipient, and an outcome when all are final."""
    made = settle(terms(tries, on_unknown), found(**kinds))

    assert set(kinds) == set(made.states)
    assert made.again == (final(made.states) is None)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["accepted"], "accepted"),
        (["accepted", "refused"], "partly accepted"),
        (["accepted", "expired"], "partly accepted"),
        (["refused", "refused"], "refused"),
        (["expired"], "expired"),
        (["refused", "expired"], "expired"),
        (["cancelled"], "cancelled"),
        (["accepted", "unknown"], "unknown"),
    ],
)
def test_the_outcome_follows_from_the_recipients(
    states: list[str], expected: str
) -> None:
    """And is dry run where nothing was meant to be sent."""
    assert expected == outcome(states, dry_run=False)  # type: ignore[arg-type]
    assert "dry run" == outcome(states, dry_run=True)  # type: ignore[arg-type]


ALL_ERRORS = [
    errors.Invalid("x", []),
    errors.NotFound("email profile", "x"),
    errors.NotFound("email profile", "x", "y"),
    errors.StaleRevision("x", "y"),
    errors.StateRefused("x", "used", "y"),
    errors.Unknown("x", "id", "y"),
    errors.GrantRefused("x", "invalid_grant", "y"),
    errors.Refused("RCPT", Reply(code=550, text="no"), "y"),
    errors.TimedOut("connect", "x", "y"),
    errors.ConnectFailed("connect", "x", "y"),
    errors.Disconnected("RCPT", "x"),
    errors.PluginFailed("x", "y"),
    errors.ReportFailed("x", "source", "y"),
    errors.SlowDown("x", 10, "y"),
    errors.TokenTimeout("x"),
]


@pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda one: type(one).__name__)
def test_errors_pickle(error: errors.EmailProfilesError) -> None:
    """Their `args` are their constructor's arguments."""
    again = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error), error.remedy, error.stage) == (
        type(again),
        str(again),
        again.remedy,
        again.stage,
    )
    assert (error.args, str(error)) == (again.args, str(type(error)(*error.args)))
