"""When a token is due, and in what state it is: rules without a clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_hookspecs import OAuth2Client, SecretRef, Timing
from email_profiles_plugin import token_rules
from email_profiles_plugin.token_rules import Held, due_at, expires_at, state_at

SECONDS = st.integers(-(2**31), 315_360_000)
MOMENTS = st.integers(0, 4_000_000_000).map(float)
LIVES = st.integers(1, 315_360_000)


def timing(before: int = 300, default: int = 0) -> Timing:
    return Timing(
        refresh_before_expiration_s=before, default_access_token_expiration_s=default
    )


@given(MOMENTS, LIVES, SECONDS)
def test_due_within_the_life(obtained_at: float, life: int, before: int) -> None:
    """A token is due between half of its life and its expiry."""
    expiry = obtained_at + life

    due = due_at(expiry, obtained_at, timing(before))

    assert due is not None
    assert obtained_at + life / 2 <= due <= expiry


@given(MOMENTS, LIVES, st.integers(-(2**31), 0))
def test_due_exactly_at_expiry(obtained_at: float, life: int, before: int) -> None:
    """Zero and less: the next token is asked for exactly when this one expires."""
    assert obtained_at + life == due_at(obtained_at + life, obtained_at, timing(before))


@pytest.mark.parametrize(
    ("life", "before", "due"), [(3600, 300, 3300), (500, 300, 250), (600, 300, 300)]
)
def test_due_ahead_of_expiry(life: float, before: int, due: float) -> None:
    """As many seconds ahead as the profile says, but half the life at most."""
    assert due == due_at(life, 0, timing(before))


def test_never_due() -> None:
    """A token that does not expire is never due."""
    assert None is due_at(None, 0, timing())


@given(MOMENTS, MOMENTS, SECONDS)
def test_server_decides_on_expiry(
    obtained_at: float, said: float, default: int
) -> None:
    """Where the server says when a token expires, the default does not count."""
    assert said == expires_at(obtained_at, said, timing(default=default))


@given(MOMENTS, SECONDS)
def test_default_expiry(obtained_at: float, default: int) -> None:
    """Where it does not say: after the default; zero and less: never."""
    expected = obtained_at + default if default > 0 else None

    assert expected == expires_at(obtained_at, None, timing(default=default))


@settings(max_examples=200)
@given(
    st.sampled_from(["none", "valid", "needs grant", "error"]),
    st.booleans(),
    MOMENTS,
    st.none() | MOMENTS,
    MOMENTS,
    SECONDS,
)
def test_state_and_use_agree(
    kept: Any, present: bool, obtained: float, expires: float | None, now: float, s: int
) -> None:
    """Exactly the tokens that are valid or expiring are used."""
    held = Held(kept=kept, present=present, obtained_at=obtained, expires_at=expires)

    good = state_at(held, now, timing(s)) in ("valid", "expiring")

    assert good == token_rules.usable(held, now)


@pytest.mark.parametrize(
    ("kept", "present", "now", "state"),
    [
        ("none", False, 0, "none"),
        ("valid", True, 3299, "valid"),
        ("valid", True, 3300, "expiring"),
        ("valid", True, 3599, "expiring"),
        ("valid", True, 3600, "expired"),
        ("error", True, 0, "valid"),
        ("error", True, 3300, "expiring"),
        ("error", True, 3600, "error"),
        ("needs grant", True, 3600, "needs grant"),
        ("error", False, 0, "error"),
        ("needs grant", False, 0, "needs grant"),
    ],
)
def test_states(kept: Any, present: bool, now: float, state: str) -> None:
    """Time decides on a token that is there, the last failure where there is none."""
    held = Held(kept=kept, present=present, obtained_at=0, expires_at=3600)

    assert state == state_at(held, now, timing())


@given(MOMENTS, st.none() | MOMENTS)
def test_failed_refresh_waits(now: float, expiry: float | None) -> None:
    """Never at once, sooner as expiry nears; an hour apart at most after it."""
    again = token_rules.retry_at(now, expiry)

    assert again >= now + token_rules.SOONEST_S
    if expiry is None or now >= expiry:
        assert again <= now + token_rules.LATEST_S / 4
    else:
        assert again <= max(now + token_rules.SOONEST_S, expiry)


@pytest.mark.parametrize(
    ("error", "refreshed", "state"),
    [
        ("invalid_grant", True, "needs grant"),
        ("invalid_grant", False, "error"),
        ("interaction_required", True, "needs grant"),
        ("consent_required", True, "needs grant"),
        ("login_required", True, "needs grant"),
        ("login_required", False, "error"),
        ("invalid_client", True, "error"),
        ("access_denied", True, "error"),
    ],
)
def test_refusals(error: str, refreshed: bool, state: str) -> None:
    """Only a refused refresh token, or a person who is missed, takes a new grant."""
    assert state == token_rules.refused_state(error, refreshed)


@pytest.mark.parametrize(
    ("kept", "before", "after", "inherited"),
    [
        ("valid", "", "", True),
        ("error", "a@plant.example", "A@plant.example", True),
        ("valid", "a@plant.example", "b@plant.example", False),
        ("valid", "a@plant.example", "", False),
        ("valid", "", "a@plant.example", False),
        ("needs grant", "", "", False),
    ],
)
def test_grant_without_a_refresh_token(
    kept: Any, before: str, after: str, inherited: bool
) -> None:
    """It goes on with the old one of the same account, unless that was refused."""
    assert inherited == token_rules.inherits(kept, before, after)


def test_timing_of_an_auth_block() -> None:
    """The three settings are read where they are; defaults stand for the others."""
    auth = {"access_token_timeout_s": 0, "username": "a", "refresh_token_params": {}}

    assert Timing(access_token_timeout_s=0) == token_rules.read_timing(auth)


AUTH: dict[str, Any] = {
    "username": "gateway@plant.example",
    "client": "plant",
    "interactive": False,
    "scope": "mail.send",
    "mechanism": "automatic",
    "refresh_before_expiration_s": 300,
    "client_credentials_token_params": {"audience": "mail"},
}
CLIENT = OAuth2Client(
    id="c1", revision=1, name="plant", client_id="me", token_endpoint="https://a.test/t"
)


DEFAULTS = {"interactive": False, "scope": "", "login_hint": None, "audience": "mail"}


@pytest.mark.parametrize(
    "changed",
    [
        {"audience": "calendar"},
        {"username": "other@plant.example"},
        {"interactive": True},
        {"scope": ""},
    ],
)
def test_edit_that_loses_the_token(changed: dict[str, Any]) -> None:
    """Another username, scope or interactive makes another fingerprint."""
    before = token_rules.fingerprint("oauth2", AUTH, CLIENT, DEFAULTS)

    assert before != token_rules.fingerprint(
        "oauth2", {**AUTH, **changed}, CLIENT, DEFAULTS
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"mechanism": "XOAUTH2"},
        {"refresh_before_expiration_s": 1},
        {"client_credentials_token_params": {}},
        {"client": "renamed"},
        {"login_hint": None},
        {"audience": "mail"},
        {"key": SecretRef(kind="env", place="p", value="KEY")},
    ],
)
def test_edit_that_keeps_the_token(changed: dict[str, Any]) -> None:
    """Any other edit keeps it, as do a renamed client, and a setting that is new."""
    before = token_rules.fingerprint("oauth2", AUTH, CLIENT, DEFAULTS)

    assert before == token_rules.fingerprint(
        "oauth2", {**AUTH, **changed}, CLIENT, DEFAULTS
    )


@pytest.mark.parametrize(
    "client",
    [
        None,
        OAuth2Client(
            id="c2",
            revision=1,
            name="plant",
            client_id="me",
            token_endpoint="https://a.test/t",
        ),
        OAuth2Client(
            id="c1",
            revision=1,
            name="plant",
            client_id="me",
            token_endpoint="https://b.test/t",
        ),
        OAuth2Client(
            id="c1",
            revision=1,
            name="plant",
            client_id="you",
            token_endpoint="https://a.test/t",
        ),
    ],
)
def test_client_that_loses_the_token(client: OAuth2Client | None) -> None:
    """Another client, client id or endpoint makes another fingerprint."""
    before = token_rules.fingerprint("oauth2", AUTH, CLIENT, DEFAULTS)

    assert before != token_rules.fingerprint("oauth2", AUTH, client, DEFAULTS)
    assert 64 == len(before)
