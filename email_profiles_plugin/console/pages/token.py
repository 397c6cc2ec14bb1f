"""Manage token: the state of a profile's access, and what its mode offers to do."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from email_profiles_hookspecs.errors import EmailProfilesError

from ...store.documents import Stored
from .. import departures, outlook, refusals
from ..access import Role
from ..calls import Call
from ..places import Place

LIVE_S = 4
"""Seconds after which the page looks again, while something is going on."""


def token(call: Call) -> Response:
    """State, expiry, scopes, account, the last error, what happens next."""
    return shown(call, _stored(call))


def refresh(call: Call) -> Response:
    """*Refresh Token*: ask for a new one now."""
    stored = _stored(call)
    try:
        call.profiles.tokens.refresh(stored.name, actor=call.actor)
    except EmailProfilesError as error:
        return shown(call, stored, error)
    return call.to("token", id=stored.id, said="A new token was fetched.")


def grant(call: Call) -> Response:
    """*Grant New Token*: send the browser to the authorization server."""
    stored, tokens = _stored(call), call.profiles.tokens
    try:
        uri = tokens.redirect_uri(stored.name, call.console.base_url)
        url = tokens.begin(stored.name, uri, call.session, actor=call.actor)
    except EmailProfilesError as error:
        return shown(call, stored, error)
    return departures.leave(call, url, call.url("token", id=stored.id))


def ask(call: Call) -> Response:
    """What revoking means, before it is done."""
    stored = _stored(call)
    status = call.profiles.tokens.status(stored.name)
    return call.page("token_revoke.html", profile=stored, token=status)


def revoke(call: Call) -> Response:
    """Give the token up, at the authorization server too where it can be."""
    stored = _stored(call)
    try:
        call.profiles.tokens.revoke(stored.name, actor=call.actor)
    except EmailProfilesError as error:
        return shown(call, stored, error)
    return call.to("token", id=stored.id, said="The token was revoked.")


def _stored(call: Call) -> Stored:
    return call.profiles.profiles.by_id(call.params["id"])


def shown(
    call: Call, stored: Stored, failed: EmailProfilesError | None = None
) -> Response:
    """The page, with what was tried and *failed*; live while something goes on."""
    tokens, now = call.profiles.tokens, call.profiles.now()
    status = tokens.status(stored.name)
    fetching = tokens.is_fetching(stored.name)
    sight = tokens.grant_seen(stored.name, call.session)
    granting = sight is not None and sight.goes_on(now.timestamp())
    still = "still" in call.request.query_params or failed is not None
    live = (fetching or granting) and not still
    uri, trouble = "", ""
    if "grant" in status.actions:
        own = partial(tokens.redirect_uri, stored.name)
        uri, trouble = departures.redirect_uri(call, own)
    response = call.page(
        "token.html",
        status=200 if failed is None else refusals.status_of(failed),
        profile=stored,
        token=status,
        error=outlook.told(status.error),
        failed=failed,
        next_step=outlook.next_step(status, fetching=fetching),
        health=call.profiles.health(stored.name),
        sight=sight if sight is not None and now.timestamp() < sight.until else None,
        granting=granting,
        fetching=fetching,
        live=live,
        redirect_uri=uri,
        trouble=trouble,
        may_operate=call.may(Role.OPERATOR),
        may_grant=call.may(Role.ADMIN),
        now=now,
    )
    if live:
        departures.again(response, LIVE_S, call.url("token", id=stored.id))
    return response


PLACES = (
    Place("GET", "/profiles/{id}/token", "token", Role.VIEWER, token),
    Place(
        "POST", "/profiles/{id}/token/refresh", "token_refresh", Role.OPERATOR, refresh
    ),
    Place("POST", "/profiles/{id}/token/grant", "token_grant", Role.ADMIN, grant),
    Place("GET", "/profiles/{id}/token/revoke", "token_revoke", Role.ADMIN, ask),
    Place("POST", "/profiles/{id}/token/revoke", "token_revoke", Role.ADMIN, revoke),
)
