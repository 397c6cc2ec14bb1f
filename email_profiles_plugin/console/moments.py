"""Moments: a time as pages show it, with how far away it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
"""Names and seconds, the longest first."""

LEAST = 2
"""Of days, hours and minutes so many at least; fewer are told in the next unit."""


def aware(moment: datetime | float) -> datetime:
    """Seconds since 1970, or an aware time, as the latter in UTC."""
    if isinstance(moment, datetime):
        return moment.astimezone(UTC)
    return datetime.fromtimestamp(moment, UTC)


def iso(moment: datetime | float) -> str:
    """As programs read it: ISO 8601, to the second."""
    return aware(moment).isoformat(timespec="seconds")


def readable(moment: datetime | float) -> str:
    """As a person reads it, to the second."""
    return aware(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def distance(moment: datetime | float, now: datetime) -> str:
    """How far *moment* is from *now*: `in 42 minutes`, `3 days ago`, `now`."""
    seconds = (aware(moment) - now).total_seconds()
    whole = round(abs(seconds))
    for name, size in UNITS:
        count = whole // size
        if count >= (LEAST if size > 1 else 1):
            told = f"{count} {name}{'' if count == 1 else 's'}"
            return f"in {told}" if seconds > 0 else f"{told} ago"
    return "now"


FILTERS: Mapping[str, Callable[..., str]] = {
    "iso": iso,
    "readable": readable,
    "distance": distance,
}
"""What templates may ask for by name."""
