"""
The callback: where authorization servers send a browser back to.

One place for all: what the answer's `state` belongs to, a profile's grant or the test
of an OAuth2 client, says what becomes of it. It is open to anybody, as a host's sign-in
must not send the address, which has a code in it, on to elsewhere; it is the session
that an answer has to belong to. Every answer leads to an address without it.
"""

from __future__ import annotations

from starlette.responses import Response

from email_profiles_hookspecs.errors import EmailProfilesError, NotFound, StateRefused

from ... import grant_rules
from .. import departures
from ..access import Role
from ..calls import Call
from ..places import Place
from . import client_trial

SIGN_IN = (
    "who came back is not signed in here any more, or may not do this",
    "sign in as who began it, and begin anew",
)

CHANGED = (
    "the email profile, or its OAuth2 client, was changed after this grant was begun",
    grant_rules.ANEW,
)

REFUSALS = {**grant_rules.REFUSALS, "signed-out": SIGN_IN, "changed": CHANGED}
"""What is said of an answer that ends nothing, and what to do, by reason."""


def callback(call: Call) -> Response:
    """End what the answer belongs to, once; a repeat is told the same."""
    try:
        response = _ended(call)
    except StateRefused as error:
        response = call.to("callback_refused", reason=error.reason)
    return departures.unnamed(response)


def refused(call: Call) -> Response:
    """Why an answer was not taken, and what to do."""
    found = REFUSALS.get(call.params["reason"])
    if found is None:
        raise NotFound("reason", call.params["reason"])
    message, remedy = found
    return call.page(
        "callback_refused.html", status=409, message=message, remedy=remedy
    )


def _ended(call: Call) -> Response:
    query = call.request.url.query
    state = grant_rules.read(query).state
    if call.user is None:
        raise _signed_out()
    uri = grant_rules.redirect_uri(call.console.base_url, call.params["uid"])
    if client_trial.is_begun(call, state):
        if not call.may(Role.OPERATOR):
            raise _signed_out()
        return client_trial.complete(call, state, query, uri)
    tokens = call.profiles.tokens
    subject = tokens.subject(query, call.session)
    if subject is not None and not call.may(Role.ADMIN):
        raise _signed_out()
    try:
        done = tokens.complete(query, call.session, redirect_uri=uri)
    except StateRefused:
        raise
    except EmailProfilesError:
        if subject is None:
            raise
        # The page tells this session why: it was kept, so that a repeat is told too.
        return call.to("token", id=subject)
    return call.to("token", id=done.profile_id, said="Access was granted.")


def _signed_out() -> StateRefused:
    return StateRefused(SIGN_IN[0], "signed-out", SIGN_IN[1])


PLACES = (
    Place("GET", "/oauth2/callback/{uid}", "callback", None, callback),
    Place("GET", "/oauth2/refused/{reason}", "callback_refused", None, refused),
)
