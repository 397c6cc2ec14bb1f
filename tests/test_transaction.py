"""Transactions: what each recipient was answered, together or one by one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import NotOffered, ProtocolError
from email_profiles_plugin.smtp.dialogue import Command, Extensions, Group, Move
from email_profiles_plugin.smtp.transaction import (
    Mail,
    Transaction,
    limited,
    stuffed,
    transact,
)

OCTETS = b"Subject: hi\r\n\r\nhello\r\n"


def mail(*recipients: str, octets: bytes = OCTETS, smtputf8: bool = False) -> Mail:
    return Mail(
        mail_from="a@x", recipients=recipients, octets=octets, smtputf8=smtputf8
    )


def play(
    dialogue: Generator[Move, Sequence[Reply], Transaction], *codes: int
) -> tuple[list[str], Transaction]:
    """What was said, and the result; the server answers *codes* in turn."""
    script = list(codes)
    said: list[str] = []
    move = next(dialogue)
    while True:
        assert isinstance(move, Group)
        for write in move.writes:
            text = write.line if isinstance(write, Command) else "<content>"
            said.append(text.split(":")[0] if text.startswith("MAIL") else text)
        given_now = [Reply(code=script.pop(0)) for _ in range(move.replies)]
        try:
            move = dialogue.send(given_now)
        except StopIteration as stop:
            assert not script
            return said, stop.value


def codes(result: Transaction) -> dict[str, tuple[str, int]]:
    return {who: (one.stage, one.reply.code) for who, one in result.answers.items()}


@pytest.mark.parametrize("pipelining", [False, True])
def test_all_are_served(pipelining: bool) -> None:
    """MAIL, each RCPT, DATA, the content; the final reply is everybody's."""
    dialogue = transact(mail("b@x", "c@x"), Extensions(), pipelining=pipelining)
    said, result = play(dialogue, 250, 250, 251, 354, 250)

    assert ["MAIL FROM", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "DATA", "<content>"] == said
    assert {"b@x": ("end of data", 250), "c@x": ("end of data", 250)} == codes(result)
    assert not result.reset


def test_pipelining_sends_the_envelope_in_one_group() -> None:
    """One round trip, whatever the number of recipients (RFC 2920)."""
    dialogue = transact(mail("b@x", "c@x", "d@x"), Extensions(), pipelining=True)
    first = next(dialogue)

    assert isinstance(first, Group)
    assert (5, 5) == (len(first.writes), first.replies)


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_refused_recipient_costs_the_others_nothing(pipelining: bool) -> None:
    """Each recipient has its own answer."""
    dialogue = transact(mail("b@x", "c@x", "d@x"), Extensions(), pipelining=pipelining)
    _, result = play(dialogue, 250, 550, 250, 450, 354, 250)

    assert {
        "b@x": ("RCPT", 550),
        "c@x": ("end of data", 250),
        "d@x": ("RCPT", 450),
    } == codes(result)


def test_one_by_one_stops_when_nobody_is_left() -> None:
    """No DATA without a recipient; RSET has to lead what comes next."""
    dialogue = transact(mail("b@x"), Extensions(), pipelining=False)
    said, result = play(dialogue, 250, 550)

    assert ["MAIL FROM", "RCPT TO:<b@x>"] == said
    assert result.reset


def test_together_a_lone_dot_ends_what_has_no_recipients() -> None:
    """The server asked for content all the same (RFC 2920, 3.1)."""
    dialogue = transact(mail("b@x"), Extensions(), pipelining=True)
    said, result = play(dialogue, 250, 550, 354, 554)

    assert ["MAIL FROM", "RCPT TO:<b@x>", "DATA", "<content>"] == said
    assert {"b@x": ("RCPT", 550)} == codes(result)


def test_content_asked_for_after_a_refused_mail_ends_the_session() -> None:
    """A lone dot would mail an empty message under the envelope before."""
    dialogue = transact(mail("b@x"), Extensions(), pipelining=True)
    with pytest.raises(ProtocolError):
        play(dialogue, 550, 503, 354)


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize(
    ("replies", "stage"),
    [
        ((553,), "MAIL"),
        ((250, 250, 554), "DATA"),
        ((250, 250, 354, 552), "end of data"),
    ],
)
def test_a_refusal_is_known_by_its_stage(
    replies: tuple[int, ...], stage: str, pipelining: bool
) -> None:
    """MAIL, DATA and the end of data decide on all recipients at once."""
    if pipelining and stage == "MAIL":
        replies = (553, 503, 503)
    dialogue = transact(mail("b@x"), Extensions(), pipelining=pipelining)
    _, result = play(dialogue, *replies)

    code = {"MAIL": 553, "DATA": 554, "end of data": 552}[stage]
    assert {"b@x": (stage, code)} == codes(result)


@pytest.mark.parametrize("pipelining", [False, True])
def test_too_many_recipients_go_in_the_next_transaction(pipelining: bool) -> None:
    """452, and 552 which means the same at RCPT (RFC 5321, 4.5.3.1.10)."""
    dialogue = transact(mail("b@x", "c@x", "d@x"), Extensions(), pipelining=pipelining)
    _, result = play(dialogue, 250, 250, 452, 552, 354, 250)

    assert {"b@x": ("end of data", 250)} == codes(result)
    assert ("c@x", "d@x") == result.leftover


def test_452_for_the_first_recipient_is_no_invitation() -> None:
    """Nobody was accepted, so that another transaction would not help."""
    dialogue = transact(mail("b@x"), Extensions(), pipelining=False)
    _, result = play(dialogue, 250, 452)

    assert {"b@x": ("RCPT", 452)} == codes(result)
    assert () == result.leftover


@pytest.mark.parametrize("pipelining", [False, True])
def test_421_answers_all_that_follow_it(pipelining: bool) -> None:
    """RFC 5321, 3.8: the server closes; nobody was served."""
    dialogue = transact(mail("b@x", "c@x"), Extensions(), pipelining=pipelining)
    replies = (250, 250, 421, 421) if pipelining else (250, 250, 421)
    _, result = play(dialogue, *replies)

    assert {"b@x": ("RCPT", 421), "c@x": ("RCPT", 421)} == codes(result)
    assert result.closing


@pytest.mark.parametrize("pipelining", [False, True])
def test_reset_leads_where_it_has_to(pipelining: bool) -> None:
    """Or what the last transaction left would stand under this one's sender."""
    dialogue = transact(mail("b@x"), Extensions(), pipelining=pipelining, reset=True)
    said, result = play(dialogue, 250, 250, 250, 354, 250)

    assert "RSET" == said[0]
    assert {"b@x": ("end of data", 250)} == codes(result)


@pytest.mark.parametrize("pipelining", [False, True])
def test_421_to_reset_answers_everybody(pipelining: bool) -> None:
    """The server closes an idle session; nobody has made a mistake."""
    people = mail("b@x", "c@x")
    dialogue = transact(people, Extensions(), pipelining=pipelining, reset=True)
    said, result = play(dialogue, *[421] * (5 if pipelining else 1))

    assert "RSET" == said[0]
    assert {"b@x": ("RSET", 421), "c@x": ("RSET", 421)} == codes(result)
    assert result.closing


@pytest.mark.parametrize("code", [354, 451, 502])
def test_a_refused_reset_ends_the_session(code: int) -> None:
    """Nobody knows under which envelope the next message would go."""
    dialogue = transact(mail("b@x"), Extensions(), pipelining=False, reset=True)
    with pytest.raises(ProtocolError) as caught:
        play(dialogue, code)

    assert "RSET" == caught.value.stage


def test_a_message_over_size_is_refused_before_anything_is_said() -> None:
    """The server has announced its limit (RFC 1870)."""
    dialogue = transact(mail("b@x"), Extensions({"SIZE": "10"}), pipelining=False)
    with pytest.raises(NotOffered, match="takes 10"):
        play(dialogue)


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    """A clear error before DATA, else the parameters of RFC 6531."""
    with pytest.raises(NotOffered, match="SMTPUTF8"):
        play(transact(mail("ü@x", smtputf8=True), Extensions(), pipelining=False))
    group = next(
        transact(
            mail("ü@x", smtputf8=True), Extensions({"SMTPUTF8": ""}), pipelining=False
        )
    )
    assert isinstance(group, Group)
    assert "MAIL FROM:<a@x> BODY=8BITMIME SMTPUTF8" == group.writes[0].shown


def test_the_completing_group_names_who_waits_for_its_reply() -> None:
    """Whoever was refused already is not in doubt when the connection breaks."""
    dialogue: Any = transact(mail("b@x", "c@x"), Extensions(), pipelining=True)
    next(dialogue)
    group = dialogue.send([Reply(code=code) for code in (250, 550, 250, 354)])
    (completion,) = group.completes

    assert ("c@x",) == completion.awaiting
    assert ["b@x"] == list(completion.answers)


@pytest.mark.parametrize(
    ("octets", "sent"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..a\r\n", b"...a\r\n.\r\n"),
    ],
)
def test_dots_are_stuffed(octets: bytes, sent: bytes) -> None:
    """RFC 5321, 4.5.2."""
    assert sent == stuffed(octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"a",
        b"a\n",
        b"a\r\nb\nc\r\n",
        b"a\rb\r\n",
        b"a\0\r\n",
        b"x" * 999 + b"\r\n",
    ],
)
def test_what_could_be_read_as_two_messages_is_not_sent(octets: bytes) -> None:
    """No SMTP smuggling: one kind of line end, and a bound on lines."""
    with pytest.raises(ValueError, match="not a message"):
        stuffed(octets)


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_stuffing_is_undone_by_the_rule_of_the_rfc(lines: list[bytes]) -> None:
    """A server that follows RFC 5321 gets back the octets that were rendered."""
    clean = [b"".join(line.translate(None, b"\r\n\0").split()) for line in lines]
    octets = b"".join(line + b"\r\n" for line in clean) or b"\r\n"
    *content, end, rest = stuffed(octets).split(b"\r\n")
    received = [line[1:] if line.startswith(b".") else line for line in content]

    assert (b".", b"") == (end, rest)
    assert octets == b"".join(line + b"\r\n" for line in received)


def test_limits_are_honoured() -> None:
    """The profile's limit, or what the server announces (RFC 9422)."""
    people = [f"{number}@x" for number in range(50)]

    assert 50 == limited(people, 100, Extensions())
    assert 20 == limited(people, 20, Extensions())
    assert 10 == limited(people, 20, Extensions({"LIMITS": "MAILMAX=5 RCPTMAX=10"}))
