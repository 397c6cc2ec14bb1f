"""The claims of a token: read where it is a JWT, bounded, and never trusted."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs.jwt import LONGEST
from email_profiles_plugin.oauth.claims import MOST, Claims, read

HEADER = {"alg": "RS256", "typ": "at+jwt"}


def part(value: object) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(octets).decode().rstrip("=")


def jwt(said: object, header: object = HEADER) -> str:
    return f"{part(header)}.{part(said)}.{part(b'signature')}"


def test_claims_of_an_application() -> None:
    """What a token for an application says, as Microsoft issues them."""
    said = {
        "aud": "https://outlook.office365.com",
        "iss": "https://sts.windows.net/5d4c/",
        "sub": "0a1b2c3d-0000-4000-8000-123456789abc",
        "roles": ["SMTP.SendAsApp", "Mail.Send"],
        "exp": 1_900_000_000,
        "tid": "not shown",
    }

    expected = Claims(
        issuer="https://sts.windows.net/5d4c/",
        subject="0a1b2c3d-0000-4000-8000-123456789abc",
        audience=("https://outlook.office365.com",),
        roles=("SMTP.SendAsApp", "Mail.Send"),
        expires_at=datetime.fromtimestamp(1_900_000_000, UTC),
    )
    assert expected == read(jwt(said))


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ({"scp": "SMTP.Send User.Read"}, ("SMTP.Send", "User.Read")),
        ({"scp": ["a", "b"]}, ("a", "b")),
        ({"scope": "a b"}, ("a", "b")),
        ({"scp": "", "scope": "a"}, ("a",)),
        ({}, ()),
        ({"scope": 7}, ()),
    ],
)
def test_scopes(said: dict[str, Any], scopes: tuple[str, ...]) -> None:
    """Scopes are in `scp` or in `scope` (RFC 9068, 2.2.3), as text or as a list."""
    claims = read(jwt(said))

    assert claims is not None
    assert scopes == claims.scopes


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([], ()),
        ("", ()),
        (["a", 7, None, {}, ""], ("a",)),
        ({"a": "b"}, ()),
        (None, ()),
    ],
)
def test_audience(audience: object, expected: tuple[str, ...]) -> None:
    """One audience or several (RFC 7519, 4.1.3); what is no text is left out."""
    claims = read(jwt({"aud": audience}))

    assert claims is not None
    assert expected == claims.audience


@pytest.mark.parametrize(
    "expiry", ["1900000000", True, None, [], 1e300, -1e300, 10**30, "soon"]
)
def test_expiry_that_is_none(expiry: object) -> None:
    """A time that is no number, or in no calendar, is left out."""
    assert Claims() == read(jwt({"exp": expiry}))


@pytest.mark.parametrize("expiry", [b'{"exp": NaN}', b'{"exp": Infinity}'])
def test_expiry_beyond_numbers(expiry: bytes) -> None:
    """Python's JSON knows numbers that no calendar has."""
    assert Claims() == read(jwt(expiry))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b.c",
        "..",
        "ya29.a0AfH6SMBx.0163",
        jwt([]),
        jwt("text"),
        jwt({"sub": "a"}, header=[]),
        jwt({"sub": "a"}, header={"typ": "JWT"}),
        jwt(b"{"),
        jwt(b"\xff\xfe"),
        jwt(b"[" * 30_000),
        jwt({"sub": "a"}) + ".d.e",
        jwt({"sub": "a" * LONGEST}),
        "ü." + jwt({"sub": "a"}).partition(".")[2],
    ],
    ids=lambda token: token[:20],
)
def test_no_jwt(token: str) -> None:
    """An opaque token has no claims, whatever it looks like; nor an encrypted one."""
    assert read(token) is None


def test_bounds() -> None:
    """Long claims are cut, and of many entries the first are shown."""
    claims = read(jwt({"sub": "x" * 9_000, "roles": ["r"] * 900, "scp": "s " * 900}))

    assert claims is not None
    assert "x" * 200 + "..." == claims.subject
    assert (MOST, MOST) == (len(claims.roles), len(claims.scopes))


def test_nothing_that_a_terminal_obeys() -> None:
    """Claims are one line of what can be printed."""
    claims = read(jwt({"sub": "a\x1b[2J\nb\ud800", "aud": ["\u202ea"]}))

    assert claims is not None
    assert ("a [2J b", ("a",)) == (claims.subject, claims.audience)


def test_secrets_are_masked() -> None:
    """A server that puts what it was sent into a token finds it masked."""
    claims = read(jwt({"sub": "is s3cret", "aud": ["s3cret"]}), ["s3cret"])

    assert claims is not None
    assert ("is ***", ("***",)) == (claims.subject, claims.audience)


@given(st.text() | st.lists(st.text(alphabet="ab-_=+/é", max_size=9)).map(".".join))
def test_any_text_may_be_a_token(token: str) -> None:
    """Whatever is given, there are claims or there are none."""
    assert isinstance(read(token), Claims | None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["iss", "sub", "aud", "exp", "roles", "scp", "scope"])


@given(st.dictionaries(NAMES, JSON))
def test_claims_may_be_of_any_type(said: dict[str, Any]) -> None:
    """A JWT is one whatever its claims are, and all that is shown is text."""
    claims = read(jwt(said))

    assert claims is not None
    shown = [claims.issuer, claims.subject]
    shown += [*claims.audience, *claims.roles, *claims.scopes]
    assert all(isinstance(one, str) and one.isprintable() for one in shown)
