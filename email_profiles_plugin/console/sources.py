"""
Where a document that comes over HTTP may take its secrets from.

Whoever may change documents is not thereby allowed to read this machine's environment
and files: a variable sent as a password to a server of one's own would be read. What
was stored otherwise, by a command, may stay as it is, where it goes to the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ..documents import secret_pointers
from ..documents.shapes import json_path, place_of, value_at
from ..profiles import Documents
from ..store.documents import Stored

PREFIX = "EMAIL_PROFILES_SECRET_"
"""What the names of environment variables have to begin with."""


def folder(home: Path) -> Path:
    """Where the files have to be."""
    return home / "secrets"


def insist(
    documents: Documents, document: object, old: Stored | None, *, home: Path
) -> None:
    """Invalid where *document*, to be stored or tried, has such a reference."""
    if problems := mistakes(documents, document, old, home=home):
        raise Invalid(documents.kind.title, problems)


def mistakes(
    documents: Documents, document: object, old: Stored | None, *, home: Path
) -> list[Problem]:
    """
    The references in *document* that may not come over HTTP.

    *old*: what is stored in its place. A reference that stands there already is none,
    unless the secret would go to another place than before.
    """
    if not isinstance(document, Mapping):
        return []
    kind = documents.kind
    known = old.body if old is not None and not kind.validate(document) else {}
    if old is not None and known and kind.moved(old.body, document):
        known = {}
    found = []
    for pointer in secret_pointers(document, kind.schema(document)):
        place = place_of(pointer)
        value = value_at(document, place)
        if not isinstance(value, Mapping) or value == value_at(known, place):
            continue
        if wrong := _mistake(value, home):
            path = json_path(place)
            found.append(Problem(path=path, message=wrong[0], remedy=wrong[1]))
    return found


def _mistake(value: Mapping[str, Any], home: Path) -> tuple[str, str] | None:
    name, path = value.get("env"), value.get("file")
    if isinstance(name, str) and not name.startswith(PREFIX):
        return (
            f"may only name an environment variable that begins with {PREFIX}",
            "name such a one here, or use the command line",
        )
    if isinstance(path, str) and not _is_within(path, folder(home)):
        return (
            f"may only name a file in {folder(home)}",
            "put it there, or use the command line",
        )
    return None


def _is_within(path: str, folder: Path) -> bool:
    """Whether *path*, whole and with its links followed, is below *folder*."""
    try:
        found = Path(path)
        return found.is_absolute() and folder.resolve() in found.resolve().parents
    except (OSError, ValueError, RuntimeError):
        return False
