"""Cells: what a source may put in a table, in the few types that every format has."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypeGuard
from zoneinfo import ZoneInfo

LONGEST = 32_767
"""Characters in a cell; a spreadsheet has no room for more."""

_KEPT = (str, int, float, Decimal, datetime, date, time, timedelta)


def plain(value: object) -> Any:
    """
    *value* as one of None, bool, int, float, Decimal, str, date, time, timedelta.

    What is none of these is shown as text: bytes as hexadecimal digits, lists and
    objects as JSON, anything else as it says itself.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if type(value) in _KEPT:
        return value[:LONGEST] if isinstance(value, str) else value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[: LONGEST // 2]).hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)[:LONGEST]
    for kind in _KEPT:  # a driver's own number, a subclass with no pickle of its own
        if isinstance(value, kind):
            return _base(value, kind)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return plain(item())  # numpy's scalars
    return str(value)[:LONGEST]


def _base(value: Any, kind: type) -> Any:
    if kind is datetime:
        return datetime.combine(value.date(), value.time(), value.tzinfo)
    if kind is date:
        return date(value.year, value.month, value.day)
    if kind is time:
        return time(value.hour, value.minute, value.second, value.microsecond)
    if kind is timedelta:
        return timedelta(value.days, value.seconds, value.microseconds)
    return kind(str(value) if kind is Decimal else value)


def local(value: datetime, zone: ZoneInfo) -> datetime:
    """A time of day in *zone*; one without a zone stays as it is."""
    return value.astimezone(zone) if value.tzinfo is not None else value


def shown(value: object, zone: ZoneInfo) -> str:
    """
    A cell as a reader sees it, in a page or a mail.

    Times in *zone*, without what is zero at their end; floats to ten digits.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}" if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    if isinstance(value, datetime):
        moment = local(value, zone)
        seconds = ":%S" if moment.second or moment.microsecond else ""
        return moment.strftime(f"%Y-%m-%d %H:%M{seconds}")
    return str(value)


def is_number(value: object) -> TypeGuard[int | float | Decimal]:
    """It is set in a column of numbers."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def printable(text: str) -> str:
    """*text* without the control characters that no XML and no page may hold."""
    if text.isprintable():
        return text
    return "".join(
        one
        if one in "\t\n\r"
        or (
            one >= " "
            and not "\x7f" <= one <= "\x9f"
            and not "\ud800" <= one <= "\udfff"
            and one not in "\ufffe\uffff"
        )
        else "\ufffd"
        for one in text
    )
