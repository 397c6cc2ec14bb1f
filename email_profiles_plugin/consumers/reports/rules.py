"""The rules of a report schedule that its schema can't say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from ...addresses import parse
from ...documents.sentences import Finding
from ...documents.shapes import Place
from .queries import mistake_of_url, mistakes_of_sql, named_in
from .table import BUILT_IN
from .templates import NAMES, PAGE_NAMES, mistakes
from .timetable import Timetable, read_zone

EXTRA = "email-profiles-plugin[reports]"
"""What `pip install` is given for reports."""

_LISTS = ("to", "cc", "bcc", "reply_to", "errors_to")
_RECIPIENTS = ("to", "cc", "bcc")


def of_schedule(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What a report schedule breaks; only what has the right type is looked at."""
    yield from _addresses(document)
    yield from _nobody(document)
    yield from _nothing(document)
    yield from _source(document)
    yield from _chart(_object(document, "chart"))
    try:
        yield from _times(document)
        yield from _templates(document)
    except ImportError as error:
        message = f"can't be checked without {error.name}"
        yield Finding((), message, f"pip install '{EXTRA}'")


def place_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs as to where the source's password would go."""
    urls = [_object(one, "source").get("url") for one in (old, new)]
    return ("source.url",) if urls[0] != urls[1] else ()


def _addresses(document: Mapping[str, Any]) -> Iterator[Finding]:
    places: list[tuple[Place, object]] = [
        (("from_address",), document.get("from_address"))
    ]
    for name in _LISTS:
        places += [((name, at), one) for at, one in enumerate(_list(document, name))]
    for place, value in places:
        if isinstance(value, str) and value:
            try:
                parse(value)
            except ValueError as error:
                yield Finding(place, str(error))


def _nobody(document: Mapping[str, Any]) -> Iterator[Finding]:
    others = _object(document, "recipients_from")
    asked = [name for name in ("callable", "sql") if _is_text(others.get(name))]
    if len(asked) == 2:
        yield Finding(("recipients_from",), "has both callable and sql", "keep one")
    if not asked and not any(document.get(name) for name in _RECIPIENTS):
        yield Finding(
            ("to",),
            "names nobody, and neither do cc, bcc and recipients_from",
            "give at least one recipient",
        )


def _nothing(document: Mapping[str, Any]) -> Iterator[Finding]:
    if document.get("formats") == [] and document.get("show_in_mail") is not True:
        yield Finding(
            ("formats",),
            "is empty, and the mail does not show the report either",
            "give a format, or set show_in_mail",
        )


def _source(document: Mapping[str, Any]) -> Iterator[Finding]:
    source = _object(document, "source")
    called, sql = _is_text(source.get("callable")), _is_text(source.get("sql"))
    if "source" in document and called == sql:
        what = "has both callable and sql" if called else "has neither callable nor sql"
        yield Finding(("source",), what, "give exactly one of them")
    url = source.get("url")
    if _is_text(url) and (mistake := mistake_of_url(url)):
        yield Finding(("source", "url"), *mistake)
    given = _object(document, "parameters")
    for name in BUILT_IN:
        if name in given:
            message = "is the name of a parameter that is there anyway"
            yield Finding(("parameters", name), message, "choose another")
    for block in ("source", "recipients_from"):
        text = _object(document, block).get("sql")
        if not _is_text(text):
            continue
        if not _is_text(url):
            message = "is required where there is SQL"
            yield Finding(("source", "url"), message)
        for mistake in mistakes_of_sql(text):
            yield Finding((block, "sql"), *mistake)
        for name in named_in(text):
            if name not in given and name not in BUILT_IN:
                message = f"names the parameter :{name[:40]}, which is not given"
                yield Finding((block, "sql"), message, "add it to parameters")


def _chart(chart: Mapping[str, Any]) -> Iterator[Finding]:
    if chart.get("kind") not in ("line", "bar"):
        return
    for name in ("x", "y"):
        if not chart.get(name):
            message = "is required where a chart is drawn"
            yield Finding(("chart", name), message, "name a column of the report")


def _times(document: Mapping[str, Any]) -> Iterator[Finding]:
    zone, cron = document.get("timezone", "UTC"), document.get("cron")
    if _is_text(zone):
        try:
            read_zone(zone)
        except ValueError as error:
            remedy = "give a name of the IANA database, for example Europe/Berlin"
            yield Finding(("timezone",), str(error), remedy)
    if _is_text(cron):
        try:
            Timetable.read(cron, "UTC")
        except ValueError as error:
            remedy = "for example 0 6 * * mon-fri: at 06:00 from Monday to Friday"
            yield Finding(("cron",), str(error), remedy)


def _templates(document: Mapping[str, Any]) -> Iterator[Finding]:
    for name in ("subject", "body", "attachment_name", "template"):
        source = document.get(name)
        if _is_text(source):
            known = PAGE_NAMES if name == "template" else NAMES
            for message in mistakes(source, known):
                yield Finding((name,), message)


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""
