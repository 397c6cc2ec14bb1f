"""The API's description: as OpenAPI for programs, and as a page for people."""

from __future__ import annotations

import json
import shlex
from typing import Any

from starlette.responses import Response

from ..access import Role
from ..calls import Call
from ..places import Place
from .openapi import OPERATIONS, by_tag, document, problems_of
from .operations import ROOT, Operation, answer
from .values import Schema

SHORT = 70
"""Characters of an example that stand on one line."""


def described(call: Call) -> Response:
    """The OpenAPI document."""
    return answer(_document(call))


def page(call: Call) -> Response:
    """All operations by group, with an example of each, and the schemas."""
    found = _document(call)
    groups = [
        (tag, [_shown(call, one, found) for one in operations])
        for tag, operations in by_tag(OPERATIONS)
    ]
    schemas = {
        name: json.dumps(schema, indent=2, ensure_ascii=False)
        for name, schema in found["components"]["schemas"].items()
    }
    return call.page("api.html", groups=groups, schemas=schemas, root=_url(call))


def _document(call: Call) -> dict[str, Any]:
    console = call.console
    return document(
        call.profiles,
        url=_url(call),
        cookie=console.sessions.cookie,
        version=console.version,
    )


def _url(call: Call) -> str:
    return call.console.base_url + ROOT


def _shown(call: Call, one: Operation, found: dict[str, Any]) -> dict[str, Any]:
    """What the page tells of *one*."""
    responses = found["components"]["responses"]
    answers = [
        (
            int(each.status),
            each.description,
            _component(each.schema) if each.kind else "",
        )
        for each in one.answers
    ]
    problems = [
        (code, responses[f"problem{code}"]["description"], "ProblemDetails")
        for code in problems_of(one)
    ]
    return {
        "operation": one,
        "answers": answers + problems,
        "body": _component(one.body.schema) if one.body else "",
        "schema": json.dumps(one.body.schema, indent=2) if one.body else "",
        "curl": curl(_url(call), one),
    }


def _component(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _written(example: object) -> str:
    """On one line where it fits there."""
    line = json.dumps(example)
    return line if len(line) <= SHORT else json.dumps(example, indent=2)


def curl(url: str, one: Operation) -> str:
    """A command that calls *one*, to be filled in."""
    lines = ['curl -H "Authorization: Bearer $TOKEN"']
    if one.method not in ("GET", "POST") or (one.method == "POST" and one.body is None):
        lines[0] += f" -X {one.method}"
    if any(each.name == "If-Match" for each in one.parameters):
        lines.append("""-H 'If-Match: "7"'""")
    if one.body is not None:
        lines.append(f"-H 'Content-Type: {one.body.types[0]}'")
        lines.append(f"-d {shlex.quote(_written(one.body.example))}")
    wanted = "&".join(
        f"{each.name}=2026-11-23T08:00:00Z" for each in one.parameters if each.required
    )
    path = one.path.replace("{", "").replace("}", "").upper()
    for word in one.path.split("/"):
        if word and not word.startswith("{"):
            path = path.replace(f"/{word.upper()}", f"/{word}", 1)
    lines.append(f"'{url}{path}?{wanted}'" if wanted else f"{url}{path}")
    return " \\\n  ".join(lines)


PLACES = (
    Place(
        "GET", f"{ROOT}/openapi.json", "api/openapi.json", Role.VIEWER, described, True
    ),
    Place("GET", "/api", "api", Role.VIEWER, page),
)
