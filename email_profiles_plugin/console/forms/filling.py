"""A form, filled: each field with what it shows, and with what is wrong beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

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
    remove: bool = False
    theirs: str | None = None
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


@frozen(kw_only=True)
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
    theirs: bool = False,
    revision: int = 0,
) -> Form:
    """
    The form of *document*, or, once it was sent, of what was typed.

    *stored*: what secrets there are already. *names*: the documents that there are to
    refer to, by kind. *theirs*: say where *document* is not what was typed.
    """
    hidden = masked(layout, document)
    known = names or {}
    at = {one.name: one for one in layout}
    beside = _beside(at.values(), problems)
    noted = _beside(at.values(), warnings)
    sections = []
    for group in layout.groups:
        fields = tuple(
            _filled(
                one,
                hidden,
                stored or {},
                reading,
                known,
                beside.get(one.name, ()),
                noted.get(one.name, ()),
                theirs,
            )
            for one in group.fields
            if one.widget != "fixed"
        )
        if not fields:
            continue
        told = any(one.problems or one.warnings or one.changed for one in fields)
        section = Section(
            title=group.title,
            folded=group.folded,
            open=told or any(one.theirs is not None for one in fields),
            fields=fields,
        )
        sections.append(section)
    return Form(
        sections=tuple(sections),
        told=tuple(_told(layout, problems)),
        warned=tuple(_told(layout, warnings)),
        revision=revision,
        retype=reading is not None and reading.secrets,
    )


def _filled(
    one: Field,
    document: Mapping[str, Any],
    stored: Mapping[str, Any],
    reading: Reading | None,
    names: Mapping[str, Sequence[str]],
    problems: Sequence[Problem],
    warnings: Sequence[Problem],
    theirs: bool,
) -> Filled:
    if one.widget == "secret":
        return _secret(one, stored, reading, tuple(problems), tuple(warnings))
    value = value_of(document, one)
    as_json = one.widget != "json" and not suits(one, value)
    raw = current = show(one, value)
    if reading is not None and not one.hides:
        as_json = one.name + JSON in reading.typed
        raw = reading.typed.get(one.name + (JSON if as_json else ""), ())
    return Filled(
        field=one,
        raw=raw,
        as_json=as_json,
        choices=_offered(one, raw, names),
        problems=tuple(problems),
        warnings=tuple(warnings),
        theirs=_readable_raw(one, current) if theirs and raw != current else None,
        changed=raw != show(one, ABSENT),
    )


def _secret(
    one: Field,
    stored: Mapping[str, Any],
    reading: Reading | None,
    problems: tuple[Problem, ...],
    warnings: tuple[Problem, ...],
) -> Filled:
    """Whether it is stored, and where it comes from; never the secret."""
    value = value_of(stored, one)
    kind = "" if value is ABSENT else "sealed"
    origin = env = file = ""
    if one.sealed and isinstance(value, Mapping):
        kind = next((key for key in ("env", "file") if key in value), "sealed")
        origin = str(value.get(kind, "")) if kind != "sealed" else ""
    if reading is not None:
        env = "".join(reading.typed.get(one.name + ENV, ()))
        file = "".join(reading.typed.get(one.name + FILE, ()))
    else:
        env = origin if kind == "env" else ""
        file = origin if kind == "file" else ""
    return Filled(
        field=one,
        problems=problems,
        warnings=warnings,
        stored=kind,
        origin=origin,
        env=env,
        file=file,
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


def _told(layout: Layout, problems: Iterable[Problem]) -> Iterable[Told]:
    fields = [one for one in layout if one.widget != "fixed"]
    for problem in problems:
        one = _field_of(fields, problem.path)
        if one is not None:
            yield Told(title=one.title, problem=problem, anchor=one.id)
            continue
        below = [one for one in fields if one.path.startswith(f"{problem.path}.")]
        anchor = below[0].id if below and problem.path != "$" else ""
        title = below[0].group if anchor else ""
        yield Told(title=title, problem=problem, anchor=anchor)


def _readable(number: str) -> str:
    return f"{int(number):,}" if number.lstrip("-").isdecimal() else number


def _readable_raw(one: Field, raw: Raw) -> str:
    if one.widget == "flag":
        return "on" if raw else "off"
    return ", ".join(raw) or "nothing"
