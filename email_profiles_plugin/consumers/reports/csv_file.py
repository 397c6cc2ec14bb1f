"""CSV: text for machines, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TextIO
from zoneinfo import ZoneInfo

from .cells import local

DANGEROUS = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20", *"\t\r\n")
"""
What begins a formula in one spreadsheet or another (OWASP, CSV injection); = + - @
may be full-width.
"""

_INNER = re.compile(r"""([;,\t\r\n]"*)([^;,\t\r\n]*)""")
"""What is a cell of its own where a spreadsheet takes another separator."""

_LONE = re.compile("[\ud800-\udfff]")
"""Surrogates, which UTF-8 has no octets for."""


def write_csv(
    out: TextIO,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    delimiter: str,
    guard: bool,
    zone: ZoneInfo,
) -> None:
    """
    Write lines that end in CR LF (RFC 4180), with the names of the columns first.

    Numbers are written as they are, with a decimal point; dates and times as ISO 8601
    has them, in *zone*. *guard*: an apostrophe goes before text that a spreadsheet
    would take for a formula, also within a cell, where its separator may be another.
    """
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    for row in (columns, *()):
        writer.writerow([_text(cell, guard, zone) for cell in row])
    writer.writerows([_text(cell, guard, zone) for cell in row] for row in rows)


def _text(value: object, guard: bool, zone: ZoneInfo) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return local(value, zone).isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        text = _LONE.sub("\ufffd", value.replace("\0", ""))
        return _guarded(text) if guard else text
    return value


def _guarded(text: str) -> str:
    """An apostrophe before it, and before each part of it, that is a formula."""
    inner = _INNER.sub(
        lambda found: f"{found[1]}'{found[2]}" if _is_formula(found[2]) else found[0],
        text,
    )
    return f"'{inner}" if _is_formula(text) else inner


def _is_formula(text: str) -> bool:
    """A spreadsheet might run it; a plain number such as -5.2 it only reads."""
    if not text.startswith(DANGEROUS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return text != text.strip()
