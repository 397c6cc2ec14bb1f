"""
From a schema to the fields of its form.

What a schema says for certain is drawn; what can't be drawn is asked for as JSON, so
that a third party's schema of any shape has a form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve, frozen

from ...documents.hosts import PROTOCOLS
from ...documents.shapes import (
    Place,
    Schema,
    below,
    is_secret,
    names,
)
from .facts import (
    Facts,
    Part,
    all_types,
    holds_secret,
    members_of,
    number_of,
    text_of,
    texts_in,
    types_of,
)
from .fields import ABSENT, Choice, Field, Group, Layout, Widget

MAIN = "Main"
FIRST = (MAIN, "SMTP Server Settings", "OAuth2 Settings")
LAST = ("Advanced", "Advanced OAuth2 Settings", "Limits", "Policy")
"""The headings that stand first, and last, in this order; a plugin's are between."""

_DEEP = 5


def draw(schema: Schema) -> Layout:
    """The form of documents of *schema*, an object's, under its headings."""
    found = list(
        _Drawing(Facts(schema)).members(Part((), (schema,), (schema,)), MAIN, True)
    )
    fields = [one for one in found if isinstance(one, Field)]
    needed = [one for one in found if not isinstance(one, Field)]
    titles = dict.fromkeys(one.group for one in fields)
    middle = [one for one in titles if one not in (*FIRST, *LAST)]
    ordered = [one for one in (*FIRST, *middle, *LAST) if one in titles]
    groups = [
        Group(
            title,
            is_folded(title),
            tuple(
                sorted(
                    (one for one in fields if one.group == title),
                    key=lambda one: one.order,
                )
            ),
        )
        for title in ordered
    ]
    return Layout(tuple(groups), tuple(needed), schema)


def is_folded(title: str) -> bool:
    """Whether a group of this title is folded until somebody wants it."""
    return title.startswith("Advanced") or title in LAST


@frozen
class _Drawing:
    facts: Facts

    def members(
        self, part: Part, group: str, needed: bool, seen: tuple[int, ...] = ()
    ) -> Iterator[Field | Place]:
        """The fields of an object, however deep; and the objects that are needed."""
        sure = self.facts.parts(part.sure, certain=True)
        every = self.facts.parts(part.all, certain=False)
        known = names(every)
        required = {
            name
            for one in sure
            for name in texts_in(one.get("required"))
            if name in known
        }
        for index, name in enumerate(known):
            inner = Part(
                (*part.place, name),
                tuple(_named(sure, name)),
                below(every, self.facts.root, name),
            )
            yield from self._member(
                inner, group, needed and name in required, name in required, index, seen
            )
        yield from self._rest(part, every, known, group)

    def _member(
        self,
        part: Part,
        group: str,
        needed: bool,
        required: bool,
        index: int,
        seen: tuple[int, ...],
    ) -> Iterator[Field | Place]:
        facts = self.facts.of(part)
        name = str(part.place[-1])
        title = text_of(facts.get("title")) or name.replace("_", " ").title()
        own = tuple(id(one) for one in part.all)
        if (
            types_of(facts) == ("object",)
            and not is_secret(part.all)
            and names(self.facts.parts(part.all, certain=False))
            and len(part.place) < _DEEP
            and not set(own) & set(seen)
        ):
            if needed:
                yield part.place
            heading = text_of(facts.get("x-group")) or title
            yield from self.members(part, heading, needed, (*seen, *own))
            return
        order = number_of(facts, "x-order")
        yield evolve(
            self._field(part, facts, required),
            title=title,
            help=_help(facts),
            unit=text_of(facts.get("x-unit")),
            group=text_of(facts.get("x-group")) or group,
            order=1000 + index if order is None else order,
            required=needed,
            obliged=required,
            default=facts.get("default", ABSENT),
            schema=facts,
        )

    def _field(self, part: Part, facts: Schema, required: bool) -> Field:
        """What it is asked for by, and within what bounds."""
        plain = Field(place=part.place, widget="json", title="")
        if is_secret(part.all) or facts.get("writeOnly") is True:
            return evolve(
                plain,
                widget="secret",
                sealed=is_secret(part.all),
                multiline=facts.get("x-multiline") is True,
            )
        types, nullable = types_of(facts), "null" in all_types(facts)
        choices = self.facts.choices(facts)
        if choices:
            one = len(choices) == 1 and "const" in facts and required
            nullable = nullable or any(one.value is None for one in choices)
            offered = tuple(one for one in choices if one.value is not None)
            widget: Widget = "fixed" if one else "choice"
            return evolve(plain, widget=widget, choices=offered, nullable=nullable)
        bounded = evolve(
            plain,
            nullable=nullable,
            hides=holds_secret(part.all, self.facts.root),
            min_length=number_of(facts, "minLength") or 0,
            max_length=number_of(facts, "maxLength"),
            min_items=number_of(facts, "minItems") or 0,
            multiline=facts.get("x-multiline") is True,
        )
        if len(types) != 1 or bounded.hides:
            return bounded
        if types[0] == "array":
            return self._list(bounded, facts)
        if types[0] == "object":
            return self._map(bounded, facts)
        return _scalar(bounded, types[0], facts, required)

    def _list(self, field: Field, facts: Schema) -> Field:
        items = facts.get("items")
        if not isinstance(items, Mapping) or "prefixItems" in facts:
            return field
        inner = self.facts.of(Part((*field.place, 0), (items,), (items,)))
        separator = facts.get("x-separator") == ","
        choices = self.facts.choices(inner)
        if choices and all(isinstance(one.value, str) for one in choices):
            named = {one.key for one in choices} <= set(PROTOCOLS)
            if separator:
                return evolve(field, widget="commas", protocols=named)
            if facts.get("uniqueItems") is True:
                return evolve(field, widget="several", choices=choices)
        if all_types(inner) == ("string",):
            return evolve(field, widget="commas" if separator else "lines")
        return field

    def _map(self, field: Field, facts: Schema) -> Field:
        inner = facts.get("additionalProperties")
        if isinstance(inner, Mapping) and "patternProperties" not in facts:
            member = self.facts.of(Part((*field.place, "x"), (inner,), (inner,)))
            if all_types(member) == ("string",) and not self.facts.choices(member):
                return evolve(field, widget="pairs")
        return field

    def _rest(
        self, part: Part, every: Sequence[Schema], known: tuple[str, ...], group: str
    ) -> Iterator[Field]:
        """What an object may hold beside the properties that are named."""
        inner = [
            member
            for one in every
            for member in (
                one.get("additionalProperties"),
                one.get("unevaluatedProperties"),
                *members_of(one.get("patternProperties")),
            )
            if isinstance(member, Mapping) and member
        ]
        if not inner or holds_secret(inner, self.facts.root):
            return
        yield Field(
            place=part.place,
            widget="json",
            title="Other Properties",
            help="More properties, as a JSON object.",
            group=group,
            order=9999,
            rest=known,
        )


def _named(schemas: Iterable[Schema], name: str) -> Iterator[Schema]:
    for one in schemas:
        properties = one.get("properties")
        if isinstance(properties, Mapping):
            inner = properties.get(name)
            if isinstance(inner, Mapping):
                yield inner


def _scalar(field: Field, kind: str, facts: Schema, required: bool) -> Field:
    references = text_of(facts.get("x-references"))
    if kind == "string" and references:
        return evolve(field, widget="choice", references=references)
    if kind == "string":
        return evolve(field, widget="area" if field.multiline else "text")
    if kind == "boolean":
        settled = required or isinstance(facts.get("default"), bool)
        if settled and not field.nullable:
            return evolve(field, widget="flag")
        yes_no = (Choice("true", "Yes", True), Choice("false", "No", False))
        return evolve(field, widget="choice", choices=yes_no)
    least = facts.get("minimum", facts.get("exclusiveMinimum"))
    most = facts.get("maximum", facts.get("exclusiveMaximum"))
    bounds = tuple("" if one is None else json.dumps(one) for one in (least, most))
    return evolve(
        field, widget="number", integer=kind == "integer", bounds=(bounds[0], bounds[1])
    )


def _help(facts: Schema) -> str:
    """The description; what is null in a document is empty in a form."""
    return text_of(facts.get("description")).replace("Null:", "Empty:")
