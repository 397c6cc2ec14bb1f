"""Signing in by a link, and out; where the console runs alone."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from starlette.responses import Response

from ..access import Role
from ..calls import Call
from ..places import Place
from ..refusals import Refusal

LONGEST = 200
"""Characters of a code that are looked at."""


def sign_in(call: Call) -> Response:
    """
    A button, once a link brought its code; else how to get a link.

    The code leaves the address at once, and who only looks does not spend it.
    """
    code = call.request.query_params.get("link", "")
    if code:
        call.visit.link = code[:LONGEST]
        response = call.to("sign_in")
    else:
        response = call.page("sign_in.html", failed="")
    if code:  # the page itself may not: its form's Origin would be null
        response.headers["Referrer-Policy"] = "no-referrer"
    return response


def enter(call: Call) -> Response:
    """
    Spend the link for a session that nobody knew before.

    A second click of the same browser is let in as the first one was: it may be its
    answer that the browser keeps.
    """
    code = _code(call) or call.visit.link
    visit = call.console.sessions.after(call.visit, code)
    sign_ins = call.profiles.sign_ins
    signed_in = sign_ins.spend(code, visit.id) or sign_ins.just_spent(visit.id)
    if signed_in is None:
        return _failed(call)
    visit.name = signed_in.name
    call.visit = visit
    return call.to("home", said=f"Signed in as {visit.name}.")


def _failed(call: Call) -> Response:
    """Only who fails has to wait: a right link can't be guessed, nor kept out."""
    client = call.request.client
    address = client.host if client else ""
    wait = call.console.attempts.wait_s(address)
    if wait:
        raise Refusal(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many attempts to sign in failed",
            f"get a new link, or wait {wait} seconds",
            {"Retry-After": str(wait)},
        )
    call.console.attempts.failed(address)
    call.visit.link = ""
    failed = "That link was used before, is older than five minutes, or is none."
    return call.page("sign_in.html", status=HTTPStatus.FORBIDDEN, failed=failed)


def leave(call: Call) -> Response:
    """End the session, here and wherever there is a copy of it."""
    call.profiles.sign_ins.end(call.session)
    call.visit = call.console.sessions.new()
    return call.to("sign_in", said="Signed out.")


def _code(call: Call) -> str:
    """What was typed or pasted: the code, or the whole link."""
    given = call.form.get("link", "").strip()
    found = parse_qs(urlsplit(given).query).get("link", [given])
    return found[0][:LONGEST]


PLACES = (
    Place("GET", "/sign-in", "sign_in", None, sign_in),
    Place("POST", "/sign-in", "sign_in", None, enter),
    Place("POST", "/sign-out", "sign_out", Role.VIEWER, leave),
)
