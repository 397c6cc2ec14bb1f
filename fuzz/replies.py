"""
The reply reader, and the tally that pairs replies with what was asked.

The first octet says how many commands were asked, the second how many cuts follow, two
octets each; the rest is what the server says, whole and so cut. Two octets that are no
UTF-8 stand for much, so that the bounds are reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import reading

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import ProtocolError
from email_profiles_plugin.smtp.dialogue import Command, Group
from email_profiles_plugin.smtp.replies import (
    MAX_LINE,
    MAX_LINES,
    MAX_REPLY,
    ReplyReader,
)
from email_profiles_plugin.smtp.tally import Tally

GROUP = Group(stage="MAIL", writes=(Command("MAIL", "MAIL"),))

MUCH = {b"\xfe": b"x" * 1000, b"\xfd": b"250-more and more\r\n" * 50}

Reading = Callable[[Sequence[bytes]], list[object]]


def check(octets: bytes) -> None:
    """Read *octets*; AssertionError where something does not hold."""
    if len(octets) < 2:
        return
    asked, cuts, start = octets[0] & 7, octets[1] & 15, 2 + 2 * (octets[1] & 15)
    stream = octets[start:]
    for octet, much in MUCH.items():
        stream = stream.replace(octet, much, 20)
    places = [int.from_bytes(octets[at : at + 2]) for at in range(2, start, 2)][:cuts]
    edges = sorted({0, len(stream), *(one for one in places if one < len(stream))})
    parts = [stream[begin:end] for begin, end in pairwise(edges)]
    single = [stream[at : at + 1] for at in range(len(stream))]

    def tallied(packets: Sequence[bytes]) -> list[object]:
        return tally(asked, packets)

    codes = [one.code for one in read([stream]) if isinstance(one, Reply)]
    assert codes == [one.code for one in reading.replies(stream)]
    readings: Sequence[Reading] = (read, tallied)
    for play in readings:
        whole = play([stream])
        assert whole == play(parts), "it depends on the cuts"
        if len(stream) <= 500:
            assert whole == play(single), "it depends on the cuts"


def read(packets: Sequence[bytes]) -> list[object]:
    """The replies and, if it comes to that, the error that ends them."""
    reader, found = ReplyReader(), list[object]()
    longest = max(map(len, packets), default=0)
    try:
        for packet in packets:
            reader.feed(packet)
            while (reply := reader.next()) is not None:
                check_reply(reply)
                found.append(reply)
            check_memory(reader, longest)
    except ProtocolError as error:
        found.append(error.args)
    return found


def tally(asked: int, packets: Sequence[bytes]) -> list[object]:
    """What *asked* commands are answered, what is told of it, and how it ends."""
    told: list[str] = []
    one, found = Tally(told.append), list[object]()
    one.listen(GROUP)
    for _ in range(asked):
        one.put(GROUP)
    one.left(len(one.leaving()))
    longest = max(map(len, packets), default=0)
    for packet in packets:
        one.take(packet)
        check_memory(one.reader, longest)
    try:
        while len(found) < asked + 3 and (reply := one.answer(GROUP)) is not None:
            check_reply(reply)
            found.append(reply)
    except ProtocolError as error:
        found.append(error.args)
    assert one.closing is not None or len(found) <= asked + 2
    assert all(line.isprintable() for line in told)
    return [*found, *told, one.ended, one.closing]


def check_reply(reply: Reply) -> None:
    """Codes are of SMTP, and texts can be shown on any terminal."""
    assert 200 <= reply.code < 600
    assert all(line.isprintable() for line in reply.text.split("\n"))
    assert len(reply.text.split("\n")) <= MAX_LINES
    assert len(reply.text) <= 4 * MAX_REPLY


def check_memory(reader: ReplyReader, longest: int) -> None:
    """No more is kept than one reply may have, and a packet."""
    assert len(reader._buffer) <= MAX_LINE + 2 + longest
    assert len(reader._lines) <= MAX_LINES + 1  # the one too many ends it
    assert sum(map(len, reader._lines)) <= 4 * (MAX_REPLY + MAX_LINE)
    assert len(reader._known) <= 32
