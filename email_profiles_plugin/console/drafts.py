"""Drafts: an email profile as its form holds it, before it is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ..store.documents import Stored
from . import sources
from .calls import Call
from .forms import Told, draw, fill, read

UNNAMED = "not named yet"
"""The name of what is tested before it has one."""


@frozen(kw_only=True)
class Draft:
    """
    What can be tested, unless *told* says what is wrong with it.

    *without*: the JSON pointers of stored secrets that are given up. *warnings* are
    what is most likely not meant.
    """

    document: Mapping[str, Any] = field(repr=False)
    without: Sequence[str] = ()
    told: Sequence[Told] = ()
    warnings: Sequence[Problem] = ()


def draft_of(call: Call, stored: Stored | None, mode: str) -> Draft:
    """
    The values in the form that came: of *stored*, or of a new profile of this *mode*.

    A secret that was left empty is the stored one, where that may be used: it does not
    follow to another server, user or client. A name that was changed is not looked at.
    """
    documents = call.profiles.profiles
    base = stored.body if stored is not None else {"auth": {"mode": mode}}
    layout = draw(documents.kind.schema(base))
    data = {name: call.form.getlist(name) for name in call.form}
    reading = read(layout, data, base)
    typed = str(reading.document.get("name") or "").strip()
    name = stored.name if stored is not None else typed or UNNAMED
    document, warnings = {**reading.document, "name": name}, list[Problem]()
    problems = list(reading.problems)
    home = call.profiles.home
    problems += sources.mistakes(documents, document, stored, home=home)
    if stored is None and any(one.name == name for one in documents.list()):
        message = f"is the name of another {documents.kind.title}"
        problems.append(
            Problem(path="$.name", message=message, remedy="choose another")
        )
    try:
        warnings = documents.prepare(document, name, stored, reading.without)[3]
    except Invalid as error:
        told = {one.path for one in problems}
        problems += [one for one in error.problems if one.path not in told]
    kept = stored.body if stored is not None else {}
    form = fill(layout, base, stored=kept, reading=reading, problems=problems)
    return Draft(
        document=document,
        without=reading.without,
        told=form.told,
        warnings=warnings,
    )
