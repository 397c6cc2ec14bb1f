"""The values of a report: what it is made of, and for which occasion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen


def _names(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str | bytes):
        raise TypeError("columns has to be a list of names, not one name")
    return tuple(value)


@frozen
class Table:
    """
    Columns and rows; *rows* may be any iterable, and is read once.

    A cell may be text, a number (Decimal too), true or false, a date, a time, a
    datetime, a timedelta, or None. Anything else is shown as its text.
    """

    columns: tuple[str, ...] = field(converter=_names)
    rows: Iterable[Sequence[object]] = field(repr=False)


@frozen(kw_only=True)
class Occasion:
    """
    What a report is made for: a firing of its schedule, or *now* when it was asked for.

    *previous_at* is the firing before, so that a report may cover what came since;
    both are in the schedule's time zone.
    """

    schedule: str
    scheduled_at: datetime
    previous_at: datetime | None
    parameters: Mapping[str, Any]


BUILT_IN = ("scheduled_at", "previous_at")
"""Parameters that every query may name beside its own."""
