"""A request that can never be sent is refused, with every mistake in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from email_profiles_hookspecs import Attachment, SendRequest
from email_profiles_hookspecs.errors import Invalid
from email_profiles_plugin.message import render

DATE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MESSAGE_ID = "<abc@plant.example>"
PNG = bytes(range(256))
BAD = ["\r", "\n", "\r\nBcc: evil@x.example", "\0", "\x1b", "\x7f", "\x85", "\ud800"]


def problems(**fields: Any) -> dict[str, str]:
    """What is wrong with a request that has the least it needs, and *fields*."""
    least = {"profile": "p", "from_address": "a@b.example", "to": ["c@d.example"]}
    request = SendRequest(**(least | fields))
    with pytest.raises(Invalid) as caught:
        render(request, date=DATE, message_id=MESSAGE_ID)
    assert caught.value.what == "send request"
    return {problem.path: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize(
    "name",
    [
        *("From", "FROM", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject", "Date"),
        *("Message-ID", "MIME-Version", "Content-Type", "content-transfer-encoding"),
        *("Received", "Return-Path", "Resent-From", "Resent-Bcc", "DKIM-Signature"),
    ],
)
def test_headers_that_may_not_be_set(name: str) -> None:
    """Who, when, what form and which way are not for `headers` to say."""
    assert "may not be set" in problems(headers={name: "x"})[f"$.headers['{name}']"]


@pytest.mark.parametrize("value", ["<https://bücher.example>", f"<{'x' * 998}>"])
def test_what_no_uri_list_can_hold(value: str) -> None:
    """A URI is ASCII and fits a line."""
    assert list(problems(headers={"List-Unsubscribe": value})) == [
        "$.headers['List-Unsubscribe']"
    ]


def test_a_date_needs_a_zone_and_a_message_id_its_form() -> None:
    """What the caller makes, not the user, is refused with ValueError."""
    request = SendRequest(profile="p", from_address="a@b", to=["c@d"])

    with pytest.raises(ValueError, match="time zone"):
        render(request, date=datetime(2026, 1, 1), message_id=MESSAGE_ID)
    for wrong in ("a@b", "<a>", "<a@b>\r\nX: y", "<a b@c>", "<a@b><c@d>", "<@b>", ""):
        with pytest.raises(ValueError, match="form <unique@domain>"):
            render(request, date=DATE, message_id=wrong)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("$.from_address", {"from_address": "a{}@b"}),
        ("$.from_address", {"from_address": '"A{}" <a@b>'}),
        ("$.sender", {"sender": "A{} <a@b>"}),
        ("$.to[1]", {"to": ["a@b", "a@b{}"]}),
        ("$.cc[0]", {"cc": ["A{} <a@b>"]}),
        ("$.bcc[0]", {"bcc": ["A{} <a@b>"]}),
        ("$.reply_to[0]", {"reply_to": ["A <a@b{}>"]}),
        ("$.subject", {"subject": "a{}b"}),
        ("$.headers['X-A']", {"headers": {"X-A": "a{}b"}}),
        ("$.headers['References']", {"headers": {"References": "<a{}@b>"}}),
    ],
)
def test_injection_is_refused(bad: str, path: str, fields: dict[str, Any]) -> None:
    """No header, address or name can hold what would end it."""

    def poisoned(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{}", bad)
        if isinstance(value, dict):
            return {key: poisoned(item) for key, item in value.items()}
        return [poisoned(item) for item in value]

    assert [path] == list(problems(**poisoned(fields)))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("member", ["name", "content_type", "content_id"])
def test_injection_by_attachment_is_refused(bad: str, member: str) -> None:
    """Nor can a file name, a content type or a content id."""
    good = {"name": "a.png", "content_type": "image/png", "content_id": "logo"}
    poisoned = good | {member: f"{good[member]}{bad}"}

    assert [f"$.attachments[0].{member}"] == list(
        problems(attachments=[Attachment(data=PNG, **poisoned)])
    )


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "X\r\nBcc", "X" * 51])
def test_a_header_name(name: str) -> None:
    """It is printable ASCII without colon or space."""
    assert len(problems(headers={name: "x"})) == 1


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"to": []}, "$.to", "no recipient"),
        ({"to": ["nobody"]}, "$.to[0]", "no at sign"),
        ({"to": [None]}, "$.to[0]", "is text"),
        ({"subject": None}, "$.subject", "is not text"),
        ({"text": "a\ud800"}, "$.text", "surrogate at character 2"),
        ({"html": "\udfff"}, "$.html", "surrogate at character 1"),
        ({"priority": 0}, "$.priority", "1 to 5"),
        ({"headers": {"X-A": 1}}, "$.headers['X-A']", "are text"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "$.headers['x-a']", "twice"),
    ],
)
def test_mistakes(fields: dict[str, Any], path: str, words: str) -> None:
    """Each mistake is told by its place, in words."""
    found = problems(**fields)

    assert [path] == list(found)
    assert words in found[path]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"name": ""}, "name: is empty"),
        ({"data": "text"}, "data: is not bytes"),
        ({"content_type": "pdf"}, "'pdf' is no content type"),
        ({"content_type": "a/b; c"}, "is no content type"),
        ({"content_type": "a/b; c=" + "d" * 400}, "is no content type"),
        ({"content_id": "<a>"}, "'<a>' is no content id"),
        ({"content_id": ""}, "'' is no content id"),
    ],
)
def test_mistakes_in_attachments(members: dict[str, Any], words: str) -> None:
    """An attachment that can't be one says why."""
    attachment = Attachment(**({"name": "a.png", "data": PNG} | members))

    (found,) = problems(attachments=[attachment]).values()

    assert words in found


def test_two_images_under_one_content_id() -> None:
    """The HTML could not tell them apart."""
    image = Attachment(name="a.png", data=PNG, content_id="a")

    assert list(problems(html="x", attachments=[image, image])) == [
        "$.attachments[1].content_id"
    ]


def test_all_mistakes_are_told_at_once_and_no_contents() -> None:
    """Nobody corrects a request twice, and no error holds what was to be said."""
    found = problems(
        from_address="nobody",
        to=["a@b", "c"],
        bcc=["d"],
        subject="contents\n",
        text="contents \ud800",
        html="contents",
        headers={"To": "contents"},
        attachments=[Attachment(name="", data=b"contents")],
        priority=9,
    )

    assert sorted(found) == [
        "$.attachments[0].name",
        "$.bcc[0]",
        "$.from_address",
        "$.headers['To']",
        "$.priority",
        "$.subject",
        "$.text",
        "$.to[1]",
    ]
    assert "contents" not in " ".join(found.values())
