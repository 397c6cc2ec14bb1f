"""The timetable: at which moments a cron expression fires, in a time zone."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from attrs import field, frozen

from .cron import Cron, read_cron

MOST_COUNTED = 1000
"""So many firings that were missed are counted; of more it is said that there are."""

_TICK = timedelta(microseconds=1)
_NEAR = timedelta(hours=3)
_LOOKS = (
    timedelta(seconds=60),
    *(timedelta(days=each) for each in (1 / 24, 1, 8, 32, 367, 9 * 366)),
)


@frozen(kw_only=True)
class Timetable:
    """
    When a report is due.

    Twice a year the clock is set. A time of day that it skips counts as if it had not
    been set yet (02:30 comes at 03:30), so that no day is left out. A time of day that
    comes twice fires the first time; only what goes by the hour (`*` as the hour)
    fires both times.
    """

    cron: Cron
    zone: ZoneInfo
    _triggers: tuple[Any, ...] = field(repr=False, alias="triggers")

    @classmethod
    def read(cls, expression: str, timezone: str) -> Timetable:
        """The timetable of a cron expression; ValueError says what is wrong."""
        from apscheduler.triggers.cron import CronTrigger

        cron, zone = read_cron(expression), read_zone(timezone)
        # On the face of a clock that nobody sets; _moments sets it.
        made = tuple(CronTrigger(**one, timezone=UTC) for one in cron.triggers)
        found = cls(cron=cron, zone=zone, triggers=made)
        if next(found._faces(datetime(2024, 1, 1)), None) is None:
            raise ValueError("never comes: no month has such a day")
        return found

    def after(self, moment: datetime) -> datetime | None:
        """The first firing after *moment*, in the time zone."""
        slack = self._slack(moment)
        face = moment.astimezone(self.zone).replace(tzinfo=None)
        best: datetime | None = None
        for each in self._faces(face - slack):
            if best is not None:
                shown = best.astimezone(self.zone).replace(tzinfo=None)
                if each > shown + self._slack(best):
                    break
            for one in self._moments(each):
                if one > moment and (best is None or one < best):
                    best = one
        return best.astimezone(self.zone) if best else None

    def before(self, moment: datetime) -> datetime | None:
        """The last firing before *moment*; None for none in nine years."""
        for look in _LOOKS:
            found = self.after(moment - look)
            if found is None or found >= moment:
                continue
            while (later := self.after(found)) is not None and later < moment:
                found = later
            return found
        return None

    def missed(self, since: datetime, until: datetime) -> tuple[datetime | None, int]:
        """The last firing after *since*, not after *until*; how many there were."""
        last = self.before(until + _TICK)
        if last is None or last <= since:
            return None, 0
        count, each = 1, self.after(since)
        while each is not None and each < last and count < MOST_COUNTED:
            count, each = count + 1, self.after(each)
        return last, count

    def _faces(self, start: datetime) -> Iterator[datetime]:
        """What the clock shows at each firing from *start* on, as if never set."""
        while True:
            marked = start.replace(tzinfo=UTC)
            found = [one.get_next_fire_time(None, marked) for one in self._triggers]
            ahead = [one for one in found if one is not None]
            if not ahead:
                return
            face = min(ahead).replace(tzinfo=None)
            yield face
            start = face + _TICK

    def _moments(self, face: datetime) -> Iterator[datetime]:
        """When the clock shows *face*, in UTC."""
        first = face.replace(tzinfo=self.zone)
        yield first.astimezone(UTC)
        again = first.replace(fold=1)
        if self.cron.hourly and again.astimezone(UTC) > first.astimezone(UTC):
            yield again.astimezone(UTC)  # else it comes once, or not at all

    def _slack(self, moment: datetime) -> timedelta:
        """By how much the clock is set within hours of *moment*."""
        offsets = [
            (moment.astimezone(UTC) + each).astimezone(self.zone).utcoffset()
            or timedelta()
            for each in (-_NEAR, _NEAR)
        ]
        return abs(offsets[1] - offsets[0])


def read_zone(name: str) -> ZoneInfo:
    """The time zone called *name* (IANA); ValueError for none, with what is near."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        known = sorted(available_timezones())
        near = difflib.get_close_matches(name[:64], known, n=1, cutoff=0.7)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"there is no time zone {name[:64]!r}{hint}") from None
