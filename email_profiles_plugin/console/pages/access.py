"""Access: the API tokens there are; a new one is shown on the page that makes it."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from email_profiles_hookspecs.errors import EmailProfilesError, Invalid, NameTaken

from ...access import NewToken
from ..access import Role
from ..calls import Call
from ..places import Place


def access(call: Call) -> Response:
    """The tokens, and the form for another one."""
    return _page(call)


def make(call: Call) -> Response:
    """A new token, shown this once."""
    try:
        role = Role.named(call.form.get("role", ""))
    except ValueError as error:
        return _page(call, HTTPStatus.UNPROCESSABLE_ENTITY, role_mistake=str(error))
    try:
        name = call.form.get("name", "")
        made = call.profiles.access.make(name, role, actor=call.actor)
    except (Invalid, NameTaken) as error:
        return _page(call, HTTPStatus.UNPROCESSABLE_ENTITY, name_mistake=_said(error))
    return _page(call, made=made)


def revoke(call: Call) -> Response:
    """Let nobody in by that token any more."""
    gone = call.profiles.access.revoke(call.form.get("name", ""), actor=call.actor)
    return call.to("access", said=f"The API token {gone.name} was revoked.")


def _page(
    call: Call,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    made: NewToken | None = None,
    name_mistake: str = "",
    role_mistake: str = "",
) -> Response:
    return call.page(
        "access.html",
        status=status,
        tokens=call.profiles.access.list(),
        roles=[str(role) for role in Role],
        given=call.form,
        made=made,
        name_mistake=name_mistake,
        role_mistake=role_mistake,
    )


def _said(error: EmailProfilesError) -> str:
    if isinstance(error, Invalid):
        return f"The name {error.problems[0].message}."
    return f"{str(error)[:1].upper()}{str(error)[1:]}."


PLACES = (
    Place("GET", "/access", "access", Role.ADMIN, access),
    Place("POST", "/access", "access", Role.ADMIN, make),
    Place("POST", "/access/revoke", "access_revoke", Role.ADMIN, revoke),
)
