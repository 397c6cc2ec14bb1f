"""
What a schema says about each place of a document.

Follows what can be followed without validating: `$ref` to `#...`, allOf, anyOf,
oneOf, if, then, else, dependentSchemas; properties, patternProperties,
additionalProperties, items, prefixItems. Loads no validator.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

Schema = Mapping[str, Any]
Place = tuple[str | int, ...]
"""Keys and indexes from the root of a document."""

SECRET = "urn:email-profiles:secret"
"""The `$id` of the schema of a secret; a `$ref` to it marks a property as one."""

_SHOWN = 40


@frozen
class Spot:
    """One value of a document, with all schemas that speak of it."""

    place: Place
    value: object = field(repr=False)
    schemas: tuple[Schema, ...] = field(repr=False)


def json_path(place: Place) -> str:
    """
    *place* as a JSON path: `$.smtp.port`, `$.to[0]`, `$.headers['X-Site']`.

    A long key is cut, and what can't be printed is escaped.
    """
    return "$" + "".join(_step(key) for key in place)


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if key.isidentifier() and key.isascii() and len(key) <= _SHOWN:
        return f".{key}"
    return f"[{quoted(key)}]"


def quoted(text: str) -> str:
    """*text* in quotes, escaped, cut at 40 characters."""
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return repr(shown)


def pointer(place: Place) -> str:
    """*place* as a JSON pointer (RFC 6901): `/auth/password`."""
    return "".join(
        "/" + str(key).replace("~", "~0").replace("/", "~1") for key in place
    )


def place_of(pointer: str) -> Place:
    """The place at a JSON pointer; what is all digits counts as an index."""
    parts = pointer.split("/")[1:]
    names = (one.replace("~1", "/").replace("~0", "~") for one in parts)
    return tuple(int(one) if one.isdecimal() else one for one in names)


def value_at(document: Any, place: Place, missing: object = None) -> Any:
    """What stands at *place* in objects and lists; *missing* where nothing does."""
    for key in place:
        if isinstance(document, Mapping) and str(key) in document:
            document = document[str(key)]
        elif (
            isinstance(document, list) and isinstance(key, int) and key < len(document)
        ):
            document = document[key]
        else:
            return missing
    return document


def find(root: Schema, reference: str) -> Schema | None:
    """The schema at *reference* (`#`, `#/$defs/x`) in *root*; None: there is none."""
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    known = reference == "#" or reference.startswith("#/")
    return found if known and isinstance(found, Mapping) else None


def here(schema: object, root: Schema, *, certain: bool = False) -> tuple[Schema, ...]:
    """
    *schema* and all that speak of the same value through it; *schema* first.

    *certain*: only those that always apply, through `$ref` and allOf.
    """
    found: list[Schema] = []
    seen: set[int] = set()
    waiting: list[object] = [schema]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, Mapping) or id(one) in seen:
            continue
        seen.add(id(one))
        found.append(one)
        waiting.extend(beside(one, root, certain=certain))
    return tuple(found)


def beside(schema: Schema, root: Schema, *, certain: bool = False) -> Iterator[object]:
    """The schemas that *schema* itself names for the same value."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield find(root, reference)
    yield from _listed(schema, "allOf")
    if certain:
        return
    for keyword in ("anyOf", "oneOf"):
        yield from _listed(schema, keyword)
    for keyword in ("if", "then", "else"):
        yield schema.get(keyword)
    dependent = schema.get("dependentSchemas")
    if isinstance(dependent, Mapping):
        yield from dependent.values()


def _listed(schema: Schema, keyword: str) -> Iterable[object]:
    value = schema.get(keyword)
    return value if isinstance(value, list | tuple) else ()


def below(
    schemas: Sequence[Schema], root: Schema, key: str | int
) -> tuple[Schema, ...]:
    """All schemas that speak of the member *key* of a value that *schemas* describe."""
    direct = [
        member
        for schema in schemas
        for member in (
            _of_property(schema, key) if isinstance(key, str) else _of_item(schema, key)
        )
    ]
    found = {id(one): one for member in direct for one in here(member, root)}
    return tuple(found.values())


def _of_property(schema: Schema, key: str) -> Iterator[object]:
    named = False
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and key in properties:
        named = True
        yield properties[key]
    patterns = schema.get("patternProperties")
    if isinstance(patterns, Mapping):
        for pattern, member in patterns.items():
            if re.search(pattern, key):
                named = True
                yield member
    if not named:
        yield schema.get("additionalProperties")
        yield schema.get("unevaluatedProperties")


def _of_item(schema: Schema, index: int) -> Iterator[object]:
    first = schema.get("prefixItems")
    if isinstance(first, list) and index < len(first):
        yield first[index]
    else:
        yield schema.get("items")
        yield schema.get("unevaluatedItems")
    yield schema.get("contains")


def names(schemas: Sequence[Schema]) -> tuple[str, ...]:
    """The properties that *schemas* name, in their order."""
    return tuple(
        dict.fromkeys(
            name
            for schema in schemas
            if isinstance(schema.get("properties"), Mapping)
            for name in schema["properties"]
        )
    )


def matches(schemas: Sequence[Schema], name: str) -> bool:
    """Whether a patternProperties of *schemas* speaks of a property called *name*."""
    return any(
        re.search(pattern, name)
        for schema in schemas
        if isinstance(schema.get("patternProperties"), Mapping)
        for pattern in schema["patternProperties"]
    )


def is_secret(schemas: Iterable[Schema]) -> bool:
    """Whether one of *schemas* marks its value as a secret."""
    return any(SECRET in (one.get("$ref"), one.get("$id")) for one in schemas)


def visit(document: object, schema: Schema) -> Iterator[Spot]:
    """
    Every value of *document* that *schema* speaks of, in document order.

    A secret is visited, what is in it is not.
    """
    waiting = [Spot((), document, here(schema, schema))]
    while waiting:
        spot = waiting.pop()
        yield spot
        if is_secret(spot.schemas):
            continue
        waiting.extend(reversed(list(_members(spot, schema))))


def _members(spot: Spot, root: Schema) -> Iterator[Spot]:
    pairs: Iterable[tuple[str | int, object]] = ()
    if isinstance(spot.value, Mapping):
        pairs = spot.value.items()
    elif isinstance(spot.value, list | tuple):
        pairs = enumerate(spot.value)
    for key, value in pairs:
        if schemas := below(spot.schemas, root, key):
            yield Spot((*spot.place, key), value, schemas)


def declared(schema: Schema, place: Place) -> tuple[Schema, ...]:
    """
    The schemas of *place*, if each step to it is a named property or a list's item.

    Empty where it is not, and where the place is a secret, write-only, or below one.
    """
    schemas = here(schema, schema)
    for key in place:
        if _hidden(schemas) or (isinstance(key, str) and key not in names(schemas)):
            return ()
        schemas = below(schemas, schema, key)
    return () if _hidden(schemas) else schemas


def _hidden(schemas: Sequence[Schema]) -> bool:
    return is_secret(schemas) or any(one.get("writeOnly") is True for one in schemas)


def with_defaults(document: object, schema: Schema) -> Any:
    """
    A copy of *document* in which what is left out has its schema's default.

    In objects, and in what is in them, as far as `$ref` and allOf tell for certain.
    """
    return _filled(document, (schema,), schema)


def _filled(value: object, schemas: Sequence[Schema], root: Schema) -> Any:
    certain = [one for schema in schemas for one in here(schema, root, certain=True)]
    if is_secret(certain):
        return copy.deepcopy(value)
    if isinstance(value, Mapping):
        known = {name: _members_of(certain, name) for name in names(certain)}
        full = dict(value)
        for name, members in known.items():
            for member in members:
                if name not in full and "default" in member:
                    full[name] = copy.deepcopy(member["default"])
        return {
            key: _filled(member, known.get(key, ()), root)
            for key, member in full.items()
        }
    if isinstance(value, list | tuple):
        items = [one["items"] for one in certain if isinstance(one.get("items"), dict)]
        return [_filled(item, items, root) for item in value]
    return copy.deepcopy(value)


def _members_of(schemas: Sequence[Schema], name: str) -> list[Schema]:
    return [
        schema["properties"][name]
        for schema in schemas
        if isinstance(schema.get("properties"), Mapping)
        and isinstance(schema["properties"].get(name), Mapping)
    ]
