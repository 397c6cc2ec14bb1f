"""A request becomes the octets that it means."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from typing import Any

import pytest

from email_profiles_hookspecs import Attachment, SendRequest
from email_profiles_plugin.message import Rendered, message_id_for, render

DATE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MESSAGE_ID = "<abc@plant.example>"
PNG = bytes(range(256))
FILE = Attachment(name="a.pdf", data=PNG)
IMAGE = Attachment(name="a.png", data=PNG, content_id="a")


def rendered(**fields: Any) -> Rendered:
    """A request with the least that one needs, and *fields*, rendered."""
    least = {
        "profile": "p",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
    }
    request = SendRequest(**(least | fields))
    return render(request, date=DATE, message_id=MESSAGE_ID)


def parsed(message: Rendered) -> EmailMessage:
    """What the standard library reads in the octets; it must find no defect."""
    found = email.message_from_bytes(message.octets, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert [part.defects for part in found.walk() if part.defects] == []
    return found


def shape(message: Rendered) -> list[str]:
    """The content types, outermost first."""
    return [part.get_content_type() for part in parsed(message).walk()]


def test_the_octets_of_a_plain_message() -> None:
    """A simple message is the very octets that a reader of RFC 5322 expects."""
    assert rendered(
        from_address="Gateway <gateway@plant.example>",
        subject="Tank 4 high",
        text="Level is 92 %.",
    ).octets == (
        b"Date: Wed, 04 Mar 2026 05:06:07 +0000\r\n"
        b"From: Gateway <gateway@plant.example>\r\n"
        b"To: operator@plant.example\r\n"
        b"Subject: Tank 4 high\r\n"
        b"Message-ID: <abc@plant.example>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Level is 92 %.\r\n"
    )


def test_the_octets_stay_out_of_the_repr() -> None:
    """A rendered message says whom it goes to, but not what it says."""
    message = rendered(text="the contents")

    assert "the contents" not in repr(message)
    assert "operator@plant.example" in repr(message)


def test_the_same_request_gives_the_same_octets() -> None:
    """Nothing in a message is random: boundaries come from the Message-ID."""
    fields: dict[str, Any] = {
        "text": "a",
        "html": "b",
        "attachments": [Attachment(name="a", data=PNG)],
    }

    assert rendered(**fields).octets == rendered(**fields).octets
    other = render(
        SendRequest(profile="p", from_address="a@b", to=["c@d"], **fields),
        date=DATE,
        message_id="<other@plant.example>",
    )
    boundary = parsed(rendered(**fields)).get_boundary()
    assert boundary != parsed(other).get_boundary()


def test_the_date_is_in_utc() -> None:
    """Whatever zone a date is given in, the header has +0000."""
    east = DATE.astimezone(timezone(timedelta(hours=5, minutes=30)))
    request = SendRequest(profile="p", from_address="a@b", to=["c@d"])
    message = render(request, date=east, message_id=MESSAGE_ID)

    assert b"Date: Wed, 04 Mar 2026 05:06:07 +0000\r\n" in message.octets


def test_message_id_for() -> None:
    """Its domain is the From address's, as A-labels; render refuses a bad address."""
    assert message_id_for("A <a@bücher.example>", "u1") == "<u1@xn--bcher-kva.example>"
    assert message_id_for("a@[IPv6:2001:db8::1]", "u1") == "<u1@[IPv6:2001:db8::1]>"
    assert message_id_for("nobody", "u1") == "<u1@invalid>"
    for unique in ("u 1", "", "u>\r\n", "ü"):
        with pytest.raises(ValueError, match="form"):
            message_id_for("a@b", unique)


def test_the_envelope() -> None:
    """Everyone gets it once, in the order of to, cc, bcc; Bcc is nowhere to be seen."""
    message = rendered(
        from_address="Gateway <gateway@Bücher.example>",
        sender="daemon@plant.example",
        to=["A <a@plant.example>", "b@plant.example"],
        cc=["a@PLANT.example", "c@plant.example"],
        bcc=["hidden@plant.example", "b@plant.example", "A@plant.example"],
    )

    assert message.envelope.mail_from == "gateway@xn--bcher-kva.example"
    assert message.envelope.recipients == (
        "a@plant.example",
        "b@plant.example",
        "c@plant.example",
        "hidden@plant.example",
        "A@plant.example",
    )
    assert b"hidden" not in message.octets
    assert "bcc" not in message.octets.decode().lower()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"bcc": ["h@x.example"]}, "undisclosed-recipients:;"),
        ({"cc": ["h@x.example"]}, None),
    ],
)
def test_nobody_in_to(fields: dict[str, Any], expected: str | None) -> None:
    """BCC-only mail is sent, to undisclosed recipients; Cc-only needs no To."""
    message = rendered(to=[], **fields)

    assert expected == parsed(message)["to"]
    assert message.envelope.recipients == ("h@x.example",)


def test_sender_and_reply_to() -> None:
    """Both are headers of their own, and neither changes the envelope."""
    message = rendered(
        sender="Daemon <daemon@plant.example>",
        reply_to=["Desk <desk@plant.example>", "b@plant.example"],
    )

    found = parsed(message)
    assert found["sender"] == "Daemon <daemon@plant.example>"
    assert found["reply-to"] == "Desk <desk@plant.example>, b@plant.example"
    assert message.envelope.mail_from == "gateway@plant.example"
    assert message.envelope.recipients == ("operator@plant.example",)


@pytest.mark.parametrize("field", ["from_address", "sender", "to", "cc", "bcc"])
def test_a_local_part_that_is_not_ascii_needs_smtputf8(field: str) -> None:
    """One such address, anywhere, makes the whole message SMTPUTF8."""
    address = "Jürgen <jürgen@bücher.example>"
    one = field in ("from_address", "sender")
    message = rendered(**{field: address if one else [address]})

    assert message.smtputf8
    everywhere = f"{message.envelope} {message.octets.decode()}"
    assert "jürgen@xn--bcher-kva.example" in everywhere
    assert not rendered(to=["Jürgen <juergen@bücher.example>"]).smtputf8


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["text/plain"]),
        ({"text": "a"}, ["text/plain"]),
        ({"html": "a"}, ["text/html"]),
        (
            {"text": "a", "html": "b"},
            ["multipart/alternative", "text/plain", "text/html"],
        ),
        (
            {"attachments": [FILE]},
            ["multipart/mixed", "text/plain", "application/pdf"],
        ),
        (
            {"html": "b", "attachments": [IMAGE]},
            ["multipart/related", "text/html", "image/png"],
        ),
        (
            {"text": "a", "attachments": [IMAGE]},
            ["multipart/mixed", "text/plain", "image/png"],
        ),
        (
            {"text": "a", "html": "b", "attachments": [FILE, IMAGE]},
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "application/pdf",
            ],
        ),
    ],
)
def test_shapes(fields: dict[str, Any], expected: list[str]) -> None:
    """Each combination of bodies and attachments has its usual form, no deeper."""
    assert expected == shape(rendered(**fields))


def test_an_inline_image() -> None:
    """It stands beside the HTML, under its content id, to be shown and not listed."""
    found = parsed(
        rendered(
            html='<img src="cid:logo">',
            attachments=[Attachment(name="logo.png", data=PNG, content_id="logo")],
        )
    )

    assert found.get_param("type") == "text/html"
    (image,) = [part for part in found.walk() if part["content-id"]]
    assert image["content-id"] == "<logo>"
    assert image.get_content_disposition() == "inline"
    assert image.get_payload(decode=True) == PNG


@pytest.mark.parametrize(
    ("name", "content_type", "expected"),
    [
        ("a.pdf", None, "application/pdf"),
        ("A.PDF", None, "application/pdf"),
        ("a.tar.gz", None, "application/gzip"),
        ("a.unknown", None, "application/octet-stream"),
        ("pdf", None, "application/octet-stream"),
        ("a.eml", None, "application/octet-stream"),
        ("a.plc", None, "application/x-plc"),
        ("a.pdf", "text/csv", "text/csv"),
        ("a", "text/csv; charset=utf-8; header=present", "text/csv"),
        ("a", 'text/csv; note="a; b"', "text/csv"),
        ("a", "message/rfc822", "application/octet-stream"),
        ("a", "Multipart/Mixed; boundary=a", "application/octet-stream"),
    ],
)
def test_content_types(name: str, content_type: str | None, expected: str) -> None:
    """By name, from our table and the site's, or as given; never one inside base64."""
    request = SendRequest(
        profile="p",
        from_address="a@b",
        to=["c@d"],
        attachments=[Attachment(name=name, data=PNG, content_type=content_type)],
    )
    message = render(
        request,
        date=DATE,
        message_id=MESSAGE_ID,
        content_types={"plc": "application/x-plc"},
    )

    assert expected == shape(message)[2]


def test_parameters_of_a_content_type_are_folded() -> None:
    """A long content type is broken between its parameters."""
    kind = 'text/csv; charset=utf-8; header=present; note="' + "a; " * 15 + '"'
    message = rendered(attachments=[Attachment(name="a", data=b"", content_type=kind)])

    *_, part = parsed(message).walk()
    assert tuple(part.get_param(name) for name in ("charset", "header", "note")) == (
        "utf-8",
        "present",
        "a; " * 15,
    )
    assert b"charset=utf-8; header=present;\r\n note=" in message.octets


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        (1, ("1", "high")),
        (2, ("2", "high")),
        (3, (None, None)),
        (4, ("4", "low")),
        (5, ("5", "low")),
    ],
)
def test_priority(priority: int, expected: tuple[str | None, str | None]) -> None:
    """X-Priority has our scale, Importance its three words; normal needs neither."""
    found = parsed(rendered(priority=priority))

    assert expected == (found["x-priority"], found["importance"])


def test_headers() -> None:
    """Other headers are taken, and one of ours yields where it may."""
    found = parsed(
        rendered(
            priority=1,
            headers={
                "X-Plant": "Kühlraum",
                "auto-submitted": "no",
                "X-Priority": "2",
                "X-Empty": "",
            },
        )
    )

    assert found["x-plant"] == "Kühlraum"
    assert found.get_all("auto-submitted") == ["no"]
    assert found.get_all("x-priority") == ["2"]
    assert found["importance"] == "high"
    assert found["x-empty"] == ""


def test_list_unsubscribe_folds_only_between_uris() -> None:
    """Its URIs stay whole, however long they are, and nothing in them is encoded."""
    long = "<https://plant.example/unsubscribe?" + "token=?" * 30 + ">"
    value = f"<mailto:u@plant.example?subject=leave the list>,{long}, <https://b>"

    octets = rendered(headers={"List-Unsubscribe": value}).octets.decode()

    assert (
        "List-Unsubscribe: <mailto:u@plant.example?subject=leave the list>,\r\n"
        f" {long},\r\n <https://b>\r\n"
    ) in octets


def test_message_ids_in_headers_stay_whole() -> None:
    """References folds between ids, and an id of any length is not encoded."""
    ids = [f"<{'x' * 80}{number}@plant.example>" for number in range(3)]

    octets = rendered(headers={"References": "  ".join(ids)}).octets.decode()

    assert "References: " + "\r\n ".join(ids) + "\r\n" in octets
