"""`send_email`: the 17 parameters of system.net.sendEmail, as scripts use them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import (
    Disabled,
    FromNotAllowed,
    Invalid,
    NotFound,
    NotSent,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.scripting import SendEmail
from email_profiles_plugin.consumers.scripting.parameters import octets, read
from email_profiles_plugin.consumers.scripting.sending import DEFAULTS
from email_profiles_plugin.testing import SmtpServer

GATEWAY, ANNA, BERT = "gateway@plant.example", "anna@plant.example", "bert@x.example"
PLENTY: dict[str, Any] = {"fromAddr": GATEWAY, "subject": "Tank 4", "body": "92 %"}


@pytest.fixture
def smtp_server(smtp_server_factory: Callable[..., SmtpServer]) -> SmtpServer:
    """A relay of the plant's, which wants nobody to sign in."""
    return smtp_server_factory()


@pytest.fixture
def profiles(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server: SmtpServer,
    profile_document: Callable[..., dict[str, Any]],
) -> EmailProfiles:
    """A store with the profile `plant`, and delivery."""
    opened = open_profiles()
    document = profile_document(smtp_server, name="plant")
    document["policy"] = {"from_addresses": ["plant.example", GATEWAY]}
    opened.profiles.apply(document, actor="test")
    return opened


@pytest.fixture
def send_email(profiles: EmailProfiles) -> SendEmail:
    return SendEmail(profiles)


def last(server: SmtpServer) -> EmailMessage:
    """The newest message, as a mail program reads it."""
    return server.messages[-1].message


def test_the_signature_is_theirs() -> None:
    """Names, order and defaults, as the documentation of Ignition 8.1 has them."""
    parameters = list(inspect.signature(SendEmail.__call__).parameters.values())[1:]
    written = {one.name: repr(one.default) for one in parameters[:-1]}

    assert written == {
        "smtp": "None",
        "fromAddr": "''",
        "subject": "None",
        "body": "None",
        "html": "False",
        "to": "None",
        "attachmentNames": "None",
        "attachmentData": "None",
        "timeout": "300000",
        "username": "None",
        "password": "None",
        "priority": "'3'",
        "smtpProfile": "None",
        "cc": "None",
        "bcc": "None",
        "retries": "0",
        "replyTo": "None",
    }
    assert list(written) == list(DEFAULTS)


def test_by_position(send_email: SendEmail, smtp_server: SmtpServer) -> None:
    """As public scripts call it: html as 0, recipients as a list, an attachment."""
    server = f"127.0.0.1:{smtp_server.port}"

    send_email(
        *(server, GATEWAY, "Report", "see there", 0, [ANNA, BERT], ["a.csv"], [b"1;2"])
    )

    found = last(smtp_server)
    assert (ANNA, BERT) == smtp_server.messages[-1].recipients
    assert "see there" == found.get_body().get_content().strip()  # type: ignore[union-attr]
    (attached,) = found.iter_attachments()
    assert ("a.csv", "text/csv") == (
        attached.get_filename(),
        attached.get_content_type(),
    )


def test_by_a_profile(send_email: SendEmail, smtp_server: SmtpServer) -> None:
    """Its settings win over smtp, username and password; all else is used."""
    mail = send_email(
        smtp="nobody.invalid:1:tls",
        username="nobody",
        password="nothing",
        smtpProfile="plant",
        to=ANNA,
        cc=[BERT],
        bcc="cleo@plant.example; dora@plant.example",
        replyTo=["control@plant.example"],
        priority="1",
        retries=2,
        **PLENTY,
    )

    received, found = smtp_server.messages[-1], last(smtp_server)
    assert "accepted" == mail.state
    assert {ANNA, BERT, "cleo@plant.example", "dora@plant.example"} == {
        *received.recipients
    }
    assert BERT == found["Cc"]
    assert "control@plant.example" == found["Reply-To"]
    assert found["X-Priority"].startswith("1")
    assert "cleo" not in str(found)


def test_without_a_profile_too(send_email: SendEmail, smtp_server: SmtpServer) -> None:
    """cc, bcc and retries are honoured there, which Ignition passes over."""
    send_email(
        f"localhost:{smtp_server.port}", cc=ANNA, bcc=[BERT], retries=1, **PLENTY
    )

    assert (ANNA, BERT) == smtp_server.messages[-1].recipients


@pytest.mark.parametrize(
    ("html", "body", "kind"),
    [
        ({}, "<html><b>92 %</b></html>", "text/html"),
        ({}, "  <!DOCTYPE html><p>92 %", "text/html"),
        ({}, "level < 92 %", "text/plain"),
        ({"html": 1}, "<b>92 %</b>", "text/html"),
        ({"html": True}, "<b>92 %</b>", "text/html"),
        ({"html": 0}, "<html>92 %</html>", "text/plain"),
        ({"html": False}, "<html>92 %</html>", "text/plain"),
    ],
)
def test_html(html: dict[str, Any], body: str, kind: str) -> None:
    """1 and 0 as scripts have them; found out by the body where it is left out."""
    request = read({**DEFAULTS, "smtp": "a", "to": ANNA, "body": body, **html}).request

    assert kind == ("text/html" if request.html is not None else "text/plain")
    assert body == (request.html if request.html is not None else request.text)


def test_from_of_the_profile(send_email: SendEmail, smtp_server: SmtpServer) -> None:
    """Where a script gives none, the first address that the profile may send as."""
    send_email(smtpProfile="plant", to=ANNA, body="92 %")

    assert GATEWAY == last(smtp_server)["From"]


def test_later(send_email: SendEmail, smtp_server: SmtpServer) -> None:
    """It is queued; the handle tells what becomes of it."""
    mail = send_email.later(None, GATEWAY, smtpProfile="plant", to=ANNA, body="92 %")
    outcome = mail.wait(30)

    assert outcome is not None
    assert ("accepted", mail.id) == (outcome.state, outcome.id)
    assert mail.message_id == last(smtp_server)["Message-ID"]


def test_a_script_may_ignore_what_it_gets(send_email: SendEmail) -> None:
    """Nothing secret is in it."""
    mail = send_email(smtpProfile="plant", to=ANNA, **PLENTY)

    assert repr(mail) == f"Mail(id={mail.id!r}, message_id={mail.message_id!r})"


def test_a_refusal_is_raised(send_email: SendEmail, smtp_server: SmtpServer) -> None:
    """With the server's words; who got it all the same is told."""
    smtp_server.refuse[BERT] = "550 5.1.1 no such user"

    with pytest.raises(NotSent, match="no such user") as caught:
        send_email(smtpProfile="plant", to=[ANNA, BERT], **PLENTY)

    assert "partly accepted" == caught.value.outcome.state
    assert f"accepted for {ANNA}" in str(caught.value)


def test_nobody_answers(send_email: SendEmail) -> None:
    """Once, by default; the reason and what to do."""
    with pytest.raises(NotSent, match="Connection refused: look at the port"):
        send_email("127.0.0.1:1", to=ANNA, **PLENTY)


def test_of_two_servers_of_its_own(
    send_email: SendEmail,
    profiles: EmailProfiles,
    smtp_server: SmtpServer,
) -> None:
    """Settings are kept apart, unlisted, and the same ones once."""
    server = f"127.0.0.1:{smtp_server.port}"
    first = send_email(server, to=ANNA, **PLENTY)
    again = send_email(server, to=ANNA, **PLENTY)
    other = send_email(f"localhost:{smtp_server.port}", to=ANNA, **PLENTY)

    names = [profiles.outbox.show(one.id).profile for one in (first, again, other)]
    assert names[0] == names[1] != names[2]
    assert ["plant"] == [one.name for one in profiles.profiles.list()]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"toAddrs": [ANNA]}, "no parameter 'toAddrs': use to"),
        ({"port": 25}, "no parameter 'port': use smtp=\"host:port\""),
        ({"from_addr": GATEWAY}, "use fromAddr"),
        ({"smtp_profile": "plant"}, "use smtpProfile"),
        ({"attachments": []}, "use attachmentNames and attachmentData"),
        ({"prioritty": "1"}, "use priority"),
        ({"zzz": 1}, "it has smtp, fromAddr, subject"),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_wrong_name_is_told_the_right_one(
    send_email: SendEmail, given: dict[str, Any], said: str, later: bool
) -> None:
    """A TypeError, as Python's own, that helps."""
    with pytest.raises(TypeError, match=said):
        (send_email.later if later else send_email)(**given)


def test_too_many_and_twice(send_email: SendEmail) -> None:
    """`later` takes what the call takes, and nothing else."""
    with pytest.raises(TypeError, match="17 parameters, not 18"):
        send_email.later(*range(18))
    with pytest.raises(TypeError, match="given smtp twice"):
        send_email.later("a", smtp="b")


def test_every_mistake_at_once(send_email: SendEmail) -> None:
    """By the names that the script knows; nothing is queued."""
    with pytest.raises(Invalid) as caught:
        send_email(
            smtp="plant.example:25:ssl",
            to=[],
            html="yes",
            priority="9",
            timeout=0,
            retries=-1,
            attachmentNames=["a.csv"],
            cc=[7],
            subject=4,
        )

    assert {
        "smtp",
        "to",
        "html",
        "priority",
        "timeout",
        "retries",
        "attachmentNames",
        "cc",
        "subject",
    } == {one.path for one in caught.value.problems}
    assert [] == send_email.profiles.outbox.list()


def test_credentials_in_clear(send_email: SendEmail) -> None:
    """Refused, with what to write; the password is not told."""
    with pytest.raises(Invalid, match=r"smtp: .*host:port:tls") as caught:
        send_email(
            "mail.plant.example", to=ANNA, username="u", password="c4n4ry", **PLENTY
        )

    assert "c4n4ry" not in str(caught.value)


@pytest.mark.parametrize(
    ("smtp", "expected"),
    [
        ("mail", ("mail", 25, {})),
        ("mail:2525", ("mail", 2525, {})),
        ("mail:587:tls", ("mail", 587, {"use_starttls": True})),
        ("mail:465:TLS", ("mail", 465, {"use_ssl": True})),
        ("[::1]:587:tls", ("::1", 587, {"use_starttls": True})),
        ("mail:25:", ("mail", 25, {})),
    ],
)
def test_server(smtp: str, expected: tuple[str, int, dict[str, bool]]) -> None:
    """Host, port and TLS; a literal address in brackets."""
    server = read({**DEFAULTS, "smtp": smtp, "to": ANNA}).server
    assert server is not None
    found = dict(server.document()["smtp"])

    assert expected == (found.pop("hostname"), found.pop("port"), found)


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        ({"smtpProfile": "nobody"}, NotFound),
        ({"smtpProfile": "plant", "fromAddr": "x@other.example"}, FromNotAllowed),
    ],
)
def test_what_send_raises(
    send_email: SendEmail, profile: dict[str, Any], error: type[Exception]
) -> None:
    """As a hook call would."""
    with pytest.raises(error):
        send_email(**{**PLENTY, "to": ANNA, **profile})


def test_a_disabled_profile(send_email: SendEmail, profiles: EmailProfiles) -> None:
    """Is told at once."""
    document = profiles.profiles.export("plant") | {"enabled": False}
    profiles.profiles.apply(document, actor="test")

    with pytest.raises(Disabled):
        send_email(smtpProfile="plant", to=ANNA, **PLENTY)


@given(st.binary(max_size=200))
def test_data_however_it_is_written(data: bytes) -> None:
    """Octets, a mutable copy, or the signed numbers of Java's."""
    signed = [one - 256 if one > 127 else one for one in data]

    assert data == octets(data) == octets(bytearray(data)) == octets(list(data))
    assert data == octets(signed)


NAMES = st.sampled_from([*DEFAULTS])
ANY = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


@given(st.dictionaries(NAMES, ANY | st.binary() | st.floats(), max_size=17))
def test_anything_gives_a_call_or_every_mistake(found: dict[str, Any]) -> None:
    """Never another error, whatever a script passes."""
    problems: tuple[Problem, ...] = ()
    try:
        call = read({**DEFAULTS, **found})
        assert call.profile or call.server
    except Invalid as error:
        problems = error.problems

    assert {one.path.partition("[")[0] for one in problems} <= {*DEFAULTS}
