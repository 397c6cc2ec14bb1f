"""Tests over HTTP: of a profile by a message, of a client by token requests."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import frozen
from starlette.responses import Response

from email_profiles_hookspecs import Problem, SendRequest
from email_profiles_hookspecs.errors import Invalid

from ...client_trial import ClientReport
from ...documents import request_from_document, validate_request_document
from ...trial import TrialReport
from ..access import Role
from ..refusals import Refusal
from . import handles, marks
from .documents import named, stored_as
from .operations import Answer, Asked, Body, Operation, answer, object_of
from .values import COMPONENTS, Schema

_TEXTS: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": 4096},
    "maxProperties": 100,
    "default": {},
}
_SCOPE: Schema = {"type": "string", "maxLength": 4096, "default": ""}
_URI: Schema = {"type": "string", "minLength": 1, "maxLength": 2048}
QUERY: Schema = {
    "description": "The part after `?` of the address that the browser ended at.",
    "type": "string",
    "minLength": 1,
    "maxLength": 16384,
}


@frozen(kw_only=True)
class Begun:
    """Where to send a browser, and the *handle* by which the answer is traded in."""

    url: str
    handle: str


def test_profile(asked: Asked) -> Response:
    """Send a message now, by what is stored or by a document that is not."""
    name, documents = asked["name"], asked.profiles.profiles
    request = _message(asked.body["message"], name)
    if "document" not in asked.body:
        return answer(documents.test(name, request))
    if not asked.call.may(Role.ADMIN):
        said = f"a document that is not stored is for the role {Role.ADMIN}"
        raise Refusal(HTTPStatus.FORBIDDEN, said, "test the stored one")
    given = named("email profile", asked.body["document"], name)
    stored = stored_as(documents, name)
    given = marks.taken(documents, given, stored, home=asked.profiles.home)
    return answer(documents.test(given, request))


def _message(document: Mapping[str, Any], name: str) -> SendRequest:
    whole = {"profile": name, **document}
    problems = validate_request_document(whole)
    if whole["profile"] != name:
        message = "is another one than the path says"
        problems.append(Problem(path="$.profile", message=message))
    if problems:
        raise Invalid(
            "the message",
            [
                Problem(
                    path="$.message" + one.path.removeprefix("$"),
                    message=one.message,
                    remedy=one.remedy,
                )
                for one in problems
            ],
        )
    return request_from_document(whole)


def test_client(asked: Asked) -> Response:
    """One token request."""
    body = asked.body
    report = asked.profiles.clients.test(
        asked["name"],
        scope=body.get("scope", ""),
        params=body.get("params"),
        refresh_token=body.get("refresh_token"),
    )
    return answer(report)


def begin_client_test(asked: Asked) -> Response:
    """A browser is to be sent off."""
    clients, body = asked.profiles.clients, asked.body
    redirect = clients.begin_test(
        asked["name"],
        body["redirect_uri"],
        scope=body.get("scope", ""),
        params=body.get("params"),
    )
    handle = handles.give(asked.profiles, "client-test", redirect.kept)
    return answer(Begun(url=redirect.url, handle=handle))


def complete_client_test(asked: Asked) -> Response:
    """The browser is back."""
    kept = handles.take(asked.profiles, "client-test", asked.body["handle"])
    report = asked.profiles.clients.complete_test(
        asked["name"],
        asked.body["query"],
        kept,
        params=asked.body.get("params"),
    )
    return answer(report)


CLIENTS = "OAuth2 clients"
_REPORT = (Answer(description="What it came to, failed or not.", kind=ClientReport),)

OPERATIONS = (
    Operation(
        method="POST",
        path="/profiles/{name}/test",
        id="test_email_profile",
        tag="Email profiles",
        summary="Send a test message now, outside the outbox",
        description="By the stored profile; an admin may test a `document` that is not"
        " stored, with the stored secrets where they would go to the same place.",
        rule=Role.OPERATOR,
        run=test_profile,
        body=Body(
            schema={
                **object_of(
                    message={"$ref": COMPONENTS + "TestMessage"},
                    document={"$ref": COMPONENTS + "EmailProfile"},
                ),
                "required": ["message"],
            },
            example={
                "message": {
                    "from_address": "gateway@plant.example",
                    "to": ["operator@plant.example"],
                    "subject": "A test",
                }
            },
        ),
        answers=(
            Answer(description="What it came to, failed or not.", kind=TrialReport),
        ),
        errors=(409, 502, 504),
    ),
    Operation(
        method="POST",
        path="/clients/{name}/test",
        id="test_oauth2_client",
        tag=CLIENTS,
        summary="Ask for one token, which is not kept",
        description="By the client's own credentials, or by a `refresh_token`.",
        rule=Role.OPERATOR,
        run=test_client,
        body=Body(
            schema={
                **object_of(
                    scope=_SCOPE,
                    params=_TEXTS,
                    refresh_token={
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 65536,
                    },
                ),
                "required": [],
            },
            required=False,
            example={"scope": "mail.send"},
        ),
        answers=_REPORT,
        errors=(409, 502, 504),
    ),
    Operation(
        method="POST",
        path="/clients/{name}/test/begin",
        id="begin_test_of_oauth2_client",
        tag=CLIENTS,
        summary="Begin the test of a grant by a person in a browser",
        description="Open the `url`; the browser ends at `redirect_uri`, which has to"
        " be registered, within ten minutes.",
        rule=Role.OPERATOR,
        run=begin_client_test,
        body=Body(
            schema={
                **object_of(redirect_uri=_URI, scope=_SCOPE, params=_TEXTS),
                "required": ["redirect_uri"],
            },
            example={"redirect_uri": "http://127.0.0.1:8765/back"},
        ),
        answers=(Answer(description="Where to go.", kind=Begun),),
        errors=(409, 502, 504),
    ),
    Operation(
        method="POST",
        path="/clients/{name}/test/complete",
        id="complete_test_of_oauth2_client",
        tag=CLIENTS,
        summary="Trade in what the browser brought",
        rule=Role.OPERATOR,
        run=complete_client_test,
        body=Body(
            schema={
                **object_of(query=QUERY, handle=handles.SCHEMA, params=_TEXTS),
                "required": ["query", "handle"],
            },
            example={"query": "code=...&state=...", "handle": "gAAAA..."},
        ),
        answers=_REPORT,
        errors=(409, 502, 504),
    ),
)
