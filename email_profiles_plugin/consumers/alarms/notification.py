"""An alarm notification as a value, from its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from attrs import field, frozen

from . import templates
from .events import AlarmEvent, filled, storable
from .schedules import DAYS, Hours, Schedule, minutes
from .templates import Template


@frozen(kw_only=True)
class Person:
    """
    Somebody who may be notified; without a *schedule* always on call.

    The *name* says who it is in the trail: ValueError for an empty one.
    """

    name: str = field(converter=storable, validator=filled)
    addresses: tuple[str, ...] = ()
    schedule: str | None = None


@frozen(kw_only=True)
class Filter:
    """Which events anybody is notified of."""

    priorities: frozenset[str]
    transitions: frozenset[str]
    sources: tuple[str, ...]
    excluded_sources: tuple[str, ...]


@frozen(kw_only=True)
class Override:
    """What is different for the alarms that it is for; None: as for all."""

    sources: tuple[str, ...]
    names: tuple[str, ...]
    priorities: frozenset[str]
    subject: Template | None
    message: Template | None
    consolidate: bool

    def fits(self, event: AlarmEvent) -> bool:
        """Whether it is for this event's alarm."""
        return (
            event.priority in self.priorities
            and (not self.sources or matches(event.source, self.sources))
            and (not self.names or matches(event.name, self.names))
        )


@frozen(kw_only=True)
class Consolidation:
    """In seconds."""

    delay_s: int
    frequency_s: int


@frozen(kw_only=True)
class Throttle:
    """At most *most* events of one alarm to one recipient in *per_s* seconds."""

    most: int
    per_s: int


@frozen(kw_only=True)
class Link:
    """How recipients acknowledge."""

    url: str
    valid_s: int
    note_required: bool


@frozen(kw_only=True)
class Notification:
    """
    Who is told of which alarms, how and when.

    *id* and *revision* are its document's; *profile* None: settings of its own.
    """

    id: str
    revision: int
    name: str
    enabled: bool
    profile: str | None
    from_address: str
    reply_to: tuple[str, ...]
    test_mode: bool
    zone: ZoneInfo
    subject: Template
    message: Template
    consolidated_subject: Template
    consolidated_message: Template
    consolidated_line: Template
    consolidated_most: int
    overrides: tuple[Override, ...]
    recipients: tuple[str, ...]
    roster: tuple[Person, ...]
    schedules: Mapping[str, Schedule]
    fallback: tuple[str, ...]
    filter: Filter
    dropouts: frozenset[str]
    consolidation: Consolidation | None
    throttle: Throttle | None
    delay_between_messages_s: int
    expires_s: int | None
    link: Link | None

    def override(self, event: AlarmEvent) -> Override | None:
        """The first that fits."""
        for one in self.overrides:
            if one.fits(event):
                return one
        return None

    def consolidates(self, event: AlarmEvent) -> bool:
        """Whether the event waits for others."""
        if self.consolidation is None:
            return False
        override = self.override(event)
        return override is None or override.consolidate


@lru_cache(maxsize=4096)
def _matches(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, one.replace("[", "[[]")) for one in patterns)


def matches(text: str, patterns: Sequence[str]) -> bool:
    """
    Whether *text* fits one of *patterns*: `*` any text, `?` a character.

    Nothing else is special: paths begin with `[default]`.
    """
    return _matches(text, tuple(patterns))


def from_document(full: Mapping[str, Any], *, id: str, revision: int) -> Notification:
    """From a valid document, its defaults filled in."""
    link, most = full["acknowledgement"], full["throttle"]
    gather = full["consolidation"]
    return Notification(
        id=id,
        revision=revision,
        name=full["name"],
        enabled=full["enabled"],
        profile=full["profile"],
        from_address=full["from_address"],
        reply_to=tuple(full["reply_to"]),
        test_mode=full["test_mode"],
        zone=ZoneInfo(full["time_zone"]),
        subject=templates.parse(full["subject"]),
        message=templates.parse(full["message"]),
        consolidated_subject=templates.parse(full["consolidated_subject"]),
        consolidated_message=templates.parse(full["consolidated_message"]),
        consolidated_line=templates.parse(full["consolidated_line"]),
        consolidated_most=full["consolidated_most"],
        overrides=tuple(map(_override, full["overrides"])),
        recipients=tuple(full["recipients"]),
        roster=tuple(map(_person, full["roster"])),
        schedules={
            one["name"]: _schedule(one, full["time_zone"]) for one in full["schedules"]
        },
        fallback=tuple(full["fallback"]),
        filter=_filter(full["filter"]),
        dropouts=frozenset(full["dropouts"]),
        consolidation=gather
        and Consolidation(delay_s=gather["delay_s"], frequency_s=gather["frequency_s"]),
        throttle=most and Throttle(most=most["most"], per_s=most["per_s"]),
        delay_between_messages_s=full["delay_between_messages_s"],
        expires_s=full["expires_s"],
        link=link and _link(link),
    )


def _override(one: Mapping[str, Any]) -> Override:
    def template(name: str) -> Template | None:
        text = one[name]
        return None if text is None else templates.parse(text)

    return Override(
        sources=tuple(one["sources"]),
        names=tuple(one["names"]),
        priorities=frozenset(one["priorities"]),
        subject=template("subject"),
        message=template("message"),
        consolidate=one["consolidate"],
    )


def _person(one: Mapping[str, Any]) -> Person:
    return Person(
        name=one["name"], addresses=tuple(one["addresses"]), schedule=one["schedule"]
    )


def _schedule(one: Mapping[str, Any], zone: str) -> Schedule:
    return Schedule(
        name=one["name"],
        zone=ZoneInfo(one["time_zone"] or zone),
        hours=tuple(
            Hours(
                days=frozenset(map(DAYS.index, hours["days"])),
                start=minutes(hours["from"]),
                end=minutes(hours["to"]),
            )
            for hours in one["hours"]
        ),
        holidays=frozenset(map(date.fromisoformat, one["holidays"])),
    )


def _filter(one: Mapping[str, Any]) -> Filter:
    return Filter(
        priorities=frozenset(one["priorities"]),
        transitions=frozenset(one["transitions"]),
        sources=tuple(one["sources"]),
        excluded_sources=tuple(one["excluded_sources"]),
    )


def _link(one: Mapping[str, Any]) -> Link:
    return Link(
        url=one["url"].rstrip("/"),
        valid_s=one["valid_s"],
        note_required=one["note"] == "required",
    )
