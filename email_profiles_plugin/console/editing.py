"""Editing: a document's form, as it is shown, as it comes back, and stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    Invalid,
    NameTaken,
    NotFound,
    StaleRevision,
)

from ..profiles import Applied, Documents
from ..store.audit import Entry
from ..store.documents import Stored
from . import refusals, sources
from .calls import Call
from .forms import Form, Layout, Reading, draw, fill, read

REVISION = "revision"
"""The name of the hidden field that says what a form was made of."""


@frozen(kw_only=True)
class Draft:
    """
    A document before it is stored.

    *stored*: what it takes the place of; None: it is new. *base*: what it is whatever
    is typed, such as its mode. *initial*: what a new one's form shows at first. *hints*
    are what belongs somewhere, by JSON path; *blanks* words that may not be left over.
    """

    documents: Documents
    stored: Stored | None = None
    base: Mapping[str, Any] = field(factory=dict, repr=False)
    initial: Mapping[str, Any] = field(factory=dict, repr=False)
    hints: Mapping[str, str] = field(factory=dict)
    blanks: Mapping[str, str] = field(factory=dict)

    @property
    def layout(self) -> Layout:
        """The fields of its form."""
        return draw(self.documents.kind.schema(self.base))


@frozen(kw_only=True)
class Change:
    """What somebody else did to a document meanwhile: the titles of what differs."""

    entry: Entry
    titles: tuple[str, ...]


@frozen(kw_only=True)
class Refused:
    """What was sent and could not be stored: the form, with why; and the HTTP state."""

    form: Form = field(repr=False)
    status: int
    changes: tuple[Change, ...] = ()


def draft_of(documents: Documents, stored: Stored) -> Draft:
    """To edit what is stored."""
    return Draft(
        documents=documents, stored=stored, base=stored.body, initial=stored.body
    )


def shown(call: Call, draft: Draft) -> Form:
    """The form as nobody has touched it, with what a linter says of what is stored."""
    stored = draft.stored
    return fill(
        draft.layout,
        draft.initial,
        stored=stored.body if stored else {},
        warnings=warnings_of(draft.documents, stored) if stored else (),
        names=names_of(call, draft.layout),
        hints=draft.hints,
        revision=stored.revision if stored else 0,
    )


def names_of(call: Call, layout: Layout) -> dict[str, list[str]]:
    """The documents that fields of *layout* may refer to, by kind."""
    known = call.profiles.documents
    kinds = {one.references for one in layout} & known.keys()
    return {kind: [one.name for one in known[kind].list()] for kind in kinds}


def warnings_of(documents: Documents, stored: Stored) -> list[Problem]:
    """What is allowed, and most likely not meant; nothing where no plugin can tell."""
    try:
        return documents.kind.warn(stored.body)
    except EmailProfilesError:
        return []


def store(call: Call, draft: Draft) -> Applied | Refused:
    """Store what *call* has sent; where that can't be, nothing is stored."""
    form = call.form
    data = {name: form.getlist(name) for name in form}
    reading = read(draft.layout, data, draft.base)
    stored, name = draft.stored, reading.document.get("name")
    if isinstance(name, str) and (stored is None or name != stored.name):
        reading.document["name"] = name.strip()
    revision = _revision(form.get(REVISION, ""))
    if stored is not None and revision != stored.revision:
        return _stale(call, draft, reading, revision)
    problems = _problems(call, draft, reading)
    try:
        if problems:
            draft.documents.prepare(
                reading.document,
                reading.document.get("name"),
                stored,
                reading.without,
            )
            raise Invalid(draft.documents.kind.title, problems)
        return _apply(call, draft, reading)
    except Invalid as error:
        return _wrong(call, draft, reading, _joined(problems, error.problems))
    except NameTaken:
        return _wrong(call, draft, reading, [_taken(draft.documents)])
    except StaleRevision:
        if stored is None:
            return _wrong(call, draft, reading, [_taken(draft.documents)])
        again = draft_of(draft.documents, draft.documents.by_id(stored.id))
        return _stale(call, again, reading, revision)
    except EmailProfilesError as error:  # a plugin's check, or the store: try again
        told = Problem(path="$", message=str(error))
        return _wrong(call, draft, reading, [told], error)


def told(title: str, done: Applied) -> str:
    """What became of a document, called *title*, in a sentence."""
    became = {
        "created": "was created",
        "changed": "was changed",
        "unchanged": "is as it was: there was nothing to change",
    }
    return f"{title} {done.stored.name} {became[done.change]}."


def _apply(call: Call, draft: Draft, reading: Reading) -> Applied:
    if draft.stored is None:
        return draft.documents.apply(reading.document, actor=call.actor, based_on=0)
    return draft.documents.change(
        draft.stored.id,
        reading.document,
        actor=call.actor,
        based_on=draft.stored.revision,
        without=reading.without,
    )


def _problems(call: Call, draft: Draft, reading: Reading) -> list[Problem]:
    """What the document itself does not tell: how it was typed, and where it comes."""
    documents, document = draft.documents, reading.document
    problems = list(reading.problems)
    home = call.profiles.home
    problems += sources.mistakes(documents, document, draft.stored, home=home)
    if draft.stored is None and _is_there(documents, document.get("name")):
        problems.append(_taken(documents))
    for one in draft.layout:
        word = draft.blanks.get(one.path, "")
        if word and any(word in raw for raw in reading.typed.get(one.name, ())):
            message, hint = f"still has {word} in it", draft.hints.get(one.path, "")
            problems.append(Problem(path=one.path, message=message, remedy=hint))
    return problems


def _is_there(documents: Documents, name: object) -> bool:
    try:
        documents.get(name if isinstance(name, str) else "")
    except NotFound:
        return False
    return True


def _taken(documents: Documents) -> Problem:
    message = f"is the name of another {documents.kind.title}"
    return Problem(path="$.name", message=message, remedy="choose another")


def _joined(own: Sequence[Problem], found: Sequence[Problem]) -> list[Problem]:
    """Both; of a field that can't be read, nothing else is told."""
    told = {one.path for one in own}
    return [*own, *(one for one in found if one.path not in told)]


def _wrong(
    call: Call,
    draft: Draft,
    reading: Reading,
    problems: Sequence[Problem],
    error: EmailProfilesError | None = None,
) -> Refused:
    stored = draft.stored
    form = fill(
        draft.layout,
        draft.base,
        stored=stored.body if stored else {},
        reading=reading,
        problems=problems,
        names=names_of(call, draft.layout),
        hints=draft.hints,
        revision=stored.revision if stored else 0,
    )
    status = refusals.status_of(error or Invalid("", problems))
    return Refused(form=form, status=int(status))


def _stale(call: Call, draft: Draft, reading: Reading, revision: int) -> Refused:
    """What was typed, beside what somebody else has stored; to be sent on top."""
    stored = draft.stored
    assert stored is not None
    form = fill(
        draft.layout,
        stored.body,
        stored=stored.body,
        reading=reading,
        names=names_of(call, draft.layout),
        theirs=True,
        revision=stored.revision,
    )
    changes = []
    for entry in call.profiles.trail(subject_id=stored.id):
        if entry.detail.get("revision", revision + 1) <= revision:
            break
        titles = tuple(_titles(draft.layout, entry.detail.get("changed", ())))
        changes.append(Change(entry=entry, titles=titles))
    status = int(refusals.status_of(StaleRevision("")))
    return Refused(form=form, status=status, changes=tuple(changes))


def _titles(layout: Layout, names: Sequence[str]) -> Sequence[str]:
    """What forms call the properties of those names (`smtp.port`)."""
    titles: dict[str, None] = {}
    for name in names:
        path = f"$.{name}"
        within = [
            one.title for one in layout if one.path == path or f"{path}." in one.path
        ]
        titles |= dict.fromkeys(within or [name])
    return list(titles)


def _revision(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
