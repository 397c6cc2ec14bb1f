"""Beginnings: what a new document's form shows at first, of a preset or a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from ..documents import secret_pointers
from ..documents.shapes import place_of, value_at
from ..presets import PRESETS, Choices, Made, Preset, find, make, server_of
from ..profiles import Documents
from ..store.documents import Stored


@frozen(kw_only=True)
class Beginning:
    """
    What a form shows at first.

    *hints*: what belongs in a field, by its JSON path. *blanks*: words of capitals in
    the document that a person has to replace, by path. *notes*: what is to be known.
    """

    document: Mapping[str, Any] = field(factory=dict, repr=False)
    hints: Mapping[str, str] = field(factory=dict)
    blanks: Mapping[str, str] = field(factory=dict)
    notes: tuple[str, ...] = ()
    preset: Preset | None = None
    interactive: bool = True


@frozen(kw_only=True)
class Offer:
    """A way to begin with a preset, of one mode."""

    preset: Preset
    mode: str
    how: str = ""
    interactive: bool = True


def offers() -> list[tuple[Preset, tuple[Offer, ...]]]:
    """The presets, each with the ways to begin."""
    return [(preset, tuple(_offers(preset))) for preset in PRESETS]


def _offers(preset: Preset) -> Iterable[Offer]:
    for mode in preset.modes:
        if mode != "oauth2":
            yield Offer(preset=preset, mode=mode)
            continue
        yield Offer(preset=preset, mode=mode, how="a person grants access")
        if preset.access is not None and preset.access.application_scopes:
            how = "by the client's own credentials"
            yield Offer(preset=preset, mode=mode, how=how, interactive=False)


def of_profile(
    preset: str, mode: str, interactive: bool, clients: Iterable[Stored]
) -> Beginning:
    """An email profile of that preset; NotFound, and Invalid for what it has not."""
    found = find(preset)
    made = _made(found, mode, interactive)
    beginning = _beginning(found, made, "profile", made.profile, interactive)
    if made.client is None:
        return beginning
    document = copy.deepcopy(dict(beginning.document))
    document["auth"].pop("client", None)
    if name := _client_for(made, clients):
        document["auth"]["client"] = name
    return evolve(beginning, document=document)


def of_client(preset: str, interactive: bool) -> Beginning:
    """The OAuth2 client of that preset; NotFound, and Invalid where it has none."""
    found = find(preset)
    made = _made(found, "oauth2", interactive)
    return _beginning(found, made, "client", made.client or {}, interactive)


def copy_of(documents: Documents, stored: Stored) -> Beginning:
    """What is stored, under another name, without its secrets."""
    body = copy.deepcopy(dict(stored.body))
    pointers = secret_pointers(body, documents.kind.schema(body))
    for pointer in reversed(pointers):
        place = place_of(pointer)
        parent = value_at(body, place[:-1])
        if isinstance(parent, dict):
            parent.pop(str(place[-1]), None)
        elif isinstance(parent, list):
            parent[int(place[-1])] = None
    taken = {one.name for one in documents.list()}
    body["name"] = _free(stored.name, taken)
    notes = [f"This is a copy of {stored.name}; nothing is stored yet."]
    if pointers:
        notes.append("Its secrets were not copied: type them here.")
    return Beginning(document=body, notes=tuple(notes))


def _made(preset: Preset, mode: str, interactive: bool) -> Made:
    return make(preset, Choices(mode=mode, interactive=interactive))


def _beginning(
    preset: Preset,
    made: Made,
    which: str,
    document: Mapping[str, Any],
    interactive: bool,
) -> Beginning:
    body = copy.deepcopy(dict(document))
    hints, blanks = {}, {}
    for blank in made.blanks:
        if blank.document != which:
            continue
        hints[blank.path] = f"Write {blank.meaning}."
        blanks[blank.path] = blank.placeholder
        _clear(body, blank.path.removeprefix("$.").split("."), blank.placeholder)
    for wanted in made.secrets:
        if wanted.document == which:
            inner = "auth." if which == "profile" else ""
            hints[f"$.{inner}{wanted.field}"] = f"Write {wanted.meaning}."
    for path, word in blanks.items():
        if word in str(value_at(body, tuple(path.removeprefix("$.").split(".")))):
            hints[path] = f"{hints[path][:-1]} for {word}."
    return Beginning(
        document=body,
        hints=hints,
        blanks=blanks,
        notes=made.notes,
        preset=preset,
        interactive=interactive,
    )


def _clear(document: dict[str, Any], path: list[str], word: str) -> None:
    """Take *word* out where it is all that stands there; a person writes it anew."""
    parent = value_at(document, tuple(path[:-1]))
    value = parent.get(path[-1]) if isinstance(parent, dict) else None
    if value == word:
        del parent[path[-1]]
    elif isinstance(value, list):
        parent[path[-1]] = [one for one in value if one != word]


def _client_for(made: Made, clients: Iterable[Stored]) -> str:
    """The OAuth2 client that there is at the preset's authorization server, if any."""
    endpoint = str((made.client or {}).get("token_endpoint", ""))
    server = server_of(endpoint)
    for stored in clients:
        known = (stored.body.get("token_endpoint"), stored.body.get("issuer"))
        if server and any(server_of(one) is server for one in known if one):
            return stored.name
    return ""


def _free(name: str, taken: set[str]) -> str:
    stem = name[:55]
    numbered = (f"{stem} copy{'' if n == 1 else f' {n}'}" for n in range(1, 10_000))
    return next(one for one in numbered if one not in taken)
