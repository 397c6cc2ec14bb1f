"""The fields of a form, as values: what is asked for, how, and where it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal

from attrs import field, frozen

from ...documents.shapes import Place, json_path, pointer

Widget = Literal[
    "text",
    "area",
    "number",
    "flag",
    "choice",
    "several",
    "lines",
    "commas",
    "pairs",
    "secret",
    "json",
    "fixed",
]
"""
How a value is asked for.

*area*: text of several lines; *flag*: on or off; *choice*: one of several; *several*:
any of them; *lines*: a list, one entry a line; *commas*: a list, commas between;
*pairs*: names and values, one pair a line; *json*: as JSON, what has no other form;
*fixed*: what can be one thing only, and is not asked for.
"""


class Absent(Enum):
    """The type of ABSENT."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT
"""Stands for a property that a document does not have; None is JSON's null."""


@frozen
class Choice:
    """One of the values that there are: *key* is what a form sends for it."""

    key: str
    label: str
    value: object


@frozen(kw_only=True)
class Field:
    """
    One property of a document, as a form asks for it.

    *required* in every document; *obliged*: wherever there is the object that it is in.
    *integer*: a number is whole.
    *bounds*: the least and the greatest that are allowed, as texts, "" for none.
    *references*: the kind of document that it names. *sealed*: a secret that may be a
    reference. *rest*: the field stands for what else the object at *place* holds, and
    these are the properties that are not meant. *hides*: a secret may be within.
    """

    place: Place
    widget: Widget
    title: str
    help: str = ""
    unit: str = ""
    group: str = ""
    order: float = 0
    default: object = ABSENT
    required: bool = False
    obliged: bool = False
    nullable: bool = False
    choices: tuple[Choice, ...] = ()
    integer: bool = True
    bounds: tuple[str, str] = ("", "")
    min_length: int = 0
    max_length: int | None = None
    min_items: int = 0
    references: str = ""
    protocols: bool = False
    multiline: bool = False
    sealed: bool = False
    rest: tuple[str, ...] | None = None
    hides: bool = False
    schema: Mapping[str, Any] = field(factory=dict, repr=False, eq=False)

    @property
    def name(self) -> str:
        """As which a form sends it."""
        return pointer(self.place) + ("/*" if self.rest is not None else "")

    @property
    def id(self) -> str:
        """Its identifier in a page."""
        return "at" + re.sub(r"[^A-Za-z0-9_/]", _escaped, self.name).replace("/", "-")

    @property
    def path(self) -> str:
        """Its JSON path, as problems name it."""
        return json_path(self.place)


def _escaped(match: re.Match[str]) -> str:
    return f".{ord(match.group()):x}."


@frozen
class Group:
    """Fields under one heading; *folded*: most people need none of them."""

    title: str
    folded: bool
    fields: tuple[Field, ...]


@frozen
class Layout:
    """All fields of a form; *needed* are the objects that every document has."""

    groups: tuple[Group, ...]
    needed: tuple[Place, ...] = ()
    root: Mapping[str, Any] = field(factory=dict, repr=False, eq=False)

    def __iter__(self) -> Iterator[Field]:
        return (one for group in self.groups for one in group.fields)


def value_of(document: object, field: Field) -> Any:
    """What *document* has for *field*; ABSENT where it has nothing."""
    found = member(document, field.place)
    if field.rest is None:
        return found
    if not isinstance(found, Mapping):
        return ABSENT
    rest = {key: one for key, one in found.items() if key not in field.rest}
    return rest or ABSENT


def member(document: object, place: Place) -> Any:
    """What stands at *place*, through objects; ABSENT where nothing does."""
    for key in place:
        if not isinstance(document, Mapping) or key not in document:
            return ABSENT
        document = document[key]
    return document


def put(document: dict[str, Any], field: Field, value: object) -> None:
    """Set what *document* has for *field*; ABSENT takes it out."""
    if field.rest is not None:
        _put_rest(document, field, value)
        return
    parent = _object(document, field.place[:-1], make=value is not ABSENT)
    if parent is None:
        return
    if value is ABSENT:
        parent.pop(field.place[-1], None)
    else:
        parent[field.place[-1]] = value


def _put_rest(document: dict[str, Any], field: Field, value: object) -> None:
    parent = _object(document, field.place, make=value is not ABSENT)
    if parent is None:
        return
    for key in [key for key in parent if key not in (field.rest or ())]:
        del parent[key]
    if isinstance(value, Mapping):
        parent |= {key: one for key, one in value.items() if key not in parent}


def _object(document: dict[str, Any], place: Place, *, make: bool) -> Any:
    """The object at *place*; made where it is not there, or is none, if wanted."""
    found: Any = document
    for key in place:
        inner = found.get(key)
        if not isinstance(inner, dict):
            if not make:
                return None
            inner = found[key] = {}
        found = inner
    return found
