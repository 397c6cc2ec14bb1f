"""Replies: the same whatever the chunks, bounded, and harmless to show."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import ProtocolError
from email_profiles_plugin.smtp.replies import (
    MAX_LINE,
    MAX_LINES,
    MAX_REPLY,
    ReplyReader,
)


def read(*chunks: bytes) -> list[Reply]:
    reader, replies = ReplyReader(), []
    for chunk in chunks:
        reader.feed(chunk)
        while (reply := reader.next()) is not None:
            replies.append(reply)
    return replies


texts = st.binary(max_size=12) | st.sampled_from(
    [b"", b"5.1.1 no", b"ok\r", b"x" * (MAX_LINE - 5), b"x" * (MAX_LINE + 1)]
)
lines = st.builds(
    lambda code, between, text, end: b"%b%b%b%b" % (code, between, text, end),
    st.sampled_from([b"250", b"250", b"354", b"421", b"550", b"199", b"25", b""]),
    st.sampled_from([b" ", b"-", b"-", b"", b"x"]),
    texts,
    st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r", b""]),
)
many = st.builds(lambda line, times: line * times, lines, st.just(MAX_LINES + 1))
streams = st.lists(lines | lines | lines | many, max_size=6).map(b"".join)
"""Replies, nearly replies, and what has no end."""


def told(*chunks: bytes) -> list[object]:
    """The replies and, if it comes to that, the error that ends them."""
    reader, found = ReplyReader(), list[object]()
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (reply := reader.next()) is not None:
                found.append(reply)
    except ProtocolError as error:
        found.append(error.args)
    return found


def cut(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The stream in parts; *cuts* are taken round the stream's length."""
    inner = {one % len(stream) for one in cuts} if stream else set()
    edges = sorted({0, *inner, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@settings(max_examples=300, deadline=None)
@given(streams, st.lists(st.integers(0, 1_000_000), max_size=12))
def test_nothing_depends_on_how_a_stream_is_cut(stream: bytes, cuts: list[int]) -> None:
    """Not the replies, and not the error or where it comes."""
    whole = told(stream)

    assert whole == told(*cut(stream, cuts))
    if len(stream) < 3000:
        assert whole == told(*cut(stream, range(len(stream))))


@given(st.lists(st.integers(0, 75), max_size=8))
def test_replies_do_not_depend_on_how_they_are_cut(cuts: list[int]) -> None:
    """Any cutting of the stream gives the same replies."""
    stream = b"250-one\r\n250-two\r\n250 three\r\n421 4.3.2 bye now\r\n354\r\n"
    edges = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    chunks = [stream[start:end] for start, end in itertools.pairwise(edges)]

    assert read(*chunks) == [
        Reply(code=250, text="one\ntwo\nthree"),
        Reply(code=421, enhanced="4.3.2", text="bye now"),
        Reply(code=354),
    ]


def test_the_enhanced_status_is_taken_off_each_line() -> None:
    """RFC 2034 repeats it on every line of a reply."""
    assert read(b"550-5.1.1 No such\r\n550 5.1.1 user\r\n") == [
        Reply(code=550, enhanced="5.1.1", text="No such\nuser")
    ]


def test_an_enhanced_status_of_another_class_is_text() -> None:
    """250 5.1.1 is nonsense, and shown as it came."""
    assert read(b"250 5.1.1 hm\r\n") == [Reply(code=250, text="5.1.1 hm")]


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16\n",
        b"199 too low\r\n",
        b"250-one\r\n251 two\r\n",
        b"2500 long\r\n",
        b"250-x\r\n" * (MAX_LINES + 1),
        (b"250-" + b"x" * 8000 + b"\r\n") * (MAX_REPLY // 8000 + 1),
        b"250 " + b"x" * (MAX_LINE + 1),
        b"250 " + b"x" * (MAX_LINE + 1) + b"\r\n",
    ],
)
def test_what_no_smtp_server_says_is_an_error(octets: bytes) -> None:
    """Not SMTP, differing codes, and what has no end are refused by name."""
    with pytest.raises(ProtocolError) as caught:
        read(octets)

    assert "greeting" == caught.value.stage


@given(st.binary(max_size=300))
def test_any_octets_give_replies_or_a_protocol_error(octets: bytes) -> None:
    """Nothing else ever comes out, and texts hold no control character but LF."""
    try:
        replies = read(b"250 " + octets + b"\r\n")
    except ProtocolError:
        return
    for reply in replies:
        assert all(char == "\n" or char.isprintable() for char in reply.text)


def test_a_reader_with_something_left_is_not_idle() -> None:
    """What came before a TLS handshake was injected."""
    reader = ReplyReader()
    assert reader.idle
    reader.feed(b"250 half")
    assert not reader.idle


def test_a_quiet_reader_quotes_nothing() -> None:
    """What is no reply may echo what was said."""
    reader = ReplyReader(quiet=True)
    reader.feed(b"unrecognized: hunter2!\r\n")
    with pytest.raises(ProtocolError) as caught:
        reader.next()

    assert "hunter2!" not in repr(caught.value)


def test_a_long_reply_may_follow_another() -> None:
    """Each has its own bound."""
    long = b"250 " + b"x" * 8000 + b"\r\n"

    assert 20 == len(read(*[long] * 20))
