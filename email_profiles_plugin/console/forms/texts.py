"""Values as the texts that a form shows and sends, and back."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...documents.hosts import protocols_from_text
from ...documents.shapes import quoted
from .fields import ABSENT, Field

Raw = tuple[str, ...]
"""What a form sends for a field; an empty text is nothing at all."""

_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DIGITS = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_OF_AREA = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Unreadable(Exception):
    """What was typed is no value of this field: why, and what to write instead."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy


def show(field: Field, value: object) -> Raw:
    """What a form shows, and sends again, where a document has *value*."""
    if value is ABSENT:
        value = field.default
    if value is ABSENT or value is None or value == "":
        return ()
    if not suits(field, value):
        return (as_json(value),)
    if field.widget == "flag":
        return ("on",) if value else ()
    if field.widget in ("choice", "several"):
        values: Any = value if field.widget == "several" else [value]
        keys = tuple(one.key for one in field.choices if _among(one.value, values))
        return (str(value),) if field.references else keys
    shown = _as_text(field, value)
    return (shown,) if shown else ()


def suits(field: Field, value: object) -> bool:
    """Whether *value* can be shown, and sent again, as *field* does; else as JSON."""
    if value is ABSENT or (value is None and not field.required):
        return True
    match field.widget:
        case "text":
            return isinstance(value, str) and not _CONTROL.search(value)
        case "area":
            return isinstance(value, str) and not _CONTROL_OF_AREA.search(value)
        case "number":
            whole = isinstance(value, int) and not isinstance(value, bool)
            return whole or (not field.integer and isinstance(value, float))
        case "flag":
            return isinstance(value, bool)
        case "choice" if field.references:
            return isinstance(value, str) and not _CONTROL.search(value)
        case "choice" | "fixed":
            return any(same(one.value, value) for one in field.choices)
        case "several":
            return _are_of(field, value)
        case "lines" | "commas":
            return _is_plain_list(value, "," if field.widget == "commas" else "")
        case "pairs":
            return _are_plain_pairs(value)
    return True


def read(field: Field, raw: Raw) -> Any:
    """The value that *raw* means; ABSENT for none. Raises Unreadable."""
    if field.widget == "flag":
        return bool(raw)
    if not raw:
        return _empty(field)
    if field.widget == "number":
        return _number(field, raw[0])
    if field.widget in ("choice", "several"):
        found = [_chosen(field, key) for key in raw]
        return found if field.widget == "several" else found[0]
    if field.widget == "lines":
        return [line for one in raw[0].split("\n") if (line := one.strip())]
    if field.widget == "commas" and field.protocols:
        return protocols_from_text(raw[0])
    if field.widget == "commas":
        return [entry for one in raw[0].split(",") if (entry := one.strip())]
    if field.widget == "pairs":
        return _pairs(raw[0])
    return from_json(raw[0]) if field.widget == "json" else raw[0]


def _empty(field: Field) -> object:
    """
    What nothing typed means: that the property is left out, where it may be.

    Where leaving it out would bring back a default, it is empty, if that is allowed.
    """
    usual = field.default not in (ABSENT, None, "", [], {})
    if field.widget in ("lines", "commas", "several", "pairs"):
        empty: object = {} if field.widget == "pairs" else []
        kept = field.required or (usual and not field.min_items)
        return empty if kept or (usual and field.widget == "several") else ABSENT
    if field.nullable and usual:
        return None
    if field.widget in ("text", "area") and not field.min_length:
        return "" if field.required or usual else ABSENT
    return ABSENT


def _number(field: Field, text: str) -> object:
    typed = text.strip()
    digits = sum(one.isdigit() for one in typed)
    if _WHOLE.fullmatch(typed) and digits <= _DIGITS:
        return int(typed)
    if not field.integer and _NUMBER.fullmatch(typed) and digits <= _DIGITS:
        number = float(typed)
        if math.isfinite(number):
            return number
    kind = "a whole number" if field.integer else "a number"
    raise Unreadable(f"{quoted(text)} is not {kind}", "write it in digits, as in 10000")


def _chosen(field: Field, key: str) -> object:
    for one in field.choices:
        if one.key == key:
            return one.value
    if field.references:
        return key
    raise Unreadable("is none of what there is to choose from", "choose one")


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not name:
            raise Unreadable(
                f"line {number} is not a name, = and a value", "as in prompt=consent"
            )
        if name in found:
            raise Unreadable(f"{quoted(name)} is there twice", "give it once")
        found[name] = value.strip()
    return found


def from_json(text: str) -> Any:
    """The value that *text* is JSON of; Unreadable."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"is not JSON at {place}", "look for quotes, commas") from None
    except _Twice as error:
        raise Unreadable(f"has the name {error} twice in one object") from None
    except (ValueError, RecursionError):
        raise Unreadable("holds a number that there is not, or is too deep") from None


class _Twice(Exception):
    """Of two properties with one name, only one could be meant."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        raise _Twice(quoted(next(name for name, n in counted.items() if n > 1)))
    return found


def _refuse(name: str) -> object:
    raise ValueError(name)


def as_json(value: object) -> str:
    """*value* as JSON that a page can hold, and that comes back the same."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return json.dumps(value, indent=2) if _CONTROL_OF_AREA.search(text) else text


def _as_text(field: Field, value: Any) -> str:
    match field.widget:
        case "text" | "area":
            return str(value)
        case "lines":
            return "\n".join(value)
        case "commas":
            return ", ".join(value)
        case "pairs":
            return "\n".join(f"{name}={one}" for name, one in value.items())
    return as_json(value)


def _is_plain_list(value: object, separator: str) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, str)
        and one != ""
        and one == one.strip()
        and not _CONTROL.search(one)
        and not (separator and separator in one)
        for one in value
    )


def _are_plain_pairs(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, str)
        and name != ""
        and "=" not in name
        and (name, one) == (name.strip(), one.strip())
        and not _CONTROL.search(name + one)
        for name, one in value.items()
    )


def same(one: object, other: object) -> bool:
    """Whether two values are the same JSON; 1 is not true, and not 1.0."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def _among(value: object, values: Sequence[object]) -> bool:
    return any(same(one, value) for one in values)


def _are_of(field: Field, value: object) -> bool:
    known = [one.value for one in field.choices]
    return (
        isinstance(value, list)
        and all(_among(one, known) for one in value)
        and len(set(value)) == len(value)
    )
