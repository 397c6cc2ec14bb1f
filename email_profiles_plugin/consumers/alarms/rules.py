"""What is wrong with an alarm notification's document that its schema can't say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ...addresses import parse
from ...documents.hosts import endpoint_mistake
from ...documents.sentences import Finding
from ...documents.shapes import Place, quoted
from . import templates
from .templates import OF_AN_EVENT, OF_BOTH, OF_SEVERAL

_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ONE, _SEVERAL = (*OF_AN_EVENT, *OF_BOTH), (*OF_SEVERAL, *OF_BOTH)
_TEMPLATES: Mapping[str, Collection[str]] = {
    "subject": _ONE,
    "message": _ONE,
    "consolidated_subject": _SEVERAL,
    "consolidated_message": _SEVERAL,
    "consolidated_line": OF_AN_EVENT,
}


def of_alarm_notification(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Templates, addresses, time zones, dates, and names that have to be there."""
    yield from _templates((), document)
    for index, one in enumerate(_objects(document, "overrides")):
        yield from _templates(("overrides", index), one)
    yield from _addresses(document)
    yield from _zone(("time_zone",), document.get("time_zone"))
    for index, one in enumerate(_objects(document, "schedules")):
        place: Place = ("schedules", index)
        yield from _zone((*place, "time_zone"), one.get("time_zone"))
        yield from _dates((*place, "holidays"), one.get("holidays"))
        yield from _times(place, one)
    yield from _names(document)
    link = document.get("acknowledgement")
    url = link.get("url") if isinstance(link, dict) else None
    if isinstance(url, str) and url:
        mistake = endpoint_mistake(url, query=False)
        if mistake:
            yield Finding(("acknowledgement", "url"), *mistake)


def warnings_of_alarm_notification(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What is allowed, and most likely not meant."""
    told = ("recipients", "roster", "fallback")
    if not any(document.get(name) for name in told):
        yield Finding(
            ("recipients",),
            "names nobody: each event will be recorded as told to nobody",
            "name recipients or a roster, unless the host calculates one",
        )


def _templates(place: Place, document: Mapping[str, Any]) -> Iterator[Finding]:
    for name, known in _TEMPLATES.items():
        text = document.get(name)
        if isinstance(text, str):
            for mistake in dict.fromkeys(templates.mistakes(text, known)):
                yield Finding((*place, name), mistake)
        if name.endswith("subject") and isinstance(text, str) and "\n" in text:
            yield Finding((*place, name), "may not have several lines")


def _addresses(document: Mapping[str, Any]) -> Iterator[Finding]:
    places: list[tuple[Place, object]] = [
        (("from_address",), document.get("from_address"))
    ]
    for name in ("reply_to", "recipients", "fallback"):
        places += _each((name,), document.get(name))
    for index, person in enumerate(_objects(document, "roster")):
        places += _each(("roster", index, "addresses"), person.get("addresses"))
    for place, text in places:
        if not isinstance(text, str) or not text:
            continue
        try:
            parse(text)
        except ValueError as error:
            yield Finding(place, str(error))


def _zone(place: Place, name: object) -> Iterator[Finding]:
    if not isinstance(name, str) or not name:
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Finding(
            place,
            f"{quoted(name)} is no time zone that is known here",
            "give a name such as Europe/Berlin; where the machine has none of them, "
            "install tzdata",
        )


def _dates(place: Place, dates: object) -> Iterator[Finding]:
    for spot, text in _each(place, dates):
        if not isinstance(text, str) or not _DATE.fullmatch(text):
            continue
        try:
            date.fromisoformat(text)
        except ValueError:
            yield Finding(spot, "is no date", "for example 2026-12-25")


def _times(place: Place, schedule: Mapping[str, Any]) -> Iterator[Finding]:
    for index, hours in enumerate(_objects(schedule, "hours")):
        if hours.get("from") == "24:00":
            spot = (*place, "hours", index, "from")
            yield Finding(spot, "is the end of a day", "begin at 00:00")


def _names(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Each name once, and no schedule that is not there."""
    for block in ("roster", "schedules"):
        seen: set[str] = set()
        for index, one in enumerate(_objects(document, block)):
            name = one.get("name")
            if isinstance(name, str) and name in seen:
                yield Finding((block, index, "name"), "is there twice")
            seen.add(str(name))
    told = [
        *_each((), document.get("recipients")),
        *_each((), document.get("fallback")),
    ]
    addresses = {one for _, one in told if isinstance(one, str)}
    for index, person in enumerate(_objects(document, "roster")):
        if person.get("name") in addresses:
            yield Finding(
                ("roster", index, "name"),
                "is the address of a recipient, who would be taken for this person",
                "give the person's name",
            )
    known = {one.get("name") for one in _objects(document, "schedules")}
    for index, person in enumerate(_objects(document, "roster")):
        wanted = person.get("schedule")
        if isinstance(wanted, str) and wanted and wanted not in known:
            message = f"there is no schedule {quoted(wanted)}"
            yield Finding(("roster", index, "schedule"), message)


def _objects(document: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    """The list called *name*, an empty object for each entry that is none."""
    found = document.get(name)
    entries = found if isinstance(found, list) else []
    return [one if isinstance(one, dict) else {} for one in entries]


def _each(place: Place, found: object) -> list[tuple[Place, object]]:
    entries = found if isinstance(found, list) else []
    return [((*place, index), one) for index, one in enumerate(entries)]
