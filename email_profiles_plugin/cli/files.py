"""Files that a command is given: documents, texts, attachments; `-` is stdin."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import field, frozen

from .failures import Failure

if TYPE_CHECKING:
    from email_profiles_hookspecs import Attachment

FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)

MOST_JSON = 8 * 1024 * 1024
MOST_TEXT = 25 * 1024 * 1024
MOST_ATTACHED = 110 * 1024 * 1024
"""Octets; base64 makes 147 MiB of them, and a message may have 150."""


@frozen
class Given:
    """A document, and where it was found."""

    source: str
    document: Any = field(repr=False)


def read_documents(paths: Sequence[str]) -> list[Given]:
    """All documents in *paths*, in order; a file holds one, or an array of them."""
    found: list[Given] = []
    for path in paths:
        content = _json(path)
        source = _name(path)
        if isinstance(content, list):
            found += [
                Given(f"{source}[{at}]", document)
                for at, document in enumerate(content)
            ]
        else:
            found.append(Given(source, content))
    return found


def _json(path: str) -> object:
    text = _decoded(_read(path, MOST_JSON), path)
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise Failure(
            f"{_name(path)}: not JSON at line {error.lineno}, column {error.colno}: "
            f"{error.msg}"
        ) from None
    except _Twice as error:
        raise Failure(
            f"{_name(path)}: the name {error} stands twice in one object"
        ) from None
    except (ValueError, RecursionError):
        raise Failure(
            f"{_name(path)}: not JSON: a number that there is not, or nested too deeply"
        ) from None


class _Twice(Exception):
    """Of two properties with one name, only one could be meant."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(repr(name[:40]))
        found[name] = value
    return found


def _no_number(name: str) -> object:
    raise ValueError(name)


def read_text(path: str) -> str:
    """The text in *path*: UTF-8."""
    return _decoded(_read(path, MOST_TEXT), path)


def read_line() -> str:
    """The first line of standard input, without its end; "" where that is closed."""
    if sys.stdin is None:
        return ""
    with click.open_file("-", "rb") as stream:
        line: bytes = stream.readline(MOST_TEXT)
    return _decoded(line, "-").rstrip("\r\n")


def read_attachments(paths: Sequence[str]) -> list[Attachment]:
    """Attachments named as their files are; Failure where they are too much."""
    from email_profiles_hookspecs import Attachment

    left = MOST_ATTACHED
    found: list[Attachment] = []
    for path in paths:
        data = _read(path, MOST_ATTACHED)
        left -= len(data)
        if left < 0:
            raise Failure(
                f"the attachments have more than {MOST_ATTACHED:,} octets together",
                "put big files where the reader can get them, and send a link",
            )
        name = os.fsencode(Path(path).name).decode("utf-8", "replace")
        found.append(Attachment(name=name, data=data))
    return found


def _read(path: str, most: int) -> bytes:
    try:
        with click.open_file(path, "rb") as stream:
            data: bytes = stream.read(most + 1)
    except OSError as error:
        raise Failure(f"{_name(path)} can't be read: {error.strerror}") from error
    if len(data) > most:
        raise Failure(f"{_name(path)} has more than {most:,} octets")
    return data


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(
            f"{_name(path)} is not UTF-8 text: see its octet {error.start}"
        ) from None


def _name(path: str) -> str:
    return "standard input" if path == "-" else path
