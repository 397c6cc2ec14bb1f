"""API tokens over HTTP: made, shown this once, and revoked."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from attrs import frozen
from starlette.responses import Response

from email_profiles_hookspecs.errors import NotFound

from ...store.access import AccessToken
from ..access import Role
from .operations import Answer, Asked, Body, Operation, PageOf, answer, object_of
from .values import as_json, schema_of


@frozen(kw_only=True)
class ApiToken:
    """An API token, without itself: only a hash of it is stored."""

    id: str
    name: str
    role: str
    created_at: datetime
    created_by: str
    used_at: datetime | None
    revoked_at: datetime | None


def listed(asked: Asked) -> Response:
    """All of them."""
    items = [_shown(one) for one in asked.profiles.access.list()]
    return answer({"items": as_json(items), "next": None})


def make(asked: Asked) -> Response:
    """A new one."""
    name, role = asked.body["name"], Role.named(asked.body["role"])
    made = asked.profiles.access.make(name, role, actor=asked.call.actor)
    told = {"token": as_json(_shown(made.token)), "secret": made.secret}
    return answer(told, HTTPStatus.CREATED)


def revoke(asked: Asked) -> Response:
    """It lets nobody in any more."""
    for one in asked.profiles.access.list():
        if one.id == asked["id"] and one.revoked_at is None:
            asked.profiles.access.revoke(one.name, actor=asked.call.actor)
            return Response(None, HTTPStatus.NO_CONTENT)
    raise NotFound("API token", asked["id"])


def _shown(token: AccessToken) -> ApiToken:
    return ApiToken(
        id=token.id,
        name=token.name,
        role=token.role,
        created_at=datetime.fromtimestamp(token.created_at, UTC),
        created_by=token.created_by,
        used_at=_moment(token.used_at),
        revoked_at=_moment(token.revoked_at),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


TAG = "API tokens"
OPERATIONS = (
    Operation(
        method="GET",
        path="/access-tokens",
        id="list_api_tokens",
        tag=TAG,
        summary="List the API tokens, those that were revoked as well",
        rule=Role.ADMIN,
        run=listed,
        answers=(Answer(description="All of them.", kind=PageOf(ApiToken)),),
    ),
    Operation(
        method="POST",
        path="/access-tokens",
        id="make_api_token",
        tag=TAG,
        summary="Make an API token, and tell it this once",
        rule=Role.ADMIN,
        run=make,
        body=Body(
            schema=object_of(
                name={"type": "string", "minLength": 1, "maxLength": 80},
                role={"type": "string", "enum": [str(role) for role in Role]},
            ),
            example={"name": "nightly-report", "role": "operator"},
        ),
        answers=(
            Answer(
                description="It, in `secret`.",
                kind=object_of(token=schema_of(ApiToken), secret={"type": "string"}),
                status=201,
            ),
        ),
        errors=(409,),
    ),
    Operation(
        method="DELETE",
        path="/access-tokens/{id}",
        id="revoke_api_token",
        tag=TAG,
        summary="Let nobody in by an API token any more",
        rule=Role.ADMIN,
        run=revoke,
        answers=(Answer(description="It is worth nothing.", status=204),),
    ),
)
