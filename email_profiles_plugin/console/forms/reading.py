"""What a form sends, as a document: what was not touched stays as it was stored."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from email_profiles_hookspecs import Problem

from ...documents import map_secrets
from ...documents.shapes import json_path, place_of, pointer, value_at
from .fields import ABSENT, Field, Layout, member, put, value_of
from .texts import Raw, Unreadable, from_json, same, show
from .texts import read as read_value

Data = Mapping[str, Sequence[str]]
"""The names and values that a form sends."""

KEPT: Mapping[str, object] = {"stored": True}
"""Stands, in JSON, for a secret that is stored and never shown."""

JSON = "#json"
AGAIN = "#again"
ENV = "#env"
FILE = "#file"
REMOVE = "#remove"
"""What is added to a field's name for what else is asked for."""


@frozen(kw_only=True)
class Reading:
    """
    What was sent: a document, as far as it can be read.

    *typed*: what was sent, but secrets, for the form to show again. *without*: the
    JSON pointers of stored secrets that are given up. *secrets*: the names of the
    fields in which some were typed.
    """

    document: dict[str, Any] = field(repr=False)
    problems: tuple[Problem, ...] = ()
    typed: Mapping[str, Raw] = field(factory=dict, repr=False)
    without: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


def read(layout: Layout, data: Data, base: Mapping[str, Any]) -> Reading:
    """
    The document that *data* makes of *base*.

    What is as the form showed it stays in *base*'s own words. What was changed is put
    in; a default that *base* does not name is left out, and so is what is empty, where
    it may be.
    """
    reader = _Reader(layout, data, base)
    for one in layout:
        reader.take(one)
    reader.complete()
    return Reading(
        document=reader.restored(),
        problems=tuple(reader.problems),
        typed=reader.typed,
        without=tuple(reader.without),
        secrets=tuple(reader.secrets),
    )


def masked(layout: Layout, document: Mapping[str, Any]) -> dict[str, Any]:
    """*document* with a word in the place of each secret."""
    return map_secrets(document, layout.root, lambda _, secret: dict(KEPT))


@define
class _Reader:
    layout: Layout
    data: Data
    base: Mapping[str, Any]
    problems: list[Problem] = field(factory=list)
    typed: dict[str, Raw] = field(factory=dict)
    without: list[str] = field(factory=list)
    secrets: list[str] = field(factory=list)
    document: dict[str, Any] = field(init=False)
    shown: dict[str, Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.document = copy.deepcopy(dict(self.base))
        self.shown = masked(self.layout, self.base)

    def take(self, one: Field) -> None:
        """What was sent for one field, into the document."""
        if one.widget == "fixed":
            return
        try:
            if one.widget == "secret":
                self._secret(one)
            else:
                self._plain(one)
        except Unreadable as error:
            self._wrong(one, error)

    def complete(self) -> None:
        """What every document has, or every object in which something is."""
        for place in self.layout.needed:
            _make(self.document, place)
        for one in self.layout:
            missing = value_of(self.document, one) is ABSENT and one.obliged
            there = member(self.document, one.place[:-1])
            if missing and isinstance(there, Mapping):
                if one.widget == "flag":
                    put(self.document, one, False)
                elif one.widget == "fixed":
                    put(self.document, one, one.choices[0].value)

    def restored(self) -> dict[str, Any]:
        """The document, with the stored secrets that a form only has a word for."""

        def change(pointer: str, secret: object) -> object:
            if not same(secret, KEPT):
                return secret
            stored = value_at(self.base, place_of(pointer), ABSENT)
            if stored is ABSENT:
                self.problems.append(
                    Problem(
                        path=json_path(place_of(pointer)),
                        message="is not stored, so it can't be kept",
                        remedy="type the secret itself",
                    )
                )
            return None if stored is ABSENT else stored

        return map_secrets(self.document, self.layout.root, change)

    def _plain(self, one: Field) -> None:
        before = value_of(self.shown, one)
        as_json = one.name + JSON in self.data
        raw = self._sent(one.name + JSON if as_json else one.name)
        self.typed[one.name + (JSON if as_json else "")] = raw
        if raw == show(one, before):
            return
        if as_json or (one.widget == "json" and raw):
            value = from_json(raw[0]) if raw else ABSENT
        else:
            value = read_value(one, raw)
        if one.rest is not None and not isinstance(value, Mapping):
            if value is not ABSENT:
                raise Unreadable("has to be a JSON object", 'as in {"name": "value"}')
        elif before is ABSENT and same(value, one.default):
            return
        put(self.document, one, value)

    def _secret(self, one: Field) -> None:
        typed = "".join(self._sent(one.name))
        again = "".join(self._sent(one.name + AGAIN))
        stored = value_of(self.base, one)
        given: list[object] = [typed] if typed or again else []
        for suffix, kind in ((ENV, "env"), (FILE, "file")) if one.sealed else ():
            raw = self._sent(one.name + suffix)
            self.typed[one.name + suffix] = raw
            text = "".join(raw).strip()
            before = stored.get(kind) if isinstance(stored, Mapping) else None
            if text and text != before:
                given.append({kind: text})
        remove = bool(self._sent(one.name + REMOVE))
        self.typed[one.name + REMOVE] = ("on",) if remove else ()
        if typed or again:
            self.secrets.append(one.name)
        if len(given) + remove > 1:
            raise Unreadable(
                "is given in more than one way",
                "type it, or name where it comes from, or remove it",
            )
        if (typed or again) and typed != again and not one.multiline:
            raise Unreadable("was not typed the same twice", "type it again, twice")
        if remove:
            put(self.document, one, ABSENT)
            self.without.append(pointer(one.place))
        elif given:
            put(self.document, one, given[0])

    def _sent(self, name: str) -> Raw:
        """What was sent under *name*, line ends as documents have them."""
        sent = (one.replace("\r\n", "\n") for one in self.data.get(name, ()))
        return tuple(one for one in sent if one)

    def _wrong(self, one: Field, error: Unreadable) -> None:
        put(self.document, one, value_of(self.base, one))
        self.problems.append(
            Problem(path=one.path, message=error.message, remedy=error.remedy)
        )


def _make(document: dict[str, Any], place: tuple[str | int, ...]) -> None:
    found: Any = document
    for key in place:
        if key not in found:
            found[key] = {}
        found = found[key]
        if not isinstance(found, dict):
            return
