"""
Any request is read back by the standard library as it was written.

The parser is `email` with policy `default`, and where it is wrong about correct
messages, what is generated leaves that out and says so.
"""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_hookspecs import Attachment, SendRequest
from email_profiles_hookspecs.errors import Invalid
from email_profiles_plugin.addresses import parse
from email_profiles_plugin.message import Rendered, render
from email_profiles_plugin.testing.message_strategies import (
    addresses,
    attachments,
    bodies,
    foreign_local,
    one_word,
    quoted,
    subjects,
    written,
)

DATE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MESSAGE_ID = "<abc@plant.example>"
often = settings(max_examples=100, deadline=None)


def rendered(**fields: Any) -> Rendered:
    least = {"profile": "p", "from_address": "a@b.example", "to": ["c@d.example"]}
    request = SendRequest(**(least | fields))
    message = render(request, date=DATE, message_id=MESSAGE_ID)
    assert message == render(request, date=DATE, message_id=MESSAGE_ID)
    check_lines(message)
    return message


def check_lines(message: Rendered) -> None:
    """What RFC 5322 and RFC 2045 say of every line."""
    octets = message.octets
    assert octets.endswith(b"\r\n")
    assert b"\0" not in octets
    assert octets.count(b"\r\n") == octets.count(b"\r") == octets.count(b"\n")
    assert message.smtputf8 or octets.isascii()
    for one in octets.split(b"\r\n"):
        assert len(one) <= 998
        assert not one.startswith((b".", b"From "))
    header = octets.partition(b"\r\n\r\n")[0].decode()
    for one in header.split("\r\n"):
        assert one.strip(" \t")
        if len(one) > 78:
            assert " " not in one.lstrip(" ").partition(": ")[2]
        if "=?utf-8?" in one:
            assert len(one) <= 76


def parsed(message: Rendered) -> EmailMessage:
    found = email.message_from_bytes(message.octets, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert [part.defects for part in found.walk() if part.defects] == []
    return found


def canonical(text: str) -> str:
    """The text with CRLF line ends, also at its end."""
    text = re.sub("\r\n|\r|\n", "\r\n", text)
    return text if not text or text.endswith("\r\n") else text + "\r\n"


def decoded(part: EmailMessage | None) -> str:
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    if part["content-transfer-encoding"] != "7bit":
        assert max(map(len, part.get_payload().split("\r\n"))) <= 76
    return payload.decode()


def read(header: Any) -> list[tuple[str, str, str]]:
    return [(one.display_name, one.username, one.domain) for one in header.addresses]


@often
@given(subject=subjects, value=subjects)
def test_subject_and_headers(subject: str, value: str) -> None:
    """A subject, or another header, of any text is given back equal."""
    found = parsed(rendered(subject=subject, headers={"X-Plant-Note": value}))

    assert (subject, value) == (found["subject"], found["x-plant-note"])


@often
@given(
    author=addresses,
    sender=addresses,
    to=st.lists(addresses, min_size=1, max_size=6),
    cc=st.lists(addresses, max_size=3),
    bcc=st.lists(addresses, max_size=3),
    reply_to=st.lists(addresses, max_size=3),
)
def test_addresses(
    author: tuple[str, str, str],
    sender: tuple[str, str, str],
    to: list[tuple[str, str, str]],
    cc: list[tuple[str, str, str]],
    bcc: list[tuple[str, str, str]],
    reply_to: list[tuple[str, str, str]],
) -> None:
    """Names and addresses are given back equal, and Bcc is not there."""
    message = rendered(
        from_address=written(author),
        sender=written(sender),
        to=[written(one) for one in to],
        cc=[written(one) for one in cc],
        bcc=[written(one) for one in bcc],
        reply_to=[written(one) for one in reply_to],
    )

    found = parsed(message)
    for header, expected in (
        ("from", [author]),
        ("sender", [sender]),
        ("to", to),
        ("cc", cc),
        ("reply-to", reply_to),
    ):
        assert expected == (read(found[header]) if expected else [])
    assert found["bcc"] is None
    everyone = {(local, domain.lower()) for _, local, domain in (*to, *cc, *bcc)}
    assert len(everyone) == len(message.envelope.recipients)


@often
@given(local=quoted)
def test_quoted_local_parts(local: str) -> None:
    """A local part in quotes stays what it is, in the header and in the envelope."""
    message = rendered(to=[f"Name <{local}@plant.example>"])

    (address,) = parsed(message)["to"].addresses
    (recipient,) = message.envelope.recipients
    plain = re.sub(r"\\(.)", r"\1", local[1:-1])
    assert (plain, "plant.example") == (address.username, address.domain)
    assert plain == parse(recipient).local


@often
@given(
    local=foreign_local,
    name=one_word.map(lambda name: name.strip(" ")),
)
def test_local_parts_that_are_not_ascii(local: str, name: str) -> None:
    """They are there as UTF-8, in a message that says so (RFC 6532)."""
    message = rendered(to=[written((name, local, "plant.example"))])

    assert message.smtputf8
    found = email.message_from_string(
        message.octets.decode(), policy=email.policy.SMTPUTF8
    )
    assert [(name, local, "plant.example")] == read(found["to"])


@often
@given(text=st.none() | bodies, html=st.none() | bodies, files=attachments)
def test_bodies_and_files(
    text: str | None, html: str | None, files: list[tuple[str, bytes]]
) -> None:
    """Texts come back with their line ends as CRLF, files to the last octet."""
    found = parsed(
        rendered(
            text=text,
            html=html,
            attachments=[Attachment(name=name, data=data) for name, data in files],
        )
    )

    if text is not None or html is None:
        assert canonical(text or "") == decoded(found.get_body(("plain",)))
    if html is not None:
        assert canonical(html) == decoded(found.get_body(("html",)))
    assert files == [
        (part.get_filename(), part.get_payload(decode=True))
        for part in found.walk()
        if part.get_content_disposition() == "attachment"
    ]


@often
@given(html=bodies, images=attachments, text=st.none() | st.just("plain"))
def test_inline_images(
    html: str, images: list[tuple[str, bytes]], text: str | None
) -> None:
    """Images are found under their content ids, beside the HTML."""
    found = parsed(
        rendered(
            text=text,
            html=html,
            attachments=[
                Attachment(name=name, data=data, content_id=f"image{number}@plant")
                for number, (name, data) in enumerate(images)
            ],
        )
    )

    assert canonical(html) == decoded(found.get_body(("related", "html")[1:]))
    assert [
        (f"<image{number}@plant>", name, data)
        for number, (name, data) in enumerate(images)
    ] == [
        (part["content-id"], part.get_filename(), part.get_payload(decode=True))
        for part in found.walk()
        if part.get_content_disposition() == "inline"
    ]


def test_a_body_that_holds_our_own_boundary() -> None:
    """No text can end the part that it is in."""
    fields: dict[str, Any] = {"html": "<p>a</p>", "attachments": []}
    first = rendered(text="a", **fields)
    boundary = parsed(first).get_boundary()
    text = f"a\n--{boundary}\n--{boundary}--\n\n--=_\n"

    found = parsed(rendered(text=text, **fields))

    assert len(list(found.iter_parts())) == 2
    body = found.get_body(("plain",))
    assert body is not None
    assert text.replace("\n", "\r\n") == body.get_content()


anything = st.text(
    st.sampled_from('a@b <>,"\\.:;/=?\r\n\0\tü\x7f\x85\u2028\ud800'), max_size=12
)


@often
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "from_address": anything,
            "sender": anything,
            "to": st.lists(anything, max_size=2),
            "bcc": st.lists(anything, max_size=2),
            "subject": anything,
            "headers": st.dictionaries(anything, anything, max_size=2),
        },
    ),
    name=anything,
    content_type=st.none() | anything,
    content_id=st.none() | anything,
)
def test_nothing_gets_out_of_its_header(
    fields: dict[str, Any],
    name: str,
    content_type: str | None,
    content_id: str | None,
) -> None:
    """Whatever is put in any field, it is refused or stays within its own header."""
    attachment = Attachment(
        name=name, data=b"", content_type=content_type, content_id=content_id
    )
    try:
        message = rendered(attachments=[attachment], **fields)
    except Invalid:
        return

    header = message.octets.partition(b"\r\n\r\n")[0].decode("utf-8")
    found = [one.partition(":")[0] for one in header.split("\r\n") if one[0] != " "]
    expected = ["Date", "From", *(["Sender"] if "sender" in fields else []), "To"]
    expected += ["Subject", "Message-ID", "Auto-Submitted", *fields.get("headers", ())]
    assert [*expected, "MIME-Version", "Content-Type"] == found
