"""Operations: a place of the API with what it takes and answers, said once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from attrs import field, frozen
from starlette.responses import Response

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ...documents import validate_document
from ...runtime import EmailProfiles
from ..access import Role
from ..calls import Call
from ..places import Place
from ..problems import ProblemDetails
from ..rendering import octets
from . import bodies
from .values import COMPONENTS, Schema, as_json, schema_of

ROOT = "/api/v1"

MOST = 500
"""Entries on one page."""


@frozen(kw_only=True)
class Parameter:
    """What may stand in the query, or in a header of that name."""

    name: str
    description: str
    schema: Schema
    header: bool = False
    required: bool = False


@frozen(kw_only=True)
class Body:
    """A body: its *schema*; *required*: it may not be missing; *types*: its media."""

    schema: Schema
    required: bool = True
    example: Any = None
    types: tuple[str, ...] = (bodies.JSON,)


@frozen
class PageOf:
    """One page of a list of *kind*; `next` reads on, null: that was the last."""

    kind: Any

    @property
    def schema(self) -> Schema:
        """Of the page."""
        return {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": schema_of(self.kind)},
                "next": {"type": ["string", "null"]},
            },
            "required": ["items", "next"],
            "additionalProperties": False,
        }


@frozen(kw_only=True)
class Answer:
    """
    A good answer: *kind* is the type of what it holds, or its schema; None: nothing.

    *headers* go by name, and say what is in them.
    """

    description: str
    kind: Any = None
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(factory=dict)
    media_type: str = bodies.JSON

    @property
    def schema(self) -> Schema:
        """Of what it holds."""
        if isinstance(self.kind, PageOf):
            return self.kind.schema
        return self.kind if isinstance(self.kind, dict) else schema_of(self.kind)


@frozen(kw_only=True)
class Asked:
    """A call with what it says, read and checked: the query by name, the body."""

    call: Call
    query: Mapping[str, Any]
    body: Any = field(default=None, repr=False)

    @property
    def profiles(self) -> EmailProfiles:
        """The facade."""
        return self.call.profiles

    def __getitem__(self, name: str) -> str:
        """What stands in the path."""
        return self.call.params[name]


@frozen(kw_only=True)
class Operation:
    """
    One thing that can be done: at `ROOT` + *path*, for who has *rule*.

    *errors* are the states of problem details that it may answer, besides those that
    follow from what it takes; of a failure they are the gate's to tell. *id* is unique,
    in words with underscores. *most* octets may be sent.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    rule: Role
    run: Callable[[Asked], Response]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: tuple[Answer, ...]
    errors: tuple[int, ...] = ()
    most: int = 1_048_576

    @property
    def place(self) -> Place:
        """The route."""
        name = "api" + self.path.replace("{", "").replace("}", "")
        return Place(
            self.method,
            ROOT + self.path,
            name,
            self.rule,
            self._answer,
            api=True,
            most=self.most,
        )

    def _answer(self, call: Call) -> Response:
        try:
            query = self._query(call)
            return self.run(Asked(call=call, query=query, body=self._body(call)))
        except ProblemDetails as problem:
            return problem.response()

    def _query(self, call: Call) -> dict[str, Any]:
        known = {one.name: one for one in self.parameters if not one.header}
        query: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, text in call.request.query_params.multi_items():
            if name not in known:
                message = "is no parameter here"
                remedy = f"there are {', '.join(known)}" if known else "there are none"
                problems.append(Problem(path=name[:64], message=message, remedy=remedy))
            elif name in query:
                problems.append(Problem(path=name, message="is there twice"))
            else:
                query[name] = _converted(text, known[name].schema)
        problems += _mistakes(query, known.values())
        if problems:
            raise ProblemDetails(
                HTTPStatus.BAD_REQUEST,
                "invalid-parameter",
                "the query has mistakes",
                problems=problems,
            )
        return {
            name: query.get(name, one.schema.get("default"))
            for name, one in known.items()
        }

    def _body(self, call: Call) -> Any:
        if self.method in ("GET", "HEAD"):
            return None
        if self.body is None:
            if call.body.strip() not in (b"", b"{}"):
                raise ProblemDetails(
                    HTTPStatus.BAD_REQUEST, "unexpected-body", "this takes no body"
                )
            return None
        if not call.body and not self.body.required:
            return {}
        bodies.check_type(call.request.headers.get("content-type"), self.body.types)
        found = bodies.read(call.body)
        if problems := validate_document(found, _bare(self.body.schema), _no_more):
            raise Invalid("the body", problems)
        return found


def _no_more(document: Mapping[str, Any]) -> Iterator[Any]:
    yield from ()


def _bare(schema: Any) -> Any:
    """*schema* without what is a component: who is handed that checks it."""
    if isinstance(schema, Mapping):
        if str(schema.get("$ref", "")).startswith(COMPONENTS):
            return {"type": "object"}
        return {name: _bare(one) for name, one in schema.items()}
    return schema


def _mistakes(
    query: Mapping[str, Any], known: Iterable[Parameter]
) -> Iterator[Problem]:
    plain: dict[str, Schema] = {}
    for one in known:
        if one.required and one.name not in query:
            yield Problem(path=one.name, message="has to be given")
        elif one.schema.get("format") != "date-time":
            plain[one.name] = one.schema
        elif not isinstance(query.get(one.name), datetime | None):
            message = "is no date and time with a time zone"
            remedy = "such as 2026-11-23T08:00:00Z; a + is written %2B"
            yield Problem(path=one.name, message=message, remedy=remedy)
    values = {name: value for name, value in query.items() if name in plain}
    schema = {"type": "object", "properties": plain}
    for problem in validate_document(values, schema, _no_more):
        name = problem.path.removeprefix("$.")
        yield Problem(path=name, message=problem.message, remedy=problem.remedy)


def _converted(text: str, schema: Schema) -> Any:
    """*text* of a query as its *schema* has it; as it is where that can't be."""
    if schema.get("type") == "integer":
        digits = text.removeprefix("-")
        plain = digits.isascii() and digits.isdigit() and len(digits) < bodies.DIGITS
        return int(text) if plain else text
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if schema.get("format") == "date-time":
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return text
        return found if found.utcoffset() is not None else text
    return text


def answer(
    value: object,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    media_type: str = bodies.JSON,
) -> Response:
    """*value* as JSON."""
    return Response(octets(as_json(value)), status, headers, media_type=media_type)


LIMIT = Parameter(
    name="limit",
    description="So many entries at most.",
    schema={"type": "integer", "minimum": 1, "maximum": MOST, "default": 100},
)
AFTER = Parameter(
    name="after",
    description="Read on: the `next` of the page before.",
    schema={"type": "string", "minLength": 1, "maxLength": 200},
)


def object_of(**properties: Schema) -> Schema:
    """The schema of an object that has all of these, and nothing else."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }
