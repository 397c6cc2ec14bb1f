"""Where a document holds secrets and references, and where it sends secrets to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

import email_profiles_schemas

from .shapes import Schema, below, here, is_secret, pointer, visit, with_defaults

_SMTP = (
    "hostname",
    "port",
    "use_ssl",
    "use_starttls",
    "ssl_protocols",
    "ca_file",
    "verify_certificate",
    "allow_plaintext_auth",
)
_AUTH = ("mode", "username", "client")
_CLIENT = (
    "client_id",
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "issuer",
    "assertion_audience",
    "ca_file",
)
_KINDS = frozenset({"env", "file", "sealed"})


@frozen
class Reference:
    """The document at *pointer* names a *kind* (`oauth2_client`) called *name*."""

    pointer: str
    kind: str
    name: str


def secret_pointers(document: object, schema: Schema) -> tuple[str, ...]:
    """
    The JSON pointers of all secrets in *document*, in its order: `/auth/password`.

    *schema* is the whole document's: `profile_schema(document, schemas)`,
    `client_schema()`. In a document that is not valid, what is misspelt is no secret.
    """
    return tuple(
        pointer(spot.place)
        for spot in visit(document, schema)
        if is_secret(spot.schemas)
    )


def map_secrets(
    document: Mapping[str, Any],
    schema: Schema,
    change: Callable[[str, object], object],
) -> dict[str, Any]:
    """
    A copy of *document* in which each secret is `change(pointer, secret)`.

    *schema* as for `secret_pointers`. Raises what *change* raises.
    """
    changed: dict[str, Any] = _mapped(
        document,
        schema,
        here(schema, schema),
        (),
        lambda place, value, schemas: (
            (change(pointer(place), value),) if is_secret(schemas) else ()
        ),
    )
    return changed


def references(document: object, schema: Schema) -> tuple[Reference, ...]:
    """What *document* refers to by name, as `x-references` in its schema says."""
    return tuple(
        Reference(pointer(spot.place), kind, spot.value)
        for spot in visit(document, schema)
        if isinstance(spot.value, str) and (kind := _kind(spot.schemas))
    )


def rename_reference(
    document: Mapping[str, Any], schema: Schema, kind: str, old: str, new: str
) -> dict[str, Any]:
    """A copy of *document* that names the *kind* called *old* as *new*."""
    changed: dict[str, Any] = _mapped(
        document,
        schema,
        here(schema, schema),
        (),
        lambda place, value, schemas: (
            (new,) if value == old and _kind(schemas) == kind else ()
        ),
    )
    return changed


def _kind(schemas: Sequence[Schema]) -> str:
    for one in schemas:
        kind = one.get("x-references")
        if isinstance(kind, str):
            return kind
    return ""


_Change = Callable[[tuple[str | int, ...], object, Sequence[Schema]], tuple[Any, ...]]


def _mapped(
    value: object,
    root: Schema,
    schemas: Sequence[Schema],
    place: tuple[str | int, ...],
    change: _Change,
) -> Any:
    """A copy of *value* with what *change* returns, in a tuple of one, put in."""
    if changed := change(place, value, schemas):
        return changed[0]
    if not schemas or is_secret(schemas):
        return copy.deepcopy(value)
    if isinstance(value, Mapping):
        return {
            key: _mapped(member, root, below(schemas, root, key), (*place, key), change)
            for key, member in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _mapped(member, root, below(schemas, root, at), (*place, at), change)
            for at, member in enumerate(value)
        ]
    return copy.deepcopy(value)


def changed_place(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """
    What differs between two email profiles in where their secrets would go.

    Names fields (`smtp.hostname`). Where any is named, stored secrets and tokens are
    not used with *new*. A mode that a plugin adds counts with all it has in auth but
    references to secrets, since nobody else knows where it sends them.
    """
    before, after = _place_of_profile(old), _place_of_profile(new)
    fields = dict.fromkeys((*before, *after))
    return tuple(name for name in fields if before.get(name) != after.get(name))


def changed_client_place(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[str, ...]:
    """What differs between two OAuth2 clients in where their secrets would go."""
    return tuple(name for name in _CLIENT if old.get(name) != new.get(name))


def _place_of_profile(document: Mapping[str, Any]) -> dict[str, object]:
    full = with_defaults(document, email_profiles_schemas.load("email_profile"))
    smtp, auth = full.get("smtp", {}), full.get("auth", {})
    place = {f"smtp.{name}": smtp.get(name) for name in _SMTP}
    known = auth.get("mode") in ("basic", "oauth2")
    for name in _AUTH if known else (*_AUTH, *auth):
        if not _is_stored_secret(auth.get(name)):
            place[f"auth.{name}"] = auth.get(name)
    return place


def _is_stored_secret(value: object) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and value.keys() <= _KINDS
