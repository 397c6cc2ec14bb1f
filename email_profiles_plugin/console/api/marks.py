"""Marks: what stands for a stored secret in a document that goes out over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ...documents import json_path, map_secrets, secret_pointers
from ...documents.shapes import place_of, value_at
from ...profiles import Documents
from ...store.documents import Stored
from .. import sources
from .values import Schema

MARK: Mapping[str, bool] = {"stored": True}
"""Sent back in its place, it keeps the secret."""

SCHEMA: Schema = {
    "title": "Stored",
    "description": "The secret that is stored here; it is never shown.",
    "type": "object",
    "required": ["stored"],
    "properties": {"stored": {"const": True}},
    "additionalProperties": False,
}


def shown(documents: Documents, stored: Stored) -> dict[str, Any]:
    """The document, a mark in the place of each secret that is no reference."""
    return map_secrets(
        stored.body,
        documents.kind.schema(stored.body),
        lambda _, secret: secret if _is_reference(secret) else dict(MARK),
    )


def taken(
    documents: Documents, given: object, stored: Stored | None, *, home: Path
) -> Any:
    """
    *given* with what is stored in the place of each mark; Invalid where nothing is.

    Invalid, too, for a secret from where none may come over HTTP. Whether a stored one
    may be used with the other values in *given* is for `apply` to say.
    """
    if not isinstance(given, Mapping):
        return given
    problems: list[Problem] = []

    def change(pointer: str, secret: object) -> object:
        if secret != MARK:
            return secret
        place = place_of(pointer)
        kept = value_at(stored.body, place) if stored is not None else None
        if kept is None or _is_reference(kept):
            message = "no secret is stored here that could be kept"
            remedy = "give the secret, or leave it out"
            path = json_path(place)
            problems.append(Problem(path=path, message=message, remedy=remedy))
        return kept

    found = map_secrets(given, documents.kind.schema(given), change)
    if problems:
        raise Invalid(f"{documents.kind.title} {given.get('name')!r}", problems)
    sources.insist(documents, found, stored, home=home)
    return found


def given_up(
    documents: Documents, given: Mapping[str, Any], stored: Stored
) -> tuple[str, ...]:
    """The pointers of the stored secrets that *given* lacks."""
    return tuple(
        pointer
        for pointer in secret_pointers(stored.body, documents.kind.schema(stored.body))
        if value_at(given, place_of(pointer)) is None
    )


def _is_reference(secret: object) -> bool:
    return isinstance(secret, Mapping) and bool({"env", "file"} & secret.keys())
