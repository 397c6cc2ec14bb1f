"""Components: the schemas of documents, as an OpenAPI document holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import email_profiles_schemas

from ...documents import SECRET, compose_profile_schema, request_schema
from ...runtime import EmailProfiles
from . import marks
from .values import COMPONENTS, Schema

_VALUES = ("const", "default", "enum", "examples")
"""Keywords that hold values, in which a `$ref` means nothing."""

PROBLEM: Schema = {
    "title": "Problem details",
    "description": "What is wrong (RFC 9457). `type` names the kind of problem for"
    " good; `problems` has every mistake in what was sent, `remedy` what to do.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "stage": {"type": "string"},
        "problems": {"type": "array", "items": {"$ref": COMPONENTS + "Problem"}},
    },
}


def of_documents(
    profiles: EmailProfiles, kinds: Mapping[str, str]
) -> dict[str, Schema]:
    """
    The schemas by their names; *kinds* are the schemas of further documents.

    An email profile is one of its modes, those that plugins add among them.
    """
    found = {
        "Secret": _secret(),
        "ProblemDetails": PROBLEM,
        "SendRequest": embedded(request_schema(), "SendRequest"),
        "TestMessage": embedded(_test_message(), "TestMessage"),
    }
    for component, kind in kinds.items():
        if kind == "email_profile":
            found |= dict(_profiles(profiles, component))
        else:
            found[component] = embedded(email_profiles_schemas.load(kind), component)
    return found


def _profiles(profiles: EmailProfiles, component: str) -> Iterator[tuple[str, Schema]]:
    branches = []
    for mode, provider in sorted(profiles.plugins.providers.items()):
        name = f"{component}.{re.sub(r'[^A-Za-z0-9._-]', '_', mode)}"
        whole = compose_profile_schema(mode, provider.schema, provider.title)
        del whole["$defs"]["secret"]
        yield name, embedded(whole, name)
        branches.append({"$ref": COMPONENTS + name})
    title = email_profiles_schemas.load("email_profile")["title"]
    yield component, {"title": title, "oneOf": branches}


def _test_message() -> Schema:
    """A send request, whose profile the path says."""
    schema = request_schema()
    required = [one for one in schema["required"] if one != "profile"]
    return {**schema, "title": "Test Message", "required": required}


def _secret() -> Schema:
    """What a secret is given as, and the mark that is shown of it."""
    schema = embedded(email_profiles_schemas.load("secret"), "Secret")
    return {**schema, "oneOf": [*schema["oneOf"], marks.SCHEMA]}


def embedded(schema: Mapping[str, Any], component: str) -> Schema:
    """*schema* where it is the *component*: references lead there, and are local."""
    moved: Schema = _moved(schema, component)
    for keyword in ("$schema", "$id"):
        moved.pop(keyword, None)
    if not moved.get("$defs", True):
        del moved["$defs"]
    return moved


def _moved(value: Any, component: str) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _to(member, component)
            if name == "$ref" and isinstance(member, str)
            else member
            if name in _VALUES
            else _moved(member, component)
            for name, member in value.items()
            if not (name == "writeOnly" and member is True)  # it is read, as a mark
        }
    if isinstance(value, list | tuple):
        return [_moved(member, component) for member in value]
    return value


def _to(reference: str, component: str) -> str:
    if reference == SECRET:
        return COMPONENTS + "Secret"
    if reference.startswith("#"):
        return COMPONENTS + component + reference[1:]
    return reference
