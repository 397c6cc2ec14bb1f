"""
Tests of an OAuth2 client: *test token*, *test authorization*, and a refresh token.

What a test has to know until its browser is back (the state, the PKCE verifier), and
the refresh token that it brought, are keepsakes: sealed in the store for this session,
as a cookie is too small for them, a browser should hold neither, and the process that
began may not be the one that ends. No token is ever shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import EmailProfilesError, Invalid

from ... import grant_rules
from ...client_trial import Begun, ClientReport
from ...keepsakes import Value
from ...store.documents import Stored
from .. import departures
from ..access import Role
from ..calls import Call
from ..client_results import told
from ..places import Place

KEPT_S = 1800.0
"""Seconds that a result, and the refresh token behind it, can be come back to."""

LIVE_S = 2
"""Seconds after which the page looks again for a result."""

FIELDS = ("scope", "params", "authorization_params")
"""What a person may type."""

ANSWERS = "client test by state"
"""The purpose of what leads from an answer's state to its test."""


def client_trial(call: Call) -> Response:
    """What to ask for, and the result of the last test by a browser."""
    stored, key = _stored(call), call.request.query_params.get("of", "")
    kept = _kept(call, stored.id, key)
    typed = kept["typed"] if kept else {}
    response = _page(call, stored, typed=typed, key=key, kept=kept)
    if kept and kept["step"] == "redeemed":
        here = f"{call.url('client_trial', id=stored.id)}?of={key}"
        departures.again(response, LIVE_S, here)
    return response


def test(call: Call) -> Response:
    """One token request, as a profile that uses the client makes it."""
    stored, key = _stored(call), call.form.get("of", "")
    typed = {name: call.form.get(name, "") for name in FIELDS}
    kept = _kept(call, stored.id, key)
    grant, report, mistakes = call.form.get("grant", ""), None, list[Problem]()
    try:
        if grant == "authorization_code":
            return _send_off(call, stored, typed)
        report = _asked(call, stored, typed, grant, key, kept)
    except Invalid as error:
        mistakes = list(error.problems)
    except EmailProfilesError as error:
        said = str(getattr(error, "message", error))
        report = ClientReport(client=stored.name, error=said, remedy=error.remedy)
    return _page(
        call,
        stored,
        typed=typed,
        key=key,
        kept=kept,
        result=None if report is None else told(report),
        mistakes=mistakes,
    )


def _asked(
    call: Call,
    stored: Stored,
    typed: Mapping[str, str],
    grant: str,
    key: str,
    kept: Value | None,
) -> ClientReport:
    clients, scope = call.profiles.clients, typed["scope"].strip()
    params = _pairs("params", typed["params"])
    if grant != "refresh_token":
        return clients.test(stored.name, scope=scope, params=params)
    if not kept or not kept["refresh_token"]:
        remedy = "test authorization first; some servers want access_type=offline"
        problem = Problem(path="$", message="there is no refresh token", remedy=remedy)
        raise Invalid("test of a refresh token", [problem])
    report = clients.test(
        stored.name, scope=scope, params=params, refresh_token=kept["refresh_token"]
    )
    following = report.refresh_token or kept["refresh_token"]
    _change(call, stored.id, key, refresh_token=following)
    return report


def _send_off(call: Call, stored: Stored, typed: Mapping[str, str]) -> Response:
    clients, keepsakes = call.profiles.clients, call.profiles.keepsakes
    params = _pairs("params", typed["params"])
    redirect = clients.begin_test(
        stored.name,
        grant_rules.redirect_uri(call.console.base_url, stored.id),
        scope=typed["scope"].strip(),
        params=_pairs("authorization_params", typed["authorization_params"]),
    )
    begun = Begun.read(redirect.kept)
    assert begun is not None
    kept = {
        "step": "begun",
        "kept": redirect.kept,
        "params": params,
        "typed": dict(typed),
        "result": None,
        "refresh_token": None,
    }
    purpose, session = _purpose(stored.id), call.session
    key = keepsakes.keep(purpose, session, kept, seconds=KEPT_S)
    pointer = {"client": stored.id, "key": key}
    keepsakes.keep(ANSWERS, session, pointer, seconds=KEPT_S, key=begun.state)
    back = f"{call.url('client_trial', id=stored.id)}?of={key}"
    return departures.leave(call, redirect.url, back)


def is_begun(call: Call, state: str) -> bool:
    """Whether an answer with this *state* belongs to a test of this session."""
    if not call.session:
        return False
    return call.profiles.keepsakes.find(ANSWERS, call.session, state) is not None


def complete(call: Call, state: str, query: str, uri: str) -> Response:
    """Trade the code in, once; a repeat is shown what came of it. StateRefused."""
    pointer = call.profiles.keepsakes.find(ANSWERS, call.session, state)
    kept = _kept(call, pointer["client"], pointer["key"]) if pointer else None
    if pointer is None or kept is None:
        raise grant_rules.refused("unknown")
    id, key = pointer["client"], pointer["key"]
    begun = Begun.read(kept["kept"])
    if begun is None or begun.redirect_uri != uri:
        raise grant_rules.refused("redirect_uri")
    before, _ = _change(call, id, key, step="redeemed") or (kept, kept)
    if before["step"] == "begun":
        found = _redeemed(call, id, query, kept)
        _change(call, id, key, step="done", **found)
    response = call.to("client_trial", id=id)
    response.headers["Location"] += f"?of={key}"
    return response


def _redeemed(call: Call, id: str, query: str, kept: Value) -> dict[str, Any]:
    """What came of it, to be kept."""
    clients = call.profiles.clients
    try:
        name = clients.by_id(id).name
        report = clients.complete_test(name, query, kept["kept"], params=kept["params"])
    except EmailProfilesError as error:
        said = str(getattr(error, "message", error))
        report = ClientReport(client=id, error=said, remedy=error.remedy)
    return {"result": told(report), "refresh_token": report.refresh_token}


def _page(
    call: Call,
    stored: Stored,
    *,
    typed: Mapping[str, str],
    key: str,
    kept: Value | None,
    result: Value | None = None,
    mistakes: Sequence[Problem] = (),
) -> Response:
    if result is None and kept is not None and not mistakes:
        result = kept["result"]
    own = partial(grant_rules.redirect_uri, uid=stored.id)
    uri, trouble = departures.redirect_uri(call, own)
    response = call.page(
        "client_trial.html",
        status=422 if mistakes else 200,
        client=stored,
        redirect_uri=uri,
        trouble=trouble,
        typed={name: typed.get(name, "") for name in FIELDS},
        key=key if kept else "",
        step=kept["step"] if kept else "",
        can_refresh=bool(kept and kept["refresh_token"]),
        result=result,
        mistakes=mistakes,
    )
    return response


def _pairs(field: str, text: str) -> dict[str, str]:
    """Parameters, one a line, as KEY=VALUE; Invalid, which repeats none of them."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not name or name in found:
            wrong = (
                "is there twice" if name in found else "is not of the form KEY=VALUE"
            )
            problem = Problem(path=f"$.{field}", message=f"line {number} {wrong}")
            raise Invalid("additional parameters", [problem])
        found[name] = value.strip()
    return found


def _stored(call: Call) -> Stored:
    return call.profiles.clients.by_id(call.params["id"])


def _kept(call: Call, id: str, key: str) -> Value | None:
    if not key or not call.session:
        return None
    return call.profiles.keepsakes.find(_purpose(id), call.session, key)


def _change(
    call: Call, id: str, key: str, **values: object
) -> tuple[Value, Value] | None:
    return call.profiles.keepsakes.change(
        _purpose(id), call.session, key, lambda kept: {**kept, **values}
    )


def _purpose(id: str) -> str:
    return f"client test {id}"


PLACES = (
    Place("GET", "/clients/{id}/test", "client_trial", Role.OPERATOR, client_trial),
    Place("POST", "/clients/{id}/test", "client_trial", Role.OPERATOR, test),
)
