"""The OpenAPI document (3.1), made of the operations and the schemas as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...runtime import EmailProfiles
from ..problems import MEDIA_TYPE
from . import access, catalogue, document_operations, message_operations, tokens, trials
from .components import of_documents
from .document_operations import COLLECTIONS
from .operations import Answer, Operation, PageOf, Parameter
from .values import COMPONENTS, Schema, components_of

OPERATIONS: tuple[Operation, ...] = (
    *document_operations.OPERATIONS,
    *trials.OPERATIONS,
    *tokens.OPERATIONS,
    *message_operations.OPERATIONS,
    *catalogue.OPERATIONS,
    *access.OPERATIONS,
)
"""All that can be done."""

ABOUT = """\
All that the console does, for programs. Documents have revisions: an answer's `ETag` is
sent back as `If-Match`, and nobody's change is lost. What is wrong is told as problem
details. Who may call an operation is in its `x-role`."""

_PATH: dict[str, tuple[str, Schema]] = {
    "name": (
        "The name, percent-encoded.",
        {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
    ),
    "field": (
        "The secret's place: `password`, `auth.password`, `client_secret`.",
        {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
    ),
    "id": ("The whole id.", {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}),
}

_MEANINGS: dict[int, str] = {
    400: "What was sent can't be read.",
    401: "Nobody is signed in.",
    403: "The role does not allow it.",
    404: "There is none.",
    409: "What is stored does not allow it.",
    412: "It was changed since: read it again.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "It breaks its rules; `problems` has every mistake.",
    428: "It is there: say which revision the change is based on.",
    502: "Another server failed, or refused.",
    503: "The store can't be used now.",
    504: "Another server kept us waiting.",
}


def document(
    profiles: EmailProfiles, *, url: str, cookie: str = "session", version: str = ""
) -> dict[str, Any]:
    """The whole document; *url* is where the API is, *cookie* the session's name."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        item = paths.setdefault(one.path, {})
        if names := re.findall(r"{(\w+)}", one.path):
            item["parameters"] = [_in_path(name) for name in names]
        item[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Email profiles",
            "version": version or "0",
            "description": ABOUT,
        },
        "servers": [{"url": url}],
        "security": [{"bearer": []}, {"cookie": []}],
        "tags": [{"name": name} for name in dict.fromkeys(o.tag for o in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(_schemas(profiles).items())),
            "responses": {f"problem{code}": _problem(code) for code in _MEANINGS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }


def _schemas(profiles: EmailProfiles) -> dict[str, Schema]:
    kinds = {one.component: one.kind for one in COLLECTIONS}
    found = of_documents(profiles, kinds)
    for operation in OPERATIONS:
        for answer in operation.answers:
            kind = answer.kind.kind if isinstance(answer.kind, PageOf) else answer.kind
            found |= components_of(kind)
    return found


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.id,
        "tags": [one.tag],
        "summary": one.summary,
        "x-role": str(one.rule),
    }
    if one.description:
        told["description"] = one.description
    if one.parameters:
        told["parameters"] = [_parameter(each) for each in one.parameters]
    if one.body is not None:
        media: dict[str, Any] = {"schema": one.body.schema}
        if one.body.example is not None:
            media["example"] = one.body.example
        told["requestBody"] = {
            "required": one.body.required,
            "content": dict.fromkeys(one.body.types, media),
        }
    told["responses"] = {
        **{str(int(each.status)): _answer(each) for each in one.answers},
        **{
            str(code): {"$ref": f"#/components/responses/problem{code}"}
            for code in problems_of(one)
        },
    }
    return told


def problems_of(one: Operation) -> list[int]:
    """The states of problem details that *one* may answer."""
    codes = {400, 401, 403, 503, *map(int, one.errors)}
    if "{" in one.path:
        codes.add(404)
    if one.method != "GET":
        codes.add(413)
    if one.body is not None:
        codes |= {415, 422}
    return sorted(codes)


def _in_path(name: str) -> dict[str, Any]:
    description, schema = _PATH[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": "header" if one.header else "query",
        "required": one.required,
        "description": one.description,
        "schema": one.schema,
    }


def _answer(one: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"description": one.description}
    if one.headers:
        told["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in one.headers.items()
        }
    if one.kind is not None:
        told["content"] = {one.media_type: {"schema": one.schema}}
    return told


def _problem(code: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": _MEANINGS[code],
        "content": {MEDIA_TYPE: {"schema": {"$ref": COMPONENTS + "ProblemDetails"}}},
    }
    headers = {401: "WWW-Authenticate", 503: "Retry-After"}
    if code in headers:
        told["headers"] = {headers[code]: {"schema": {"type": "string"}}}
    return told


def by_tag(operations: Sequence[Operation]) -> Iterator[tuple[str, list[Operation]]]:
    """The operations of each tag, in their order."""
    for tag in dict.fromkeys(one.tag for one in operations):
        yield tag, [one for one in operations if one.tag == tag]
