"""Patterns of dates and numbers as Java has them: `HH:mm:ss`, `#,##0.00`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
_RUN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|'|[^A-Za-z']+")
_NUMBER = re.compile(r"([#,]*)([0,]*)(?:\.(0*)(#*))?")
_EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
"""Wide enough for the largest number that is written out, with all its places."""
_THOUSANDS = re.compile(r"(?<=\d)(?=(?:\d{3})+$)")


def _digits(number: int, size: int) -> str:
    return str(number).zfill(size)


def _offset(moment: datetime, colon: str) -> str:
    minutes = (moment.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, left = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}{colon}{left:02}"


_LETTERS: Mapping[str, Callable[[datetime, int], str]] = {
    "y": lambda at, n: _digits(at.year % 100, 2) if n == 2 else _digits(at.year, n),
    "M": lambda at, n: (
        _digits(at.month, n) if n < 3 else _MONTHS[at.month - 1][: 3 if n == 3 else 9]
    ),
    "d": lambda at, n: _digits(at.day, n),
    "D": lambda at, n: _digits(at.timetuple().tm_yday, n),
    "E": lambda at, n: _DAYS[at.weekday()][: 3 if n < 4 else 9],
    "u": lambda at, n: _digits(at.isoweekday(), n),
    "a": lambda at, n: "AM" if at.hour < 12 else "PM",
    "H": lambda at, n: _digits(at.hour, n),
    "k": lambda at, n: _digits(at.hour or 24, n),
    "K": lambda at, n: _digits(at.hour % 12, n),
    "h": lambda at, n: _digits(at.hour % 12 or 12, n),
    "m": lambda at, n: _digits(at.minute, n),
    "s": lambda at, n: _digits(at.second, n),
    "S": lambda at, n: _digits(at.microsecond // 1000, n),
    "z": lambda at, n: at.tzname() or "",
    "Z": lambda at, n: _offset(at, ""),
    "X": lambda at, n: _offset(at, ":") if at.utcoffset() else "Z",
}
"""Of java.text.SimpleDateFormat: what *n* times the letter stands for."""


def date_pattern_mistake(pattern: str) -> str:
    """What is wrong with a pattern of a date and time; "" if nothing."""
    for run in _RUN.finditer(pattern):
        if run[0] == "'":
            return "has a quote that is not closed"
        if run[2] is not None and run[2] not in _LETTERS:
            return f"has {run[2]}, which stands for nothing in a date"
    return ""


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """*moment* as clocks in *zone* show it; in UTC where they can't, as in year 1."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.astimezone(UTC)


def format_date(moment: datetime, pattern: str) -> str:
    """*moment* by *pattern*; text in single quotes stands for itself, '' for one."""
    return "".join(_pieces(moment, pattern))


def _pieces(moment: datetime, pattern: str) -> Iterator[str]:
    for run in _RUN.finditer(pattern):
        if run[1] is not None:
            yield run[1].replace("''", "'") or "'"
        elif run[2] is not None:
            yield _LETTERS[run[2]](moment, len(run[0]))
        else:
            yield run[0]


def is_number_pattern(pattern: str) -> bool:
    """Whether it is one of `0`, `#,##0.00`, `0.0#` and their like."""
    return bool(re.search("[0#]", pattern)) and _NUMBER.fullmatch(pattern) is not None


def format_number(value: float, pattern: str) -> str:
    """*value* rounded (half to even) and written by *pattern*."""
    found = _NUMBER.fullmatch(pattern)
    assert found is not None
    whole, wanted = found[1] + found[2], found[3] or ""
    most = len(wanted) + len(found[4] or "")
    number = Decimal(str(value))
    if number.is_nan() or number.is_infinite() or number.adjusted() > 40:
        return str(value)
    rounded = number.quantize(Decimal(1).scaleb(-most), context=_EXACT)
    before, _, after = f"{abs(rounded):f}".partition(".")
    least = found[2].count("0")
    before = before.lstrip("0").rjust(least, "0")
    if "," in whole:
        before = _THOUSANDS.sub(",", before)
    after = after.rstrip("0").ljust(len(wanted), "0")
    sign = "-" if rounded < 0 else ""
    return sign + (before or ("" if after else "0")) + (f".{after}" if after else "")
