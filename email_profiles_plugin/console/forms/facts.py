"""What a schema says of one value: in one description, as far as it is certain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from ...documents.shapes import SECRET, Place, Schema, find, here
from .fields import Choice


@frozen
class Part:
    """What speaks of the value at *place*: *sure*ly, and *all* that may."""

    place: Place
    sure: tuple[Schema, ...]
    all: tuple[Schema, ...]


@frozen
class Facts:
    """Reads the schemas within *root*."""

    root: Schema

    def of(self, part: Part) -> dict[str, Any]:
        """One description of a value, of all that speak of it for certain."""
        sure = self.parts(part.sure, certain=True)
        facts = _merged(sure or part.all)
        if not sure:
            _widen(facts, part.all)
        if not {"type", "enum", "const"} & facts.keys():
            for keyword in ("oneOf", "anyOf"):
                if facts.get(keyword):
                    return self._of_branches(facts, keyword)
        return facts

    def _of_branches(self, facts: dict[str, Any], keyword: str) -> dict[str, Any]:
        """Of several forms that a value may have, the one that is not null."""
        branches = [
            _merged(self.parts((one,), certain=True))
            for one in facts[keyword]
            if isinstance(one, Mapping)
        ]
        left = [one for one in branches if one.get("type") != "null"]
        if len(left) != 1:
            return facts
        found = {**left[0], **facts}
        if len(left) < len(branches):
            found["type"] = [*all_types(left[0]), "null"]
        return found

    def choices(self, facts: Schema) -> tuple[Choice, ...]:
        """The values that there are, where they are counted."""
        if "const" in facts:
            return _numbered([(facts["const"], "")])
        if isinstance(facts.get("enum"), list | tuple):
            return _numbered([(one, "") for one in facts["enum"]])
        for keyword in ("oneOf", "anyOf"):
            branches = facts.get(keyword) or ()
            found = [
                _merged(self.parts((one,), certain=True))
                for one in branches
                if isinstance(one, Mapping)
            ]
            if found and all("const" in one for one in found):
                titled = [(one["const"], text_of(one.get("title"))) for one in found]
                return _numbered(titled)
        return ()

    def parts(self, schemas: Iterable[Schema], *, certain: bool) -> tuple[Schema, ...]:
        parts = {
            id(one): one
            for schema in schemas
            for one in here(schema, self.root, certain=certain)
        }
        return tuple(parts.values())


def _merged(schemas: Iterable[Schema]) -> dict[str, Any]:
    """What *schemas* say together; of two that say something, the first."""
    merged: dict[str, Any] = {}
    for one in schemas:
        merged = {**one, **merged}
    return merged


def _widen(facts: dict[str, Any], schemas: Sequence[Schema]) -> None:
    """Of what different branches say, nothing is certain, but what all say."""
    if len({json.dumps(one.get("type")) for one in schemas if "type" in one}) > 1:
        for keyword in ("type", "enum", "const"):
            facts.pop(keyword, None)
        return
    values = [
        value
        for one in schemas
        for value in ([one["const"]] if "const" in one else one.get("enum", ()))
    ]
    if len(schemas) > 1 and values:
        facts.pop("const", None)
        texts = {json.dumps(value): value for value in values}
        facts["enum"] = list(texts.values())


def _numbered(values: Sequence[tuple[object, str]]) -> tuple[Choice, ...]:
    """Choices: a text is its own key, where all are texts; else its JSON is."""
    plain = all(isinstance(one, str) and one for one, _ in values)
    return tuple(
        Choice(
            str(value) if plain else json.dumps(value),
            label or (value if isinstance(value, str) and value else json.dumps(value)),
            value,
        )
        for value, label in values
    )


def holds_secret(schemas: Iterable[object], root: Schema) -> bool:
    """Whether a secret may be anywhere in what *schemas* describe."""
    waiting, seen = list(schemas), set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting.extend(one)
        if not isinstance(one, Mapping) or id(one) in seen:
            continue
        seen.add(id(one))
        reference = one.get("$ref")
        if SECRET in (reference, one.get("$id")) or one.get("writeOnly") is True:
            return True
        if isinstance(reference, str):
            waiting.append(find(root, reference))
        waiting.extend(one.values())
    return False


def types_of(facts: Schema) -> tuple[str, ...]:
    """The types that a value may have, but null."""
    return tuple(one for one in all_types(facts) if one != "null")


def all_types(facts: Schema) -> tuple[str, ...]:
    """The types that a value may have; none: any, or nothing is said."""
    kind = facts.get("type")
    return (kind,) if isinstance(kind, str) else tuple(texts_in(kind))


def texts_in(value: object) -> Iterator[str]:
    """The texts in a list; none, where *value* is no list."""
    if isinstance(value, list | tuple):
        yield from (one for one in value if isinstance(one, str))


def members_of(value: object) -> Iterable[object]:
    """The values of an object; none, where *value* is no object."""
    return value.values() if isinstance(value, Mapping) else ()


def text_of(value: object) -> str:
    """*value*, if it is a text; else ""."""
    return value if isinstance(value, str) else ""


def number_of(facts: Schema, keyword: str) -> int | None:
    """The whole number that *keyword* has, if it has one."""
    value = facts.get(keyword)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
