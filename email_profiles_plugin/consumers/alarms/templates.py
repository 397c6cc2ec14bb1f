"""
Templates: plain text with `{name}` and `{eventTime|HH:mm:ss}` in it.

Placeholders are put in by substitution and nothing else: no attribute, no index, no
call, no `str.format`. `{{` and `}}` are braces. What an event says is never taken for
a template.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from attrs import frozen

from .events import AlarmEvent
from .patterns import (
    date_pattern_mistake,
    format_date,
    format_number,
    in_zone,
    is_number_pattern,
)

OF_BOTH = ("notification", "recipient", "acknowledge")
OF_AN_EVENT = (
    "id",
    "source",
    "name",
    "displayPath",
    "displayPathOrSource",
    "label",
    "notes",
    "priority",
    "severity",
    "eventState",
    "isaState",
    "transition",
    "eventTime",
    "eventValue",
    "ackUser",
    "ackNotes",
    "isActive",
    "isAcked",
    "isShelved",
    "isSuppressed",
    "isOutOfService",
    "isLatched",
)
OF_SEVERAL = (
    "alarmEvents",
    "alarmEvents.Count",
    "alarmEvents.Active",
    "alarmEvents.Clear",
    "alarmEvents.Ack",
    "alarmEvents.Highest",
    "alarmEvents.First",
    "alarmEvents.Last",
)
DATA = "data."
"""Begins the placeholders of an event's own data, whatever it holds."""

_DATES = ("eventTime", "alarmEvents.First", "alarmEvents.Last")
_NUMBERS = ("eventValue", "severity", "alarmEvents.Count")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@frozen
class Placeholder:
    """What is put in: *name*, written by *pattern* where there is one."""

    name: str
    pattern: str = ""


Template = tuple[str | Placeholder, ...]


def mistakes(text: str, known: Collection[str]) -> Iterator[str]:
    """What is wrong with *text* as a template with *known* placeholders; sentences."""
    for piece in _PIECE.finditer(text):
        if piece[0] in ("{{", "}}"):
            continue
        if piece[1] is None:
            yield f"has a {piece[0]} that belongs to no placeholder: write it twice"
            continue
        name, bar, pattern = piece[1].partition("|")
        if not _is_known(name, known):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {{{near[0]}}}?" if near else ""
            yield f"has no placeholder {{{name[:40]}}}{hint}"
        elif bar and (wrong := _pattern_mistake(name, pattern)):
            yield f"{{{name[:40]}|{pattern[:40]}}} {wrong}"


def _is_known(name: str, known: Collection[str]) -> bool:
    if name.startswith(DATA) and "eventTime" in known:
        return len(name) > len(DATA)
    return name in known


def _pattern_mistake(name: str, pattern: str) -> str:
    if not pattern:
        return "has an empty pattern"
    if name in _DATES:
        return date_pattern_mistake(pattern)
    if name in _NUMBERS or name.startswith(DATA):
        if is_number_pattern(pattern):
            return ""
        return "is no pattern for a number, such as #,##0.00"
    return "takes no pattern"


def parse(text: str) -> Template:
    """*text*, in which there are no mistakes, as a template."""
    parts: list[str | Placeholder] = []
    end = 0
    for piece in _PIECE.finditer(text):
        parts.append(text[end : piece.start()])
        end = piece.end()
        if piece[1] is None:
            parts.append(piece[0][0])
        else:
            name, _, pattern = piece[1].partition("|")
            parts.append(Placeholder(name, pattern))
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def names(template: Template) -> set[str]:
    """The placeholders in it."""
    return {part.name for part in template if isinstance(part, Placeholder)}


def fill(template: Template, values: Mapping[str, Any], zone: tzinfo) -> str:
    """*template* with *values* put in; what is missing is empty."""
    return "".join(
        part if isinstance(part, str) else _written(part, values, zone)
        for part in template
    )


def _written(placeholder: Placeholder, values: Mapping[str, Any], zone: tzinfo) -> str:
    if placeholder.name.startswith(DATA):
        value = values.get("data", {}).get(placeholder.name.removeprefix(DATA))
    else:
        value = values.get(placeholder.name)
    return written(value, placeholder.pattern, zone)


def written(value: object, pattern: str, zone: tzinfo) -> str:
    """
    One value as text; a number or a time as *pattern* says.

    What can't be written so is written plainly: no value stops the message it is in.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        if isinstance(value, datetime):
            pattern = pattern or "yyyy-MM-dd HH:mm:ss"
            return format_date(in_zone(value, zone), pattern)
        if pattern and isinstance(value, int | float):
            return format_number(value, pattern)
    except (ArithmeticError, ValueError):
        pass
    return str(value)


def values_of(event: AlarmEvent) -> dict[str, Any]:
    """What each placeholder of a single event stands for."""
    return {
        "id": event.id,
        "source": event.source,
        "name": event.name,
        "displayPath": event.display_path,
        "displayPathOrSource": event.display_path_or_source,
        "label": event.label,
        "notes": event.notes,
        "priority": event.priority,
        "severity": event.severity,
        "eventState": event.event_state,
        "isaState": event.isa_state,
        "transition": event.transition,
        "eventTime": event.event_time,
        "eventValue": event.event_value,
        "ackUser": event.ack_user,
        "ackNotes": event.ack_notes,
        "isActive": event.active,
        "isAcked": event.acked,
        "isShelved": event.shelved,
        "isSuppressed": event.suppressed,
        "isOutOfService": event.out_of_service,
        "isLatched": event.latched,
        "data": event.data,
    }
