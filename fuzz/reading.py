"""
A second reading of what a server said, which shares nothing with the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define

from email_profiles_plugin.smtp.replies import MAX_LINE, MAX_LINES, MAX_REPLY

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -]).*)?", re.DOTALL)


@define
class Heard:
    """A reply as the second reading has it: its code, and where its last octet is."""

    code: int
    end: int


def replies(octets: bytes) -> Iterator[Heard]:
    """The replies in *octets*, up to the first thing that is none."""
    at = lines = size = code = 0
    while (end := octets.find(b"\n", at)) >= 0:
        line = octets[at:end].removesuffix(b"\r")
        match = _LINE.fullmatch(line)
        lines, size = lines + 1, size + len(line)
        too_long = end - at > MAX_LINE or lines > MAX_LINES or size > MAX_REPLY
        if not match or too_long or (code and code != int(match[1])):
            return
        at, code = end + 1, int(match[1])
        if match[2] != b"-":
            yield Heard(code, at)
            lines = size = code = 0
