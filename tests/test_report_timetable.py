"""When reports are due: cron expressions, over two years of months and clocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_plugin.consumers.reports.cron import read_cron
from email_profiles_plugin.consumers.reports.timetable import Timetable

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)


def firings(
    cron: str, zone: str = "UTC", begin: datetime = BEGIN, end: datetime = END
) -> Iterator[datetime]:
    timetable = Timetable.read(cron, zone)
    moment = timetable.after(begin - timedelta(seconds=1))
    while moment is not None and moment < end:
        yield moment
        moment = timetable.after(moment)


def shown(cron: str, zone: str, begin: str, count: int) -> list[str]:
    """The first firings from *begin* on, as the clock on the wall has them."""
    found = firings(cron, zone, datetime.fromisoformat(begin))
    return [f"{next(found):%m-%d %H:%M%z}" for _ in range(count)]


@pytest.mark.parametrize(
    ("cron", "first"),
    [
        ("0 7 * * 1", "Mon"),
        ("0 7 * * mon", "Mon"),
        ("0 7 * * 0", "Sun"),
        ("0 7 * * 7", "Sun"),
        ("0 7 * * sun", "Sun"),
        ("0 7 * * 5", "Fri"),
        ("0 7 * * 6", "Sat"),
        ("@weekly", "Sun"),
    ],
)
def test_monday_is_monday(cron: str, first: str) -> None:
    """Weekdays are counted as cron counts them, and APScheduler does not."""
    found = {f"{moment:%a}" for moment in firings(cron, end=MARCH)}

    assert {first} == found


def test_the_trap_is_still_there() -> None:
    """APScheduler's own reading of `1` is Tuesday; else cron.py could be simpler."""
    trigger = CronTrigger.from_crontab("0 7 * * 1", timezone=UTC)
    found = trigger.get_next_fire_time(None, BEGIN)

    assert "Tue" == f"{found:%a}"


@pytest.mark.parametrize(
    ("weekday", "days"),
    [
        ("1-5", "Mon Tue Wed Thu Fri"),
        ("mon-fri", "Mon Tue Wed Thu Fri"),
        ("fri-mon", "Mon Fri Sat Sun"),
        ("5-7", "Fri Sat Sun"),
        ("*/2", "Tue Thu Sat Sun"),
        ("1-5/2", "Mon Wed Fri"),
        ("0,3", "Wed Sun"),
        ("sun-tue,sat", "Mon Tue Sat Sun"),
    ],
)
def test_ranges_of_weekdays(weekday: str, days: str) -> None:
    """Ranges, steps and lists, also over Sunday."""
    found = {each.weekday() for each in firings(f"0 7 * * {weekday}", end=MARCH)}
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

    assert days.split() == [names[each] for each in sorted(found)]


def every_day() -> Iterator[date]:
    day = BEGIN.date()
    while day < END.date():
        yield day
        day += timedelta(days=1)


def last_of_month(day: date) -> bool:
    return (day + timedelta(days=1)).month != day.month


def second_friday(day: date) -> bool:
    return day.weekday() == 4 and 8 <= day.day <= 14


@pytest.mark.parametrize(
    ("cron", "is_day"),
    [
        ("0 6 1 * *", lambda day: day.day == 1),
        ("0 6 1 12 *", lambda day: (day.day, day.month) == (1, 12)),
        ("0 6 31 * *", lambda day: day.day == 31),
        ("0 6 L * *", last_of_month),
        ("0 6 29 2 *", lambda day: (day.day, day.month) == (29, 2)),
        ("0 6 15,L nov-feb *", lambda day: (
            day.month in (11, 12, 1, 2) and (day.day == 15 or last_of_month(day)))),
        ("0 6 * * fri#2", second_friday),
        ("0 6 * * friL", lambda day: (
            day.weekday() == 4 and (day + timedelta(days=7)).month != day.month)),
        ("0 6 1 * mon", lambda day: day.day == 1 or day.weekday() == 0),
        ("0 6 1-7 * *", lambda day: day.day <= 7),
        ("0 6 */10 * mon", lambda day: (
            day.day in (1, 11, 21, 31) and day.weekday() == 0)),
        ("@monthly", lambda day: day.day == 1),
        ("@yearly", lambda day: (day.day, day.month) == (1, 1)),
        ("0 6 * jan,jul *", lambda day: day.month in (1, 7)),
    ],
)  # fmt: skip
def test_days_over_two_years(cron: str, is_day: Callable[[date], bool]) -> None:
    """Month ends, December and leap days are as the calendar has them, each once."""
    wanted = [day for day in every_day() if is_day(day)]

    assert wanted == [moment.date() for moment in firings(cron)]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize("hour", [0, 2])
def test_once_a_day_is_once_a_day(zone: str, hour: int) -> None:
    """No day of two years is left out or made twice, whatever the clock does."""
    begin, end = (each.replace(tzinfo=ZoneInfo(zone)) for each in (BEGIN, END))
    found = [each.date() for each in firings(f"30 {hour} * * *", zone, begin, end)]

    assert [*every_day()] == found


@pytest.mark.parametrize("month", [3, 10])
def test_each_hour_is_each_hour(month: int) -> None:
    """What goes by the hour fires every 60 minutes, also when the clock is set."""
    begin, end = (datetime(2026, each, 1, tzinfo=UTC) for each in (month, month + 1))
    hours = firings("30 * * * *", "Europe/Berlin", begin, end)
    found = [one.astimezone(UTC) for one in hours]
    steps = {later - earlier for earlier, later in pairwise(found)}

    assert (31 * 24, {timedelta(hours=1)}) == (len(found), steps)


@pytest.mark.parametrize(
    ("cron", "begin", "wanted"),
    [
        ("30 2 * * *", "2026-03-28T12:00+01:00",
         ["03-29 03:30+0200", "03-30 02:30+0200"]),
        ("30 2 * * *", "2026-10-24T12:00+02:00",
         ["10-25 02:30+0200", "10-26 02:30+0100"]),
        ("30 2,3 * * *", "2026-03-29T00:00+01:00",
         ["03-29 03:30+0200", "03-30 02:30+0200", "03-30 03:30+0200"]),
        ("*/30 * * * *", "2026-10-25T02:15+02:00",
         ["10-25 02:30+0200", "10-25 02:00+0100", "10-25 02:30+0100",
          "10-25 03:00+0100"]),
        ("*/30 * * * *", "2026-03-29T01:15+01:00",
         ["03-29 01:30+0100", "03-29 03:00+0200", "03-29 03:30+0200",
          "03-29 04:00+0200"]),
        ("0 0 * * *", "2026-03-28T12:00+01:00",
         ["03-29 00:00+0100", "03-30 00:00+0200"]),
    ],
)  # fmt: skip
def test_when_the_clock_is_set(cron: str, begin: str, wanted: list[str]) -> None:
    """A time that is skipped comes as late; one that comes twice fires once."""
    assert wanted == shown(cron, "Europe/Berlin", begin, len(wanted))


def test_a_half_hour_zone() -> None:
    """Lord Howe Island sets its clock by half an hour."""
    begin, end = (
        datetime(2026, month, 1, tzinfo=ZoneInfo("Australia/Lord_Howe"))
        for month in (3, 11)
    )
    found = [
        each.date() for each in firings("15 2 * * *", "Australia/Lord_Howe", begin, end)
    ]

    assert (end.date() - begin.date()).days == len({*found}) == len(found)


def test_seconds() -> None:
    """A sixth field, before the others, has seconds."""
    end = BEGIN + timedelta(minutes=1)

    assert [0, 20, 40] == [each.second for each in firings("*/20 * * * * *", end=end)]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "does not have five fields, or six with seconds before them"),
        ("* * * *", "does not have five fields, or six with seconds before them"),
        ("60 * * * *", "minute: 60 is more than 59"),
        ("0 24 * * *", "hour: 24 is more than 23"),
        ("0 0 0 * *", "day of month: 0 is less than 1"),
        ("0 0 * 13 *", "month: 13 is more than 12"),
        ("0 0 * * 8", "day of week: 8 is more than 7"),
        ("0 0 * * someday", "day of week: 'someday' is not understood"),
        ("0 0 * * fri#6", "day of week: 'fri#6' is not understood"),
        ("0 0 5-1 * *", "day of month: '5-1' runs backwards"),
        ("*/0 * * * *", "minute: a step has to be 1 or more"),
        ("*-5 * * * *", "minute: '*-5' is not understood"),
        ("0 0 */2 * fri#2", "day of week: # and L do not go with a step in the days"),
        ("0 0 30 2 *", "never comes: no month has such a day"),
        ("0 0 31 4,6,9,11 *", "never comes: no month has such a day"),
        ("1" * 200 + " * * * *", "minute: 111111111 is more than 59"),
    ],
)
def test_what_is_no_cron_expression(cron: str, said: str) -> None:
    """The field is named, and what is wrong with it."""
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Timetable.read(cron, "UTC")


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berln", "there is no time zone 'Europe/Berln'; did you mean"
                         " Europe/Berlin?"),
        ("../../etc/passwd", "there is no time zone '../../etc/passwd'"),
        ("\0", "there is no time zone '\\x00'"),
    ],
)  # fmt: skip
def test_what_is_no_time_zone(zone: str, said: str) -> None:
    """What is near is offered."""
    with pytest.raises(ValueError, match="there is no time zone") as refused:
        Timetable.read("0 0 * * *", zone)

    assert said == str(refused.value)


MOMENTS = st.datetimes(
    datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)
)
CRONS = st.sampled_from(
    ["*/7 * * * *", "30 2 * * *", "0 */5 * * *", "15 1-3 * * mon", "0 2 L * *"]
)
ZONES = st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "UTC"])


@settings(max_examples=80, deadline=None)
@given(cron=CRONS, zone=ZONES, moment=MOMENTS)
def test_before_and_after_are_neighbours(
    cron: str, zone: str, moment: datetime
) -> None:
    """Between the firing before a moment and the one after it there is none."""
    timetable = Timetable.read(cron, zone)
    before, after = timetable.before(moment), timetable.after(moment)

    assert before is not None
    assert after is not None
    assert before < moment < after
    following = timetable.after(before)
    assert following is not None
    assert following in (after, moment)


def test_what_was_missed() -> None:
    """Of all that were missed the last is told, and how many they were."""
    timetable = Timetable.read("0 6 * * *", "Europe/Berlin")
    since = datetime(2026, 11, 1, 6, tzinfo=BERLIN)
    noon = datetime(2026, 11, 24, 12, tzinfo=BERLIN)

    assert (noon.replace(hour=6), 23) == timetable.missed(since, noon)
    assert (None, 0) == timetable.missed(since, since + timedelta(hours=1))
    assert 1000 == Timetable.read("* * * * *", "UTC").missed(since, noon)[1]


def test_never_again() -> None:
    """A leap day is found, years before and years after."""
    leap = Timetable.read("0 0 29 2 *", "UTC")

    assert datetime(2028, 2, 29, tzinfo=UTC) == leap.after(BEGIN)
    assert datetime(2024, 2, 29, tzinfo=UTC) == leap.before(BEGIN)
    assert "0 0 29 2 *" == read_cron("0 0 29 2 *").expression
