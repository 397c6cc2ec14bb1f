"""Marks: what stands for a stored secret in a document that goes out over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ...documents import json_path, map_secrets, secret_pointers
from ...profiles import Documents
from ...sealing import value_at
from ...store.documents import Stored
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


def taken(documents: Documents, given: object, stored: Stored | None) -> Any:
    """
    *given* with what is stored in the place of each mark; Invalid where nothing is.

    Whether that may be used in *given*, its other values, is for `apply` to say.
    """
    if not isinstance(given, Mapping):
        return given
    problems: list[Problem] = []

    def change(pointer: str, secret: object) -> object:
        if secret != MARK:
            return secret
        path = pointer.split("/")[1:]
        kept = value_at(stored.body, path) if stored is not None else None
        if kept is None or _is_reference(kept):
            message = "no secret is stored here that could be kept"
            remedy = "give the secret, or leave it out"
            problems.append(
                Problem(path=json_path(tuple(path)), message=message, remedy=remedy)
            )
        return kept

    found = map_secrets(given, documents.kind.schema(given), change)
    if problems:
        raise Invalid(f"{documents.kind.title} {given.get('name')!r}", problems)
    return found


def given_up(
    documents: Documents, given: Mapping[str, Any], stored: Stored
) -> tuple[str, ...]:
    """The pointers of the stored secrets that *given* lacks."""
    return tuple(
        pointer
        for pointer in secret_pointers(stored.body, documents.kind.schema(stored.body))
        if value_at(given, pointer.split("/")[1:]) is None
    )


def _is_reference(secret: object) -> bool:
    return isinstance(secret, Mapping) and bool({"env", "file"} & secret.keys())
