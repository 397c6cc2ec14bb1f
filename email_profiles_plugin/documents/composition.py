"""The schema of a whole document: the core's, joined with its mode's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import email_profiles_schemas

from .shapes import SECRET, Schema, beside, find, here, names

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_VALUES = ("const", "default", "enum", "examples")
"""Keywords that hold values, in which a `$ref` means nothing."""

_AUTH = "#/properties/auth"


def client_schema() -> Schema:
    """The schema of an OAuth2 client's document."""
    return email_profiles_schemas.load("oauth2_client")


def request_schema() -> Schema:
    """The schema of a send request's JSON form."""
    return email_profiles_schemas.load("send_request")


def profile_schema(document: object, schemas: Mapping[str, Schema]) -> Schema:
    """
    The schema of *document*, an email profile, as its mode says.

    Where the mode is not among *schemas*, every property of auth counts as a secret.
    """
    auth = document.get("auth") if isinstance(document, Mapping) else None
    mode = auth.get("mode") if isinstance(auth, Mapping) else None
    if isinstance(mode, str) and mode in schemas:
        return compose_profile_schema(mode, schemas[mode], mode)
    core = email_profiles_schemas.load("email_profile")
    core["properties"]["auth"]["additionalProperties"] = {
        "$ref": SECRET,
        "writeOnly": True,
    }
    return core


def compose_profile_schema(
    mode: str, auth_schema: Schema, title: str
) -> dict[str, Any]:
    """
    The schema of an email profile of *mode*, self-contained (draft 2020-12).

    For editors, OpenAPI and forms; documents are validated in two passes instead.
    """
    core = email_profiles_schemas.load("email_profile")
    outer = core["properties"]["auth"]
    auth = _moved(auth_schema)
    for keyword in ("$schema", "$id"):
        auth.pop(keyword, None)
    name = {**outer["properties"]["mode"], "const": mode}
    auth["properties"] = {"mode": name, **auth.get("properties", {})}
    auth["required"] = ["mode", *auth.get("required", ())]
    if not is_open([auth]):
        for keyword in ("additionalProperties", "unevaluatedProperties"):
            if auth.get(keyword) in (True, {}):
                del auth[keyword]
        if "additionalProperties" not in auth:
            auth["unevaluatedProperties"] = False
    heading = {"title": outer["title"], "description": outer["description"]}
    core["properties"]["auth"] = {**heading, **auth}
    core["$id"] = f"{core['$id']}:{mode}"
    core["title"] = f"{core['title']} ({title})"
    core["$defs"] = {"secret": email_profiles_schemas.load("secret")}
    return core


def is_open(schemas: Iterable[Schema]) -> bool:
    """
    Whether *schemas* describe properties that they do not name.

    A bare `true` describes nothing: where it counted, a misspelt password would be
    taken for a property, and stored as it is.
    """
    return any(
        isinstance(described := schema.get(keyword), Mapping) and described != {}
        for schema in schemas
        for keyword in ("additionalProperties", "unevaluatedProperties")
    )


def _moved(value: Any) -> Any:
    """A plain copy of *value*, a schema, whose local references say where it goes."""
    if isinstance(value, Mapping):
        return {
            str(key): _to_auth(member)
            if key == "$ref" and isinstance(member, str)
            else plain(member)
            if key in _VALUES
            else _moved(member)
            for key, member in value.items()
        }
    if isinstance(value, list | tuple):
        return [_moved(member) for member in value]
    return value


def _to_auth(reference: str) -> str:
    return _AUTH + reference[1:] if reference.startswith("#") else reference


def plain(value: Any) -> Any:
    """A deep copy of *value* in dictionaries and lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value


def check_auth_schema(schema: object) -> list[str]:
    """
    Why *schema* can't be a mode's; empty: it can.

    It has to be a valid JSON Schema (draft 2020-12) of an object that does not name
    `mode`, and to refer only to itself (`#...`) and to the secret's schema.
    """
    if not isinstance(schema, Mapping):
        return ["the schema is not an object"]
    whole = plain(schema)
    if whole.get("$schema", _DRAFT) not in (_DRAFT, f"{_DRAFT}#"):
        return ["the schema is not of draft 2020-12"]
    if reason := _invalid(whole):
        return [reason]
    reasons = list(dict.fromkeys(_references(whole)))
    if whole.get("type") != "object":
        reasons.append("the schema's type is not object")
    if not reasons and _names_mode(whole):
        reasons.append("the schema names mode, which the core adds")
    return reasons


def _invalid(schema: dict[str, Any]) -> str:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path))
        return f"the schema is not a valid JSON Schema at #/{place}"
    return ""


def _references(schema: dict[str, Any]) -> Iterator[str]:
    for depth, one in _within(schema):
        for keyword in ("$dynamicRef", "$anchor", "$dynamicAnchor"):
            if isinstance(one.get(keyword), str):
                yield f"the schema uses {keyword}, which is not supported"
        if depth and isinstance(one.get("$id"), str):
            yield "a part of the schema has an $id of its own"
        reference = one.get("$ref")
        if not isinstance(reference, str) or reference == SECRET:
            continue
        if find(schema, reference) is None:
            yield f"the schema's $ref {reference[:80]!r} does not resolve"
        elif _circular(one, schema):
            yield f"the schema's $ref {reference[:80]!r} leads back to itself"


def _within(schema: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every schema in *schema*, and every object that might be one."""
    waiting: list[tuple[int, Any]] = [(0, schema)]
    while waiting:
        depth, value = waiting.pop()
        if isinstance(value, dict):
            yield depth, value
            waiting.extend(
                (depth + 1, each) for key, each in value.items() if key not in _VALUES
            )
        elif isinstance(value, list):
            waiting.extend((depth + 1, each) for each in value)


def _circular(schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether validating one value by *schema* comes back to it for the same value."""
    return any(
        following is schema
        for one in here(schema, root)
        for following in beside(one, root)
    )


def _names_mode(schema: dict[str, Any]) -> bool:
    parts = here(schema, schema)
    return "mode" in names(parts) or any(
        "mode" in part.get("required", ()) for part in parts
    )
