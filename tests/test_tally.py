"""The tally: what was said and what was answered, paired; no socket here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_hookspecs.errors import ProtocolError, SubmissionError
from email_profiles_plugin.smtp.dialogue import Command, Group
from email_profiles_plugin.smtp.tally import Tally

MAIL = Group(stage="MAIL", writes=(Command("MAIL", "MAIL"),))
SECRET = b"\0user\0hunter2!"
ECHO = "AHVzZXIAaHVudGVyMiE="
AUTH = Group(stage="AUTH", writes=(Command("AUTH x", "AUTH ***"),), hide=(SECRET,))

replies = st.sampled_from(
    [
        *(b"250 ok\r\n", b"250-one\r\n250 two\r\n", b"354 go\r\n", b"550 no\r\n"),
        *(b"421 bye\r\n", b"what\r\n", b"250-one\r\n550 two\r\n", b"2"),
    ]
)


def say(tally: Tally, group: Group) -> None:
    """Put a group, and see it leave whole."""
    tally.put(group)
    tally.listen(group)
    tally.left(len(tally.leaving()))


def heard(asked: int, packets: Sequence[bytes]) -> list[object]:
    """What *asked* commands that left together are answered, to the end."""
    lines: list[str] = []
    tally, found = Tally(lines.append), list[object]()
    for _ in range(asked):
        say(tally, MAIL)
    for packet in packets:
        tally.take(packet)
    try:
        while len(found) < asked + 3 and (reply := tally.answer(MAIL)) is not None:
            found.append(reply)
    except SubmissionError as error:
        found.append(error.args)
    return [*found, *lines, tally.ended, tally.closing]


@settings(max_examples=300)
@given(
    st.integers(0, 5),
    st.lists(replies, max_size=8),
    st.lists(st.integers(0, 120), max_size=8),
)
def test_nothing_depends_on_how_replies_are_cut(
    asked: int, said: list[bytes], cuts: list[int]
) -> None:
    """Each command has the same reply, and what is wrong is the same, in its place."""
    stream = b"".join(said)
    edges = sorted({0, *(one for one in cuts if one < len(stream)), len(stream)})
    packets = [stream[start:end] for start, end in itertools.pairwise(edges)]

    assert heard(asked, [stream]) == heard(asked, packets)
    octets = [stream[at : at + 1] for at in range(len(stream))]
    assert heard(asked, [stream]) == heard(asked, octets)


def test_what_came_before_a_fault_counts() -> None:
    """The fault is raised in its turn, and 421 answers all that follow it."""
    tally = Tally(lambda line: None)
    say(tally, MAIL)
    say(tally, MAIL)
    tally.take(b"220 hi\r\n250 ok\r\nwhat\r\n250 ok\r\n")

    assert [220, 250] == [
        reply.code for reply in (tally.answer(MAIL), tally.answer(MAIL)) if reply
    ]
    for _ in range(2):
        with pytest.raises(ProtocolError, match="what"):
            tally.answer(MAIL)


def test_nothing_is_kept_of_what_comes_behind_a_fault() -> None:
    """A server that talks on while we find out that it is gone fills no memory."""
    tally = Tally(lambda line: None)
    for _ in range(100):
        tally.take(b"what\r\n" * 1000)

    assert tally.failure is not None
    assert len(tally.reader._buffer) <= 6000


@pytest.mark.parametrize(
    ("now", "later"),
    [
        (f"421 {ECHO}\r\n", ""),
        ("", f"421 {ECHO}\r\n"),
        (f"550 {ECHO}", "\r\n"),
        ("550-no\r\n550 hunter2!", "\r\n"),
        (f"what? {ECHO}", "\r\n"),
        ("", "hunter2!\r\n"),
        (f"250 {ECHO}\r\n", ""),
        ("", f"250 ok\r\n250 {ECHO}\r\n"),
    ],
)
def test_what_was_said_in_secret_is_not_echoed_later(now: str, later: str) -> None:
    """Behind the 235, by an error to what comes next, or as no reply at all."""
    lines: list[str] = []
    tally, found = Tally(lines.append), list[object]()
    tally.take(b"220 hi\r\n")
    tally.answer(Group(stage="greeting"))
    say(tally, AUTH)
    tally.take(b"235 ok\r\n" + now.encode())
    assert tally.answer(AUTH)
    say(tally, MAIL)
    tally.take(later.encode())
    try:
        while (reply := tally.answer(MAIL)) is not None and not tally.closing:
            found.append(reply)
    except ProtocolError as error:
        found.append(error)
    shown = f"{lines} {found} {tally.closing} {tally!r}"

    assert "hunter2!" not in shown
    assert ECHO not in shown


def test_a_reply_before_it_was_asked_is_quoted_only_without_secrets() -> None:
    """During AUTH it may be an echo."""
    for group, quoted in ((MAIL, True), (AUTH, False)):
        tally = Tally(lambda line: None)
        tally.take(b"220 hi\r\n")
        tally.answer(Group(stage="greeting"))
        tally.put(group)
        tally.listen(group)
        tally.take(f"235 {ECHO}\r\n".encode())
        with pytest.raises(ProtocolError, match="before it was asked") as caught:
            tally.answer(group)
        assert quoted == (ECHO in str(caught.value))
