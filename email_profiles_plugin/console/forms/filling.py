"""A form, filled: each field with what it shows, and with what is wrong beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import evolve, frozen

from email_profiles_hookspecs import Problem

from .fields import ABSENT, Choice, Field, Layout, value_of
from .reading import ENV, FILE, JSON, Reading, masked
from .texts import Raw, show, suits


@frozen(kw_only=True)
class Filled:
    """
    One field as it is shown.

    *raw*: what stands in it. *stored*, of a secret: `sealed`, `env`, `file`, or "" for
    none; *origin*: the variable's or the file's name; *env*, *file*: what is typed for
    them. *theirs*: what is stored now, where that is something else.
    """

    field: Field
    raw: Raw = attrs.field(default=(), repr=False)
    as_json: bool = False
    choices: tuple[Choice, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    stored: str = ""
    origin: str = ""
    env: str = ""
    file: str = ""
    theirs: str | None = None
    hint: str = ""
    retype: bool = False
    changed: bool = False

    @property
    def name(self) -> str:
        """As which it is sent."""
        return self.field.name + (JSON if self.as_json else "")

    @property
    def text(self) -> str:
        """What stands in a field of text."""
        return self.raw[0] if self.raw else ""

    @property
    def draws_attention(self) -> bool:
        """Whether it is to be seen, also in a group that is folded otherwise."""
        told = self.problems or self.warnings or self.hint
        return bool(told) or self.changed or self.theirs is not None

    @property
    def blank(self) -> bool:
        """Whether nothing may be chosen of what there is to choose from."""
        one = self.field
        return (
            not self.raw or one.nullable or (one.default is ABSENT and not one.required)
        )

    @property
    def radios(self) -> bool:
        """Whether there is so little to choose from that all of it can be shown."""
        return len(self.choices) in (2, 3) and not self.blank

    @property
    def usual(self) -> str:
        """The default, as a person would write it."""
        if self.field.default in (ABSENT, None, "", [], {}):
            return ""
        if self.field.widget == "flag":
            return "on" if self.field.default else "off"
        shown = show(self.field, self.field.default)
        if self.field.widget == "number" and shown[0].lstrip("-").isdecimal():
            return f"{int(shown[0]):,}"
        labels = {one.key: one.label for one in self.field.choices}
        return ", ".join(labels.get(one, one) for one in shown)

    @property
    def range(self) -> str:
        """Within what bounds a number has to be."""
        least, most = (_readable(one) for one in self.field.bounds)
        if least and most and len(least) < 8:
            return f"{least} to {most}"
        return f"{most} at most" if most else (f"{least} at least" if least else "")


@frozen(kw_only=True)
class Told:
    """A line of the summary: what is wrong, of what, and where in the page."""

    title: str
    problem: Problem
    anchor: str = ""


@frozen
class Section:
    """A group of fields; *open*: what is folded otherwise is to be seen."""

    title: str
    folded: bool
    open: bool
    fields: tuple[Filled, ...]


@frozen(kw_only=True)
class Form:
    """*revision*: what the form was made of, 0 for a new document."""

    sections: tuple[Section, ...]
    told: tuple[Told, ...] = ()
    warned: tuple[Told, ...] = ()
    revision: int = 0
    retype: bool = False

    @property
    def first(self) -> str:
        """The field that a person should look at first."""
        return next((one.anchor for one in self.told if one.anchor), "")


def fill(
    layout: Layout,
    document: Mapping[str, Any],
    *,
    stored: Mapping[str, Any] | None = None,
    reading: Reading | None = None,
    problems: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
    names: Mapping[str, Sequence[str]] | None = None,
    hints: Mapping[str, str] | None = None,
    theirs: bool = False,
    revision: int = 0,
) -> Form:
    """
    The form of *document*, or, once it was sent, of what was typed.

    *stored*: what secrets there are already. *names*: the documents that there are to
    refer to, by kind. *hints*: what belongs in a field, by its JSON path. *theirs*:
    say where *document* is not what was typed.
    """
    filler = _Filler(
        document=masked(layout, document),
        stored=stored or {},
        reading=reading,
        names=names or {},
        theirs=theirs,
    )
    beside, noted = _beside(layout, problems), _beside(layout, warnings)
    sections = []
    for group in layout.groups:
        fields = tuple(
            evolve(
                filler.field(one),
                problems=beside.get(one.name, ()),
                warnings=noted.get(one.name, ()),
                hint=(hints or {}).get(one.path, ""),
            )
            for one in group.fields
            if one.widget != "fixed"
        )
        if fields:
            opened = any(one.draws_attention for one in fields)
            sections.append(Section(group.title, group.folded, opened, fields))
    return Form(
        sections=tuple(sections),
        told=tuple(_told(layout, problems)),
        warned=tuple(_told(layout, warnings)),
        revision=revision,
        retype=reading is not None and bool(reading.secrets),
    )


@frozen(kw_only=True)
class _Filler:
    """*document* has words for its secrets; *stored* has them as they are kept."""

    document: Mapping[str, Any] = attrs.field(repr=False)
    stored: Mapping[str, Any] = attrs.field(repr=False)
    reading: Reading | None
    names: Mapping[str, Sequence[str]]
    theirs: bool

    def field(self, one: Field) -> Filled:
        """One field with what stands in it."""
        if one.widget == "secret":
            return self._secret(one)
        value = value_of(self.document, one)
        as_json = one.widget != "json" and not suits(one, value)
        raw = current = show(one, value)
        if self.reading is not None and not one.hides:
            typed = self.reading.typed
            as_json = one.name + JSON in typed
            raw = typed.get(one.name + (JSON if as_json else ""), ())
        differs = self.theirs and raw != current
        return Filled(
            field=one,
            raw=raw,
            as_json=as_json,
            choices=_offered(one, raw, self.names),
            theirs=_readable_raw(one, current) if differs else None,
            changed=raw != show(one, ABSENT),
        )

    def _secret(self, one: Field) -> Filled:
        """Whether it is stored, and where it comes from; never the secret."""
        value = value_of(self.stored, one)
        kind, origin = ("" if value is ABSENT else "sealed"), ""
        if one.sealed and isinstance(value, Mapping):
            kind = next((key for key in ("env", "file") if key in value), "sealed")
            origin = str(value.get(kind, "")) if kind != "sealed" else ""
        env = origin if kind == "env" else ""
        file = origin if kind == "file" else ""
        if self.reading is not None:
            env = "".join(self.reading.typed.get(one.name + ENV, ()))
            file = "".join(self.reading.typed.get(one.name + FILE, ()))
        return Filled(
            field=one,
            stored=kind,
            origin=origin,
            env=env,
            file=file,
            retype=self.reading is not None and one.name in self.reading.secrets,
            changed=kind != "",
        )


def _offered(
    one: Field, raw: Raw, names: Mapping[str, Sequence[str]]
) -> tuple[Choice, ...]:
    """What there is to choose from; what is chosen too, where it is gone."""
    if not one.references:
        return one.choices
    there = list(names.get(one.references, ()))
    gone = [key for key in raw if key not in there]
    return (
        *(Choice(key, key, key) for key in there),
        *(Choice(key, f"{key} (there is none)", key) for key in gone),
    )


def _beside(
    fields: Iterable[Field], problems: Iterable[Problem]
) -> dict[str, tuple[Problem, ...]]:
    """The problems of each field: at its place, or within."""
    found: dict[str, tuple[Problem, ...]] = {}
    listed = list(fields)
    for problem in problems:
        if (one := _field_of(listed, problem.path)) is not None:
            found[one.name] = (*found.get(one.name, ()), problem)
    return found


def _field_of(fields: Iterable[Field], path: str) -> Field | None:
    best: Field | None = None
    for one in fields:
        within = path == one.path or path.startswith((f"{one.path}.", f"{one.path}["))
        if within and (best is None or len(one.place) >= len(best.place)):
            best = one if best is None or one.rest is None else best
    return best


def _told(layout: Layout, problems: Iterable[Problem]) -> list[Told]:
    """A line for each problem, as the fields stand in the page."""
    fields = [one for one in layout if one.widget != "fixed"]
    order = {one.id: at for at, one in enumerate(fields)}
    told = []
    for problem in problems:
        one, title = _field_of(fields, problem.path), ""
        if one is None and problem.path != "$":
            below = [
                each for each in fields if each.path.startswith(f"{problem.path}.")
            ]
            one = below[0] if below else None
            title = one.group if one is not None else ""
        anchor = one.id if one is not None else ""
        title = title or (one.title if one is not None else "")
        told.append(Told(title=title, problem=problem, anchor=anchor))
    return sorted(told, key=lambda one: order.get(one.anchor, -1))


def _readable(number: str) -> str:
    return f"{int(number):,}" if number.lstrip("-").isdecimal() else number


def _readable_raw(one: Field, raw: Raw) -> str:
    if one.widget == "flag":
        return "on" if raw else "off"
    return ", ".join(raw) or "nothing"
