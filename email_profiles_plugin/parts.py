"""
A request's texts and attachments as MIME parts, in the few shapes that exist.

    mixed( alternative( text, related( html, inline images ) ), attachments )

without the levels that would hold one part only (RFC 2046, 5.1; RFC 2387).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from email_profiles_hookspecs import Attachment, Problem, SendRequest

from .addresses import shown, unsafe
from .encodings import base64_body, file_name, folded, text_body
from .media_types import OCTET_STREAM, content_type

Part = tuple[str, list[bytes]]
"""A part's header, without its last line end, and the pieces of its body."""

_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
_TOKEN = r"[A-Za-z0-9!#$%&'*+^_`{|}~.-]+"
_CONTENT_TYPE = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?: *; *{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*"))*'
)
_CONTENT_TYPE_MAX = 400
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+')
_DATA = (bytes, bytearray, memoryview)


def content(
    request: SendRequest,
    digest: str,
    content_types: Mapping[str, str],
    problems: list[Problem],
) -> Part:
    """
    All of *request*'s content as one part; adds what is wrong to *problems*.

    *digest* names the boundaries. They start with `=_`, which neither base64 nor
    quoted-printable ever has, and a 7bit line that looks like one is encoded.
    """
    inline, attached = _attachments(request, content_types, problems)
    shapes: list[Part] = []
    if request.text is not None or request.html is None:
        shapes.append(_text("$.text", request.text or "", "plain", problems))
    if request.html is not None:
        html = _text("$.html", request.html, "html", problems)
        if inline:
            related = 'related; type="text/html"'
            html = _multipart(related, f"=_r_{digest}", [html, *inline])
        shapes.append(html)
    body = shapes[0]
    if len(shapes) > 1:
        body = _multipart("alternative", f"=_a_{digest}", shapes)
    if attached:
        body = _multipart("mixed", f"=_m_{digest}", [body, *attached])
    return body


def _text(path: str, text: str, subtype: str, problems: list[Problem]) -> Part:
    try:
        encoding, body = text_body(text)
    except UnicodeEncodeError as error:
        message = f"has a lone surrogate at character {error.start + 1}"
        problems.append(Problem(path=path, message=message, remedy="send text"))
        encoding, body = "7bit", b""
    except (AttributeError, TypeError):
        problems.append(Problem(path=path, message="is not text"))
        encoding, body = "7bit", b""
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encoding}"
    ), [body]


def _multipart(subtype: str, boundary: str, parts: Sequence[Part]) -> Part:
    pieces: list[bytes] = []
    for header, body in parts:
        pieces.append(f"--{boundary}\r\n{header}\r\n\r\n".encode())
        pieces += body
        pieces.append(b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"', pieces


def _attachments(
    request: SendRequest, content_types: Mapping[str, str], problems: list[Problem]
) -> tuple[list[Part], list[Part]]:
    """The parts shown within the HTML, and the others."""
    inline: list[Part] = []
    attached: list[Part] = []
    seen: set[str] = set()
    for index, attachment in enumerate(request.attachments):
        mistakes = list(_mistakes(attachment, f"$.attachments[{index}]"))
        if attachment.content_id is not None and attachment.content_id in seen:
            mistakes.append(
                Problem(
                    path=f"$.attachments[{index}].content_id",
                    message="another attachment has it",
                    remedy="give each inline image its own",
                )
            )
        seen.add(attachment.content_id or "")
        if mistakes:
            problems += mistakes
            continue
        shown_inline = attachment.content_id is not None and request.html is not None
        part = _attachment(attachment, shown_inline, content_types)
        (inline if shown_inline else attached).append(part)
    return inline, attached


def _attachment(
    attachment: Attachment, inline: bool, content_types: Mapping[str, str]
) -> Part:
    kind = attachment.content_type or content_type(attachment.name, content_types)
    if kind.lower().startswith(("message/", "multipart/")):
        kind = OCTET_STREAM  # neither may be base64 (RFC 2046, 5; RFC 2045, 6.4)
    disposition = "inline" if inline else "attachment"
    header = [
        _typed(kind),
        "Content-Transfer-Encoding: base64",
        ";\r\n ".join(
            (f"Content-Disposition: {disposition}", *file_name(attachment.name))
        ),
    ]
    if attachment.content_id is not None:
        header.append(f"Content-ID: <{attachment.content_id}>")
    return "\r\n".join(header), [base64_body(attachment.data)]


def _typed(kind: str) -> str:
    if ";" not in kind:
        return f"Content-Type: {kind}"
    found = [parameter.strip(" ") for parameter in _PARAMETER.findall(kind)]
    first, *others = [f"{parameter};" for parameter in found[:-1]] + found[-1:]
    return folded([f"Content-Type: {first}", *others])


def _mistakes(attachment: Attachment, path: str) -> list[Problem]:
    found: list[Problem] = []

    def add(member: str, message: str, remedy: str = "") -> None:
        problem = Problem(path=f"{path}.{member}", message=message, remedy=remedy)
        found.append(problem)

    name, kind, cid = attachment.name, attachment.content_type, attachment.content_id
    if not isinstance(name, str) or not name:
        add("name", "is empty", "give the file a name")
    elif wrong := unsafe(name):
        add("name", f"{shown(name)} {wrong}", "remove it")
    if not isinstance(attachment.data, _DATA):
        add("data", "is not bytes", "encode the text, or read the file as bytes")
    if kind is not None and (
        not isinstance(kind, str)
        or unsafe(kind)
        or not kind.isascii()
        or len(kind) > _CONTENT_TYPE_MAX
        or not _CONTENT_TYPE.fullmatch(kind)
    ):
        add("content_type", f"{_quoted(kind)} is no content type", "write type/subtype")
    if cid is not None and (not isinstance(cid, str) or not _CONTENT_ID.fullmatch(cid)):
        add(
            "content_id",
            f"{_quoted(cid)} is no content id",
            "use 1 to 200 printable ASCII characters, no spaces or angle brackets",
        )
    return found


def _quoted(value: object) -> str:
    return shown(value) if isinstance(value, str) else type(value).__name__
