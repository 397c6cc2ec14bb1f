"""Values as JSON has them, and the schemas of that: both from the attrs classes."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

Schema = dict[str, Any]

COMPONENTS = "#/components/schemas/"


def as_json(value: object) -> Any:
    """
    *value* in JSON's types: an attrs value by its fields and its properties.

    What is hidden in a repr is left out; times are RFC 3339, UTC.
    """
    kind: Any = type(value)
    if attrs.has(kind):
        return {name: as_json(getattr(value, name)) for name, _ in _members(kind)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(name): as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return value


@cache
def _members(kind: type) -> tuple[tuple[str, Any], ...]:
    """The names and types of what is shown of *kind*."""
    hints = get_type_hints(kind)
    shown = [field.name for field in attrs.fields(kind) if field.repr]
    made = {
        name: one
        for name, one in inspect.getmembers(kind, lambda one: isinstance(one, property))
        if not name.startswith("_")
    }
    return (
        *((name, hints[name]) for name in shown),
        *((name, get_type_hints(one.fget)["return"]) for name, one in made.items()),
    )


def schema_of(kind: Any) -> Schema:
    """The schema of what `as_json` makes of a *kind*; attrs classes by reference."""
    if kind is datetime:
        return {"type": "string", "format": "date-time"}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if attrs.has(kind):
        return {"$ref": COMPONENTS + kind.__name__}
    origin, of = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(of)}
    if origin in (Union, types.UnionType):
        return _either([schema_of(one) for one in of])
    if origin in (tuple, list):
        return {"type": "array", "items": schema_of(of[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(of[1])}
    return {}


_PLAIN: Mapping[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def _either(schemas: list[Schema]) -> Schema:
    simple = [one for one in schemas if isinstance(one.get("type"), str)]
    if len(simple) < len(schemas):
        return {"anyOf": schemas}
    joined: Schema = {}
    for one in simple:
        joined |= one
    return joined | {"type": [one["type"] for one in simple]}


def components_of(kind: Any) -> dict[str, Schema]:
    """The schema of *kind* and of all that it holds, by their names."""
    found: dict[str, Schema] = {}
    waiting = [kind]
    while waiting:
        one = waiting.pop()
        if not attrs.has(one):
            waiting += get_args(one)
        elif one.__name__ not in found:
            members = dict(_members(one))
            found[one.__name__] = _object(one, members)
            waiting += members.values()
    return found


def _object(kind: type, members: Mapping[str, Any]) -> Schema:
    return {
        "title": kind.__name__,
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "type": "object",
        "properties": {name: schema_of(one) for name, one in members.items()},
        "required": list(members),
        "additionalProperties": False,
    }
