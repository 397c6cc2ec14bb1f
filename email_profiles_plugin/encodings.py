"""
How text and bytes become lines of a message: folding, encoded words, bodies.

All that leaves here is 7-bit but for local parts that need SMTPUTF8, and its lines
end in CRLF. ASCII is told from the rest in one pass at C speed, as most mail is.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Iterable, Sequence
from itertools import chain

LINE = 78
"""Characters of a header line, where it can be folded (RFC 5322, 2.1.1)."""

LINE_MAX = 998
"""Octets of any line without its CRLF (RFC 5322, 2.1.1)."""

_WORD = 75  # RFC 2047, 2
_WORD_LINE = 76  # a line that has encoded words
_WORD_FRAME = len("=?utf-8?q??=")
_NAME_WORD = _WORD_LINE - len("Reply-To: ")  # fits behind any header of addresses

_PRINTABLE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_ATOMS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
)
_SPACED_WORD = re.compile(r" *[^ ]+")
_FIRST_SPACE = re.compile(r"(?<! ) ")
_Q_SAFE = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!*+-/"
_Q_CHARACTERS = {code: f"={code:02X}" for code in range(256) if code not in _Q_SAFE}
_Q_CHARACTERS[0x20] = "_"
_PERCENT_SAFE = _Q_SAFE.replace(b"*", b"").replace(b"/", b"") + b"._"
_PERCENT = {code: f"%{code:02X}" for code in range(256) if code not in _PERCENT_SAFE}

_TEXT_BYTES = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F)])
_RISKY_STARTS = (b".", b"From ", b"--=_")
_RISKY_WITHIN = re.compile(rb"\n(?:\.|From |--=_)")
_RISKY_LINE = re.compile(rb"^(?:\.|From ).*(?=\r\n)", re.MULTILINE)
_OVERLONG = re.compile(rb"^(.{74,})(=20|=09)(?=\r\n)", re.MULTILINE)
_BASE64_LINES = struct.Struct("76s" * 64)


def unstructured(name: str, value: str) -> str:
    """
    A header of free text, whole, without its last line end.

    Plain ASCII stays as it is, folded at its spaces. Everything becomes encoded words
    where a reader might else see something else: non-ASCII, what looks like an encoded
    word, space at an end, a word that fits no line.
    """
    if not value:
        return f"{name}:"
    if _PRINTABLE.fullmatch(value) and "=?" not in value:
        line = f"{name}: {value}"
        if len(line) <= LINE:
            return line
        tokens = _SPACED_WORD.findall(value)
        tokens[0] = f"{name}: {tokens[0]}"
        if max(map(len, tokens)) <= LINE:
            return "\r\n".join(_filled(tokens, "", LINE))
    words = encoded_words(value, _WORD_LINE - len(name) - 2, _WORD)
    return f"{name}: " + "\r\n ".join(words)


def folded(tokens: Sequence[str]) -> str:
    """A header line of *tokens* that may not be broken, folded between them."""
    line = " ".join(tokens)
    if len(line) <= _WORD_LINE:
        return line
    return "\r\n ".join(_filled(tokens, " ", _WORD_LINE - 1))


def _filled(tokens: Iterable[str], glue: str, width: int) -> list[str]:
    """As many tokens on each line as fit."""
    lines: list[str] = []
    line = ""
    for token in tokens:
        if not line:
            line = token
        elif len(line) + len(glue) + len(token) <= width:
            line += glue + token
        else:
            lines.append(line)
            line = token
    lines.append(line)
    return lines


def encoded_words(text: str, first: int, rest: int) -> list[str]:
    """
    *text* as encoded words in Q or B, whichever is shorter (RFC 2047).

    The first has at most *first* characters, the others *rest*; no character is
    split over two.
    """
    data = text.encode()
    escapes = len(data.translate(None, _Q_SAFE + b" "))
    if len(data) + 2 * escapes <= (len(data) + 2) // 3 * 4:
        return _q_words(data.decode("latin-1").translate(_Q_CHARACTERS), first, rest)
    return _b_words(data, first, rest)


def _q_words(coded: str, first: int, rest: int) -> list[str]:
    words = []
    start, room = 0, first - _WORD_FRAME
    while start < len(coded):
        end = _whole(coded, start + room, "=")
        words.append(f"=?utf-8?q?{coded[start:end]}?=")
        start, room = end, rest - _WORD_FRAME
    return words


def _b_words(data: bytes, first: int, rest: int) -> list[str]:
    words = []
    start, room = 0, first - _WORD_FRAME
    while start < len(data):
        end = start + room // 4 * 3
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        word = binascii.b2a_base64(data[start:end], newline=False).decode("ascii")
        words.append(f"=?utf-8?b?{word}?=")
        start, room = end, rest - _WORD_FRAME
    return words


def _whole(coded: str, end: int, escape: str) -> int:
    """The last place up to *end* that cuts neither an escape nor a character."""
    if end >= len(coded):
        return len(coded)
    if coded[end - 1] == escape:
        end -= 1
    elif coded[end - 2] == escape:
        end -= 2
    while coded[end] == escape and coded[end + 1] in "89AB":
        end -= 3
    return end


def phrase(name: str) -> list[str]:
    """
    A display name as tokens: bare, in quotes, or as encoded words.

    Quotes wherever they do: some readers get runs of spaces, and whatever takes more
    than one encoded word, wrong within an address.
    """
    if "=?" not in name and _PRINTABLE.fullmatch(name):
        bare = _ATOMS.fullmatch(name)
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        written = name if bare else f'"{escaped}"'
        if len(written) <= _NAME_WORD:
            return [written]
        words = _FIRST_SPACE.split(f'"{escaped}"')
        if max(map(len, words)) <= _NAME_WORD:
            return words
    return encoded_words(name, _NAME_WORD, _NAME_WORD)


def file_name(name: str) -> list[str]:
    """
    A file's name as parameters of Content-Disposition (RFC 2183, RFC 2231).

    In quotes where every reader takes it so, else percent-encoded, and continued
    where it is too long for a line.
    """
    if (
        len(name) <= 60
        and _PRINTABLE.fullmatch(name)
        and not ('"' in name or "\\" in name or "=?" in name or "  " in name)
    ):
        return [f'filename="{name}"']
    coded = name.encode().decode("latin-1").translate(_PERCENT)
    if len(coded) <= 55:
        return [f"filename*=utf-8''{coded}"]
    pieces: list[str] = []
    start = 0
    while start < len(coded):
        end = _whole(coded, start + 50, "%")
        charset = "" if pieces else "utf-8''"
        pieces.append(f"filename*{len(pieces)}*={charset}{coded[start:end]}")
        start = end
    return pieces


def text_body(text: str) -> tuple[str, bytes]:
    """
    The transfer encoding and the octets of a text, which end in CRLF or are empty.

    Any line end becomes CRLF, and the last line gets one. ASCII with lines that fit is
    7bit, the rest quoted-printable or base64, whichever is shorter. No line starts
    with a dot, "From " or a boundary of ours. UnicodeEncodeError for lone surrogates.
    """
    data = _canonical(text.encode())
    escapes = len(data.translate(None, _TEXT_BYTES))
    if not escapes and not _is_risky(data) and lines_fit(data):
        return "7bit", data
    base64_size = (len(data) + 2) // 3 * 4
    base64_size += (base64_size + 75) // 76 * 2
    if len(data) + 2 * escapes <= base64_size:
        quoted = _quoted_printable(data)
        if len(quoted) <= base64_size:
            return "quoted-printable", quoted
    return "base64", base64_body(data)


def _canonical(data: bytes) -> bytes:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    return data.replace(b"\n", b"\r\n")


def _is_risky(data: bytes) -> bool:
    return data.startswith(_RISKY_STARTS) or bool(_RISKY_WITHIN.search(data))


def lines_fit(data: bytes) -> bool:
    """Whether no line is too long: looks at one line end in each thousand octets."""
    start = 0
    while len(data) - start > LINE_MAX:
        start = data.rfind(b"\n", start, start + LINE_MAX + 2) + 1
        if not start:
            return False
    return True


def _quoted_printable(data: bytes) -> bytes:
    """
    *data* in lines of 76 at most (RFC 2045, 6.7).

    `b2a_qp` keeps to CRLF, as the first line of *data* ends in it. It makes lines too
    long by escaping a space at their end, and leaves risky starts: both are mended.
    """
    coded = binascii.b2a_qp(data)
    if b"=20\r" in coded or b"=09\r" in coded:
        coded = _OVERLONG.sub(rb"\1=\r\n\2", coded)
    return _RISKY_LINE.sub(_defused, coded) if _is_risky(coded) else coded


def _defused(line: re.Match[bytes]) -> bytes:
    """The line with its first character escaped, cut in two if it gets too long."""
    text = line[0]
    escaped = b"=%02X" % text[0] + text[1:]
    if len(escaped) <= 76:
        return escaped
    cut = 40
    if b"=" in escaped[cut - 2 : cut]:
        cut = escaped.rindex(b"=", 0, cut)
    tail = _RISKY_LINE.sub(_defused, escaped[cut:] + b"\r\n")[:-2]
    return escaped[:cut] + b"=\r\n" + tail


def base64_body(data: bytes) -> bytes:
    """*data* in base64, in lines of 76 characters (RFC 2045, 6.8)."""
    if not data:
        return b""
    coded = binascii.b2a_base64(data, newline=False)
    blocks = len(coded) - len(coded) % _BASE64_LINES.size
    view = memoryview(coded)
    lines = list(chain.from_iterable(_BASE64_LINES.iter_unpack(view[:blocks])))
    lines += [coded[start : start + 76] for start in range(blocks, len(coded), 76)]
    lines.append(b"")
    return b"\r\n".join(lines)
