"""
Cron expressions, read as cron reads them.

APScheduler counts weekdays from Monday and joins the two day fields with *and*; cron
counts them from Sunday and joins them with *or*. What leaves here is unmistakable:
weekdays are names, and each day rule stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import frozen

MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_ITEM = re.compile(r"(?P<low>\*|\w+)(?:-(?P<high>\w+))?(?:/(?P<step>\d{1,9}))?")
_POSITION = re.compile(r"(?P<day>\w+)#(?P<number>[1-5])|(?P<last>\w+)l")
_ORDINALS = ("", "1st", "2nd", "3rd", "4th", "5th")


@frozen
class _Field:
    """What a field may hold; *names* stand for numbers from *least* on."""

    title: str
    least: int
    most: int
    names: tuple[str, ...] = ()


_SECOND = _Field("second", 0, 59)
_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, MONTHS)
_WEEKDAY = _Field("day of week", 0, 7, WEEKDAYS)


@frozen
class Cron:
    """
    A cron expression: the fields of APScheduler's triggers, any of which may fire.

    *hourly*: it goes by hours that pass rather than by hours of the day, as its hour
    begins with `*`.
    """

    expression: str
    triggers: tuple[Mapping[str, str], ...]
    hourly: bool


def read_cron(expression: str) -> Cron:
    """
    Read five fields, six with seconds before them, or a shorthand such as @daily.

    The day of month may be `L`, the month's last; a day of week `fri#2`, the second
    Friday, or `friL`, the last. ValueError says which field is wrong, and how.
    """
    text = expression.strip().lower()
    fields = SHORTHANDS.get(text, text).split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6:
        raise ValueError("does not have five fields, or six with seconds before them")
    second, minute, hour, day, month, weekday = fields
    clock = {
        "month": _listed(month, _MONTH),
        "hour": _listed(hour, _HOUR),
        "minute": _listed(minute, _MINUTE),
        "second": _listed(second, _SECOND),
    }
    days = tuple(_days(day, weekday))
    return Cron(
        expression=expression,
        triggers=tuple({**one, **clock} for one in days),
        hourly=hour.startswith("*"),
    )


def _days(day: str, weekday: str) -> Iterator[dict[str, str]]:
    """The rules for the day; with two that each restrict it, either will do."""
    of_month = "*" if day == "*" else _days_of_month(day)
    names, positions = ("*", "") if weekday == "*" else _days_of_week(weekday)
    if weekday == "*":
        yield {"day": of_month}
    elif day != "*" and (day.startswith("*") or weekday.startswith("*")):
        if positions:
            raise ValueError("day of week: # and L do not go with a step in the days")
        yield {"day": of_month, "day_of_week": names}  # as cron has it: both hold
    else:
        if day != "*":
            yield {"day": of_month}
        if names:
            yield {"day_of_week": names}
        if positions:
            yield {"day": positions}


def _days_of_month(text: str) -> str:
    parts = text.split(",")
    others = [one for one in parts if one != "l"]
    found = [_listed(",".join(others), _DAY)] if others else []
    return ",".join(found + ["last"] * (len(others) < len(parts)))


def _days_of_week(text: str) -> tuple[str, str]:
    """Names of days, and positions in the month (`2nd fri`); either may be empty."""
    names, positions = list[str](), list[str]()
    for part in text.split(","):
        if placed := _POSITION.fullmatch(part):
            day = WEEKDAYS[_number(placed["day"] or placed["last"], _WEEKDAY) % 7]
            which = _ORDINALS[int(placed["number"])] if placed["number"] else "last"
            positions.append(f"{which} {day}")
        else:
            names += [WEEKDAYS[one % 7] for one in _numbers(part, _WEEKDAY)]
    return ",".join(dict.fromkeys(names)), ",".join(dict.fromkeys(positions))


def _listed(text: str, field: _Field) -> str:
    """*text* as APScheduler has it: `*`, or every number."""
    if text == "*":
        return text
    numbers = {one for part in text.split(",") for one in _numbers(part, field)}
    return ",".join(map(str, sorted(numbers)))


def _numbers(part: str, field: _Field) -> list[int]:
    """What one item of a list stands for; nov-feb and fri-mon go around."""
    item = _ITEM.fullmatch(part)
    if item is None or (item["low"] == "*" and item["high"]):
        raise ValueError(f"{field.title}: {part[:20]!r} is not understood")
    step = int(item["step"] or 1)
    if step < 1:
        raise ValueError(f"{field.title}: a step has to be 1 or more")
    if item["low"] == "*":
        most = 6 if field is _WEEKDAY else field.most
        return list(range(field.least, most + 1, step))
    low = _number(item["low"], field)
    high = _number(item["high"], field) if item["high"] else low
    if item["step"] and not item["high"]:
        high = field.most  # as cron has it: 5/15 is 5-59/15
    around = len(field.names)
    if high < low and not around:
        raise ValueError(f"{field.title}: {part[:20]!r} runs backwards")
    if high < low:
        high += around
        found = range(low, high + 1, step)
        return [(one - field.least) % around + field.least for one in found]
    return list(range(low, high + 1, step))


def _number(text: str, field: _Field) -> int:
    if text[:3] in field.names and len(text) == 3:
        return field.names.index(text) + field.least
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{field.title}: {text[:20]!r} is not understood")
    number = int(text[:9])
    if not field.least <= number <= field.most:
        size = "more" if number > field.most else "less"
        limit = field.most if number > field.most else field.least
        raise ValueError(f"{field.title}: {number} is {size} than {limit}")
    return number
