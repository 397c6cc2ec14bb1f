"""Values as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime | float) -> str:
    """A time (or seconds since 1970) as the `datetime` of a time element: UTC."""
    return _utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(moment: datetime | float) -> str:
    """The same for a person, who sees that it is UTC."""
    return _utc(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def _utc(moment: datetime | float) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC)
    return datetime.fromtimestamp(moment, UTC)
