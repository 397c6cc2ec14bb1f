"""A token endpoint's answers: good ones, refusals, and what is none of both."""

from __future__ import annotations

import json
import pickle
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs import HttpReply, Token
from email_profiles_hookspecs.errors import GrantRefused, HttpError
from email_profiles_plugin import masking
from email_profiles_plugin.oauth.grants import (
    LONGEST_S,
    Granted,
    HalfAnswer,
    describe,
    parse,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CANARY = "short&s3cret"


def reply(body: Any, status: int = 200) -> HttpReply:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status=status, headers={}, body=octets)


def refused(body: Any, status: int = 400, sent: tuple[str, ...] = ()) -> Exception:
    """What *body* is refused with; nothing secret may be in it."""
    with pytest.raises((GrantRefused, HttpError)) as caught:
        parse(reply(body, status), NOW, sent)
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error)) + repr(error)
    assert str(error) == str(pickle.loads(pickle.dumps(error)))
    return error


def test_token() -> None:
    """Access token, expiry, refresh token and scope are taken over."""
    token = parse(
        reply(
            {
                "access_token": "abc",
                "token_type": "Bearer",
                "expires_in": 3600,
                "refresh_token": "def",
                "scope": "a b",
            }
        ),
        NOW,
    )

    expected = Token(
        access_token="abc",
        expires_at=NOW + timedelta(hours=1),
        refresh_token="def",
        scope="a b",
    )
    assert expected == token


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (5, 5),
        ("5", 5),
        (5.9, 5),
        (0, 0),
        (-5, 0),
        (10**30, LONGEST_S),
        (float("inf"), LONGEST_S),
        (None, None),
        ("soon", None),
        ("", None),
        (True, None),
        ([5], None),
        (float("nan"), None),
    ],
)
def test_lifetimes(said: object, seconds: int | None) -> None:
    """A lifetime may be text; what is no number is taken for not said."""
    token = parse(reply({"access_token": "abc", "expires_in": said}), NOW)

    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert expected == token.expires_at


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"expires_at": "junk"},
        {"scope": None},
        {"scope": {}},
        {"scope": 7},
        {"scope": [None, {}]},
        {"refresh_token": {}},
        {"refresh_token": "\ud800"},
        {"refresh_token": None},
        {"refresh_token": ""},
        {"token_type": None},
        {"error": ""},
    ],
)
def test_odd_but_usable(more: dict[str, Any]) -> None:
    """What is missing, null or beside the point does no harm."""
    assert Token(access_token="abc") == parse(
        reply({"access_token": "abc", **more}), NOW
    )


@pytest.mark.parametrize("sent", ["rø2", "r\n2", " ", 47])
def test_any_text_is_a_refresh_token(sent: object) -> None:
    """It is sent in a form alone; who drops one loses a grant."""
    body = {"access_token": "abc", "refresh_token": sent}

    assert str(sent) == parse(reply(body), NOW).refresh_token


@pytest.mark.parametrize("access", [{}, {"access_token": None}, {"access_token": "ü"}])
def test_half_an_answer(access: dict[str, Any]) -> None:
    """The refresh token of an answer without an access token is not shown."""
    error = refused({**access, "refresh_token": "canary"}, 200)

    assert isinstance(error, HalfAnswer)
    assert "canary" == error.refresh_token
    assert "canary" not in repr(error) + str(error)


def test_other_scopes_are_no_error() -> None:
    """A server may grant other scopes than were asked for, also as a list."""
    assert (
        "x y" == parse(reply({"access_token": "abc", "scope": ["x", "y"]}), NOW).scope
    )


@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_refusal(status: int) -> None:
    """An error code is a GrantRefused with a remedy, whatever the status."""
    error = refused({"error": "invalid_client", "error_description": "No."}, status)

    assert isinstance(error, GrantRefused)
    assert "invalid_client" == error.error
    assert "the authorization server refused: invalid_client (No.)" == error.message
    assert "secret" in error.remedy


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad gateway</html>",
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 9999,
    ],
)
@pytest.mark.parametrize("status", [200, 404, 502])
def test_no_json_object(body: bytes, status: int) -> None:
    """Anything but a JSON object is told by status and first words."""
    error = refused(body, status)

    assert isinstance(error, HttpError)
    assert f"answered {status} with no JSON object" in error.message
    assert (b"html" in body) == ("<html>Bad gateway</html>" in error.message)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "a\u0001auth=Bearer b"},
        {"access_token": "ü"},
        {"access_token": "abc", "scope": 7.5},
    ],
)
def test_no_token(body: dict[str, Any]) -> None:
    """200 without a usable token is an HttpError, or a token; never another error."""
    try:
        assert "abc" == parse(reply(body), NOW).access_token
    except HttpError as error:
        assert "answered 200" in error.message  # noqa: PT017


def test_redirect() -> None:
    """A redirect is told as such."""
    error = refused(b"", 302)

    assert "redirects are not followed" in str(error)


def test_error_status_without_a_reason() -> None:
    """A token that comes with an error status is not used."""
    assert "answered 500" in str(refused({"access_token": "abc"}, 500))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": "invalid_client", "error_description": f"{CANARY} is wrong"}, 400),
        ({"error": CANARY}, 400),
        ({"error": [CANARY], "error_description": {"it": CANARY}}, 400),
        (f"<p>you sent {CANARY}".encode(), 500),
        (f"<p>you sent {CANARY.replace('&', '&amp;')}".encode(), 500),
        ({"message": CANARY}, 500),
    ],
)
def test_what_was_sent_is_masked(body: Any, status: int) -> None:
    """A server that quotes what it was sent does not bring it into an error."""
    sent = masking.spellings([("client_secret", CANARY)], [])

    error = refused(body, status, sent)

    assert "s3cret" not in str(error)
    assert "***" in str(error)


def test_token_in_a_refused_answer_is_masked() -> None:
    """What looks like a token is not quoted, though we never sent it."""
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJncCJ9.c2lnbmF0dXJl"

    error = refused(f"<p>Bearer {token}</p>".encode(), 500)

    assert "eyJ" not in str(error)
    assert "Bearer ***" in str(error)


def test_quotes_are_short_and_printable() -> None:
    """Neither a flood nor terminal controls come through."""
    error = refused({"error": "no", "error_description": "\x1b[2J\n" + "word " * 9999})

    assert str(error).isprintable()
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "AADSTS7000215: Invalid client secret provided.",
        "Trace ID: 1b3e7d5a-0f00-4c1b-9d7a-2f1e5a0c0d00",
        "see https://login.example/oauth2/v2.0/errors for it",
        "internationalization is a long word",
        '{"error_code": "7000215", "token_type": "Bearer"}',
        "the code: 42, and a token: none",
    ],
)
def test_what_helps_is_not_masked(text: str) -> None:
    """Error numbers, trace ids, addresses and words stay readable."""
    assert text == masking.mask(text, ())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"refresh_token":"M.C5!7x*K$", "acc', '{"refresh_token":"***", "acc'),
        ('{"access_token" : "hunter2-tok', '{"access_token" : "***'),
        ("access_token=hunter2&token_type=mac", "access_token=***&token_type=mac"),
        ("<id_token>a!b</id_token>", "<id_token>***</id_token>"),
        ('{"code": "q\\"w!", "z": 1}', '{"code": "***", "z": 1}'),
        ("{'client_secret': 's3'}", "{'client_secret': '***'}"),
    ],
)
def test_a_secret_by_its_name(text: str, shown: str) -> None:
    """However it looks, and cut off or not: what is named as a secret is masked."""
    assert shown == masking.mask(text, ())


@given(st.text(min_size=4, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_sent_never_stays(secret: str, before: str, after: str) -> None:
    """Wherever a secret of four or more characters stands, it is gone afterwards."""
    sent = masking.spellings([("password", secret)], [])

    masked = masking.mask(f"{before}{secret}{after}", sent)

    assert secret not in masked.replace("***", "") or secret in before + after


def test_harmless_fields_may_be_quoted() -> None:
    """The grant type is no secret; a header's credential is one without its scheme."""
    fields = [("grant_type", "client_credentials"), ("Authorization", "Bearer abcdef")]

    sent = masking.spellings(fields, [{"deep": ["canary"]}])

    assert {"abcdef", "Bearer abcdef", "canary"} <= set(sent)
    assert "client_credentials" not in sent


def described(body: dict[str, Any], sent: tuple[str, ...] = ()) -> Granted:
    """What may be shown of an answer that grants."""
    answer = reply(body)
    return describe(answer, parse(answer, NOW), sent)


def test_description() -> None:
    """Type, expiry, scopes, and whether there is a refresh token; no token."""
    body = {
        "access_token": CANARY,
        "refresh_token": f"{CANARY}-2",
        "token_type": "Bearer",
        "expires_in": "3600",
        "scope": "a b",
    }

    expected = Granted(
        token_type="Bearer",
        expires_in=3600,
        expires_at=NOW + timedelta(hours=1),
        scopes=("a", "b"),
        has_refresh_token=True,
    )
    assert expected == described(body)
    assert CANARY not in repr(described(body))


@pytest.mark.parametrize("kind", [None, 7, [], {}])
def test_description_of_little(kind: object) -> None:
    """What the server does not say, or says wrongly, is left out."""
    assert Granted() == described({"access_token": "abcd", "token_type": kind})


def test_description_masks_what_is_repeated() -> None:
    """A token, or what was sent, is masked wherever the server repeats it."""
    body = {
        "access_token": "first-token",
        "refresh_token": "second-token",
        "token_type": "is first-token",
        "scope": "a/second-token b/s3cret",
    }

    found = described(body, sent=("s3cret",))

    assert ("is ***", ("a/***", "b/***")) == (found.token_type, found.scopes)


def test_description_is_bounded() -> None:
    """Of a great many scopes the first are shown, and of a long type its begin."""
    found = described(
        {"access_token": "abcd", "scope": "s " * 900, "token_type": "t" * 900}
    )

    assert (50, 43) == (len(found.scopes), len(found.token_type))
