"""Schedules: when somebody is on call, by the clock on the wall of a place."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen

DAYS = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
"""In the order of datetime.weekday()."""

MIDNIGHT = 24 * 60


@frozen(kw_only=True)
class Hours:
    """
    Hours on some days of the week, in minutes since midnight.

    Where *end* is not after *start*, they reach into the next day: they belong to the
    day on which they begin.
    """

    days: frozenset[int]
    start: int
    end: int


@frozen(kw_only=True)
class Schedule:
    """
    Hours by the wall clock of *zone*; none begin on *holidays*.

    By the wall clock: on a night in which clocks change, a shift from 22:00 to 06:00
    has seven hours, or nine.
    """

    name: str
    zone: ZoneInfo
    hours: tuple[Hours, ...]
    holidays: frozenset[date] = frozenset()


def on_duty(schedule: Schedule, moment: datetime) -> bool:
    """Whether *moment*, aware, is within the schedule; its end is not."""
    local = moment.astimezone(schedule.zone)
    minute = local.hour * 60 + local.minute
    today, yesterday = local.date(), local.date() - timedelta(days=1)
    return any(
        hours.start <= minute < _end(hours) for hours in _beginning_on(schedule, today)
    ) or any(
        minute + MIDNIGHT < _end(hours) for hours in _beginning_on(schedule, yesterday)
    )


def _beginning_on(schedule: Schedule, day: date) -> Iterable[Hours]:
    if day in schedule.holidays:
        return
    for hours in schedule.hours:
        if day.weekday() in hours.days:
            yield hours


def _end(hours: Hours) -> int:
    """In minutes since the midnight before they begin."""
    return hours.end + (0 if hours.end > hours.start else MIDNIGHT)


def minutes(text: str) -> int:
    """`18:30` as minutes since midnight; `24:00` is the end of the day."""
    if text == "24:00":
        return MIDNIGHT
    read = time.fromisoformat(text)
    return read.hour * 60 + read.minute
