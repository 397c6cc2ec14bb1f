"""Secrets within documents: sealed in their place, and never following to another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from attrs import frozen

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import SecretError

from .documents import map_secrets, secret_pointers
from .documents.shapes import Schema, below, here, names
from .secrets import Keyring

Body = Mapping[str, Any]
Moved = Callable[[Body, Body], tuple[str, ...]]


@frozen(kw_only=True)
class Sealer:
    """
    Seals the secrets of one kind of document.

    *schema* gives a document's schema, *moved* what differs between two documents in
    where their secrets would go.
    """

    keyring: Keyring
    schema: Callable[[object], Schema]
    moved: Moved

    def keep(
        self, given: Body, old: Body, without: Collection[str] = ()
    ) -> tuple[dict[str, Any], list[Problem]]:
        """
        *given* with the stored secrets of *old* that it leaves out.

        Not those at the pointers *without*: they are given up. One that would go to
        another place than before is dropped, with a warning.
        """
        body: dict[str, Any] = copy.deepcopy(dict(given))
        warnings: list[Problem] = []
        if not _alike(given, old):
            return body, warnings
        moved = self.moved(old, given)
        for pointer in secret_pointers(old, self.schema(old)):
            path = pointer.split("/")[1:]
            parent = value_at(body, path[:-1])
            if pointer in without:
                continue
            if not isinstance(parent, dict) or path[-1] in parent:
                continue
            if not moved:
                parent[path[-1]] = value_at(old, path)
            elif _same_mode(body, old):
                message = f"the stored secret was dropped: {moved[0]} has changed"
                warnings.append(
                    Problem(path=_path(pointer), message=message, remedy="set it anew")
                )
        return body, warnings

    def problems(self, given: Body, old: Body | None, id: str) -> list[Problem]:
        """The sealed values in *given* that may not be used in this document."""
        moved = self.moved(old, given) if old is not None else ()
        found: list[Problem] = []
        for pointer in secret_pointers(given, self.schema(given)):
            sealed = _sealed(value_at(given, pointer.split("/")[1:]))
            if sealed is None:
                continue
            message = f"a stored secret does not follow to another {moved and moved[0]}"
            if not moved:
                try:
                    self.keyring.open(f"{id}#{pointer}", sealed)
                    continue
                except SecretError as error:
                    message = error.message
            found.append(
                Problem(path=_path(pointer), message=message, remedy="type it anew")
            )
        return found

    def seal(self, given: Body, old: Body | None, id: str) -> dict[str, Any]:
        """*given* with each secret sealed in its place; one that is as before stays."""

        def change(pointer: str, value: object) -> object:
            if not isinstance(value, str):
                return value
            place = f"{id}#{pointer}"
            before = value_at(old or {}, pointer.split("/")[1:])
            sealed = _sealed(before)
            if sealed is not None and self._opens_to(place, sealed, value):
                return before
            return {"sealed": self.keyring.seal(place, value)}

        return map_secrets(given, self.schema(given), change)

    def path_of(self, body: Body, field: str) -> list[str] | None:
        """Where the secret called *field* stands in *body*: at its top, or in auth."""
        wanted = field.removeprefix("$.").split(".")
        for path in (wanted, ["auth", *wanted]):
            probe = with_value(body, path, "")
            if "/" + "/".join(path) in secret_pointers(probe, self.schema(probe)):
                return path
        return None

    def fields(self, body: Body) -> tuple[str, ...]:
        """What a document like *body* may have as secrets, as `path_of` takes them."""
        schema = self.schema(body)
        top = here(schema, schema)
        blocks = (top, below(top, schema, "auth"))
        found = (name for block in blocks for name in names(block))
        return tuple(name for name in dict.fromkeys(found) if self.path_of(body, name))

    def reseal(self, body: Body, id: str) -> dict[str, Any]:
        """
        *body* with each sealed value sealed by the newest key.

        Also within auth of a mode that nobody here knows, however deep.
        """

        def change(pointer: str, value: object) -> object:
            sealed = _sealed(value)
            if sealed is not None:
                place = f"{id}#{pointer}"
                opened = self.keyring.open(place, sealed)
                return {"sealed": self.keyring.seal(place, opened)}
            if isinstance(value, Mapping):
                return {key: change(_below(pointer, key), value[key]) for key in value}
            if isinstance(value, list):
                pairs = enumerate(value)
                return [change(_below(pointer, key), one) for key, one in pairs]
            return value

        return map_secrets(body, self.schema(body), change)

    def _opens_to(self, place: str, sealed: str, value: str) -> bool:
        try:
            return self.keyring.open(place, sealed) == value
        except SecretError:
            return False


def value_at(document: object, path: Sequence[str]) -> Any:
    """What stands at *path* in nested objects; None where nothing does."""
    for key in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def with_value(document: Body, path: Sequence[str], value: object) -> dict[str, Any]:
    """A copy of *document* with *value* at *path*."""
    body: dict[str, Any] = copy.deepcopy(dict(document))
    parent = body
    for key in path[:-1]:
        parent = parent.setdefault(key, {})
    parent[path[-1]] = value
    return body


def _alike(given: Body, old: Body) -> bool:
    """The blocks of *old* are blocks in *given* too, so that they can be compared."""
    return all(
        isinstance(given.get(name, {}), Mapping)
        for name, value in old.items()
        if isinstance(value, Mapping)
    )


def _sealed(value: object) -> str | None:
    found = value.get("sealed") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None


def _below(pointer: str, key: object) -> str:
    """RFC 6901."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _same_mode(given: Body, old: Body) -> bool:
    return bool(value_at(given, ["auth", "mode"]) == value_at(old, ["auth", "mode"]))


def _path(pointer: str) -> str:
    return "$" + pointer.replace("/", ".")
