"""
What a validator found, in our own sentences.

jsonschema's messages print instances, so none of them is used: each sentence is
built from the keyword and its schema. A value is shown only where *shown* says so.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .shapes import Place, here, matches, names, quoted

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

SECRET_FORM = "has to be text, or an object with exactly one of env, file, sealed"
SECRET_REMEDY = 'for example {"env": "EMAIL_PROFILES_SECRET_RELAY"}'

_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


@frozen
class Finding:
    """A mistake at a place, before it is told as a Problem."""

    place: Place
    message: str
    remedy: str = ""


@frozen
class Teller:
    """Tells what a validator found in one document."""

    document: object
    schema: Mapping[str, Any]
    shown: Callable[[Place], bool]

    def tell(self, error: ValidationError) -> Iterator[Finding]:
        """*error* as findings; each missing or unknown property is one of its own."""
        place: Place = tuple(error.absolute_path)
        keyword = error.validator
        if keyword == "required":
            yield from _missing(place, error)
        elif keyword in ("additionalProperties", "unevaluatedProperties"):
            found = list(self.strangers(place, error.instance, error.schema))
            yield from found or [
                Finding(place, "has properties that do not go together")
            ]
        elif keyword in ("anyOf", "oneOf"):
            yield from self._branches(place, error)
        elif self._is_name(place, error.instance):
            yield Finding((*place, str(error.instance)), *_of_key(error))
        else:
            yield Finding(place, *self._of_value(place, error))

    def strangers(
        self, place: Place, instance: object, schema: object
    ) -> Iterator[Finding]:
        """Each property of *instance* that no part of *schema* names."""
        parts = here(schema, self.schema)
        known = names(parts)
        extra = [
            name
            for name in _keys(instance)
            if name not in known and not matches(parts, name)
        ]
        for name in extra:
            near = difflib.get_close_matches(name[:64], known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield Finding((*place, name), f"is not a property here{hint}")

    def _is_name(self, place: Place, instance: object) -> bool:
        """Whether an error at *place* is about a name: propertyNames adds no path."""
        value: Any = self.document
        for key in place:
            value = value[key]
        return isinstance(value, Mapping) and isinstance(instance, str)

    def _branches(self, place: Place, error: ValidationError) -> Iterator[Finding]:
        """The one branch that is of the right type, else that none fits."""
        branches: dict[object, list[ValidationError]] = {}
        for each in error.context or ():
            branches.setdefault(each.schema_path[0], []).append(each)
        depth = len(place)
        near = [
            found
            for found in branches.values()
            if not any(
                one.validator == "type" and len(one.absolute_path) == depth
                for one in found
            )
        ]
        if len(near) != 1:
            many = "exactly one" if error.validator == "oneOf" else "any"
            yield Finding(place, f"does not have {many} of the forms allowed here")
            return
        for each in near[0]:
            yield from self.tell(each)

    def _of_value(self, place: Place, error: ValidationError) -> tuple[str, str]:
        keyword: object = error.validator
        limit: Any = error.validator_value
        value: object = error.instance
        if keyword == "type":
            return _of_type(limit, value)
        if keyword in _RANGES:
            about = f"{str(value)[:40]} is" if self.shown(place) else "is"
            return f"{about} {_RANGES[keyword]} {limit}", ""
        if keyword in _SIZES:
            return _of_size(keyword, limit, value)
        return _of_keyword(keyword, limit, error.schema)


_RANGES: Mapping[object, str] = {
    "minimum": "less than",
    "maximum": "more than",
    "exclusiveMinimum": "not more than",
    "exclusiveMaximum": "not less than",
}
_SIZES: Mapping[object, tuple[str, str, str]] = {
    "minLength": ("character", "characters", "are needed"),
    "maxLength": ("character", "characters", "are allowed"),
    "minItems": ("entry", "entries", "are needed"),
    "maxItems": ("entry", "entries", "are allowed"),
    "minProperties": ("property", "properties", "are needed"),
    "maxProperties": ("property", "properties", "are allowed"),
}


def kind(value: object) -> str:
    """What *value* is in JSON's terms, with its article; never the value."""
    if isinstance(value, bool):
        return "a boolean"
    if value is None:
        return "null"
    for types, name in (
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (Mapping, "object"),
        ((list, tuple), "array"),
    ):
        if isinstance(value, types):
            return _TYPES[name]
    return "something that JSON does not have"


def _of_type(wanted: object, value: object) -> tuple[str, str]:
    types: list[str] = [wanted] if isinstance(wanted, str) else list(_list(wanted))
    needed = " or ".join(_TYPES.get(each, each) for each in types)
    remedy = ""
    if isinstance(value, str) and not {"integer", "number", "boolean"}.isdisjoint(
        types
    ):
        remedy = "write it without quotes"
    elif types == ["array"] and isinstance(value, str):
        remedy = "write a list: [...]"
    got = kind(value)
    if isinstance(value, float) and "integer" in types:
        got = "a number with a decimal point"
    return f"has to be {needed}, not {got}", remedy


def _of_size(keyword: object, limit: int, value: Any) -> tuple[str, str]:
    one, many, bound = _SIZES[keyword]
    if not value and limit == 1:
        return "is empty", ""
    have = f"{len(value)} {one if len(value) == 1 else many}"
    return f"has {have}; {limit} {bound}", ""


def _of_keyword(keyword: object, limit: object, schema: Any) -> tuple[str, str]:
    if keyword == "enum":
        return f"has to be one of {', '.join(map(_literal, _list(limit)))}", ""
    if keyword == "const":
        return f"has to be {_literal(limit)}", ""
    if keyword in ("pattern", "not") and isinstance(schema.get("x-says"), str):
        return schema["x-says"], ""
    if keyword == "pattern":
        return "does not have the form that is needed here", ""
    if keyword == "uniqueItems":
        return "holds the same entry twice", ""
    if keyword == "multipleOf":
        return f"has to be a multiple of {limit}", ""
    if keyword == "dependentRequired":
        return "lacks a property that another one here needs", ""
    if keyword in ("contains", "minContains", "maxContains"):
        return "does not hold the entries that it has to", ""
    return "is not allowed here", ""


def _of_key(error: ValidationError) -> tuple[str, str]:
    limit: Any = error.validator_value
    if error.validator in _SIZES:
        return _of_size(error.validator, limit, error.instance)
    return _of_keyword(error.validator, limit, error.schema)


def _missing(place: Place, error: ValidationError) -> Iterator[Finding]:
    required: Any = error.validator_value
    present: Any = error.instance
    schema: Any = error.schema
    for name in required:
        if name not in present:
            yield Finding((*place, name), "is required", schema.get("x-says", ""))


def _literal(value: object) -> str:
    # of a schema, never of a document
    return value if isinstance(value, str) and value else json.dumps(value)[:40]


def _keys(instance: object) -> Iterable[str]:
    return map(str, instance) if isinstance(instance, Mapping) else ()


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def unknown_mode(mode: object, modes: Iterable[str]) -> tuple[str, str]:
    """There is no such mode; names those that there are."""
    offered = ", ".join(sorted(modes)) or "none"
    about = quoted(mode) if isinstance(mode, str) else "that name"
    near = difflib.get_close_matches(str(mode)[:64], list(modes), n=1)
    remedy = "install the plugin that adds it, or choose another mode"
    if near:
        remedy = f"did you mean {near[0]}? Else {remedy}"
    return f"there is no mode {about}; there are: {offered}", remedy
