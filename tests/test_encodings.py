"""Texts and files become lines that any mail server passes on unchanged."""

from __future__ import annotations

import base64

import pytest

from email_profiles_plugin.encodings import base64_body, text_body


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("", "7bit", b""),
        ("a", "7bit", b"a\r\n"),
        ("a\nb\rc\r\n\r", "7bit", b"a\r\nb\r\nc\r\n\r\n"),
        ("a  \nb\t\n", "7bit", b"a  \r\nb\t\r\n"),
        ("x" * 998, "7bit", b"x" * 998 + b"\r\n"),
        ("x" * 76, "7bit", b"x" * 76 + b"\r\n"),
        (".", "quoted-printable", b"=2E\r\n"),
        (".a\n..b", "quoted-printable", b"=2Ea\r\n=2E.b\r\n"),
        ("a\nFrom b", "quoted-printable", b"a\r\n=46rom b\r\n"),
        ("From: b", "7bit", b"From: b\r\n"),
        ("a \x00", "quoted-printable", b"a =00\r\n"),
        ("ü ", "base64", b"w7wgDQo=\r\n"),
        ("ü, und so weiter ", "quoted-printable", b"=C3=BC, und so weiter=20\r\n"),
        ("警報", "base64", b"6K2m5aCxDQo=\r\n"),
        (
            "ä " + "x" * 100,
            "quoted-printable",
            b"=C3=A4 " + b"x" * 68 + b"=\r\n" + b"x" * 32 + b"\r\n",
        ),
    ],
)
def test_text_body(text: str, encoding: str, expected: bytes) -> None:
    """The shortest safe encoding; line ends are CRLF, and the last line has one."""
    assert (encoding, expected) == text_body(text)


@pytest.mark.parametrize("start", [".", "From ", "..", ". From "])
@pytest.mark.parametrize("length", range(60, 240, 7))
def test_no_line_starts_with_a_dot_or_from(start: str, length: int) -> None:
    """Not even where quoted-printable had to break a long line."""
    for text in (
        "ä" + start * length,
        start * length + "ä" + " " * length,
        ("a" * length + start) * 4 + "ä",
        "é" * (length // 20) + "a" * 900 + start * 400,
    ):
        _, body = text_body(text)
        for line in body.split(b"\r\n"):
            assert not line.startswith((b".", b"From "))
            assert len(line) <= 76


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 64, 57 * 64 + 1, 57 * 200])
def test_base64_body(size: int) -> None:
    """Lines of 76, like the standard library's, but ended by CRLF."""
    data = bytes(number % 251 for number in range(size))

    assert base64.encodebytes(data).replace(b"\n", b"\r\n") == base64_body(data)
