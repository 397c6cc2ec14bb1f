"""What a provider promises that has a token to manage; others promise none of it."""

from __future__ import annotations

import secrets
from functools import partial

from email_profiles_hookspecs import (
    DeviceGrantable,
    Grantable,
    Manageable,
    TokenStatus,
)
from email_profiles_hookspecs.errors import SlowDown

from .examination import Bench, Examination, offered, refuses
from .sign_on import (
    DEVICE,
    GRANTS,
    acquire,
    actions,
    begin,
    complete,
    device_begin,
    device_poll,
    expire,
    grant,
    grant_by_device,
    sign_on,
    told,
)

STATUS = "status tells of the token, and raises nothing"
ACTIONS = "status().actions names what can be done"
REFRESH = "refresh brings a newer generation"
EXPIRY = "an expired token is replaced"
ROTATION = "a rotated refresh token replaces the one before"
REVOKE = "revoke gives the token up"

KNOWN = {
    "refresh": Manageable,
    "revoke": Manageable,
    "grant": Grantable,
    "device": DeviceGrantable,
}


def status_is_told(exam: Examination) -> None:
    """Before there is a token and after; without I/O; naming what is there."""
    bench = exam.bench()
    authenticator = bench.authenticator
    if not isinstance(authenticator, Manageable):
        return
    for when in ("before there is a token", "with a token"):
        used = len(bench.services.http.asked), len(bench.services.secrets.asked)
        result = exam.call(STATUS, when, authenticator.status)
        now = len(bench.services.http.asked), len(bench.services.secrets.asked)
        status = result.value
        exam.shown.keep("the status", status)
        if not isinstance(status, TokenStatus):
            raise exam.fails(STATUS, f"it gives {type(status).__name__} {when}")
        if used != now:
            exam.says("status does no I/O", f"it {bench.services.used[-1]} {when}")
        for action in status.actions:
            kind = KNOWN.get(action)
            if kind is None:
                exam.says(ACTIONS, f"there is no action {action!r}")
            elif not isinstance(authenticator, kind):
                missing = f"it names {action}, and is no {kind.__name__}"
                exam.says(ACTIONS, missing)
        sign_on(exam, bench)


def refresh_renews(exam: Examination) -> None:
    """The next generation, which `acquire` then gives; a failure is raised."""
    bench = exam.bench()
    if not isinstance(bench.authenticator, Manageable):
        return
    sign_on(exam, bench)
    if "refresh" not in actions(exam, bench):
        return
    before = bench.services.tokens.status().generation
    status = _refresh(exam, bench, "")
    if status is None or status.generation <= before:
        what = "the same" if status else "none"
        raise exam.fails(REFRESH, f"the status after it has {what}")
    given = acquire(exam, bench, "after refresh").value
    if given is not None and given.generation != status.generation:
        exam.says(REFRESH, "acquire gives an older one afterwards")
    asked = len(bench.services.http.asked)
    bench.services.http.answer = refuses("no connection")
    again = _refresh(exam, bench, "where nothing answers")
    if again is not None and len(bench.services.http.asked) > asked:
        exam.says("refresh raises where it fails", "it does not where nothing answers")


def _refresh(exam: Examination, bench: Bench, when: str) -> TokenStatus | None:
    authenticator = bench.authenticator
    assert isinstance(authenticator, Manageable)
    result = exam.call(REFRESH, when, lambda: authenticator.refresh(bench.deadline()))
    exam.shown.keep("the status", result.value)
    if result.value is None and not when:
        raise exam.fails(REFRESH, told(result.error))
    return result.value


def expired_tokens_are_replaced(exam: Examination) -> None:
    """Twice, so that a refresh token that was rotated has to be the one in use."""
    bench = exam.bench()
    first = sign_on(exam, bench)
    for _ in range(2):
        if not expire(exam, bench):
            return
        before = len(bench.services.http.asked)
        next_one = acquire(exam, bench, "after the token's expiry")
        sent = [
            (one.form or {}).get("refresh_token")
            for one in bench.services.http.asked[:before]
        ]
        for asked in bench.services.http.asked[before:]:
            token = (asked.form or {}).get("refresh_token")
            if token is not None and token in sent and _rotates(exam, bench):
                raise exam.fails(ROTATION, "the old one is sent again")
        if next_one.value is None:
            raise exam.fails(EXPIRY, told(next_one.error))
        if next_one.value.generation == first.generation:
            raise exam.fails(EXPIRY, "acquire gives the same generation")
        first = next_one.value


def _rotates(exam: Examination, bench: Bench) -> bool:
    """Whether the authorization server gives another refresh token each time."""
    server = exam.authorization_server
    return server is not None and server.rules.rotate


def revoke_gives_up(exam: Examination) -> None:
    """Afterwards the token is not offered; what fails is an error of the contract."""
    for when in ("where nothing answers", ""):
        bench = exam.bench()
        authenticator = bench.authenticator
        if not isinstance(authenticator, Manageable):
            return
        before = sign_on(exam, bench)
        if "revoke" not in actions(exam, bench):
            return
        if when:
            bench.services.http.answer = refuses("no connection")
        result = exam.call(
            REVOKE, when, partial(authenticator.revoke, bench.deadline())
        )
        if when:
            continue
        if result.error is not None:
            raise exam.fails(REVOKE, told(result.error))
        state = bench.services.tokens.status().state
        if state not in ("none", "needs grant"):
            exam.says(REVOKE, f"afterwards the state is {state!r}")
        after = acquire(exam, bench, "after revoke").value
        if after is not None and after.generation == before.generation:
            exam.says(REVOKE, "acquire gives it again")


def grant_is_granted(exam: Examination) -> None:
    """In a browser: granted, refused, and come back without a code."""
    bench = exam.bench()
    if "grant" not in actions(exam, bench) or exam.browser is None:
        return
    grant(exam, bench)
    generation = bench.services.tokens.status().generation
    for query, what in (
        ({"error": "access_denied", "error_description": "not today"}, "a refusal"),
        ({}, "a callback without a code"),
    ):
        state = secrets.token_urlsafe(16)
        redirect = begin(exam, bench, state)
        result = complete(exam, bench, {**query, "state": state}, redirect.kept)
        if result.error is None:
            exam.says(GRANTS, f"complete takes {what} for a grant")
        if bench.services.tokens.status().generation != generation:
            exam.says(GRANTS, f"{what} changes the token that is there")
    _forged_is_refused(exam, bench)
    if offered(acquire(exam, bench, "after a refused grant").value) == ():
        exam.says(GRANTS, "a refused grant loses the token that was there")


def _forged_is_refused(exam: Examination, bench: Bench) -> None:
    """A code that another issuer's answer brings is not used (RFC 9207, 2.4)."""
    assert exam.browser is not None
    generation = bench.services.tokens.status().generation
    redirect = begin(exam, bench, secrets.token_urlsafe(16))
    query = exam.browser(redirect.url)
    if "iss" not in query:
        return
    forged = {**query, "iss": "https://forged.example"}
    result = complete(exam, bench, forged, redirect.kept)
    if result.error is None or bench.services.tokens.status().generation != generation:
        exam.says(GRANTS, "complete takes an answer of another issuer (iss)")


def device_is_granted(exam: Examination) -> None:
    """From another device: not yet, then granted; and refused."""
    bench, server = exam.bench(), exam.authorization_server
    if "device" not in actions(exam, bench) or exam.browser is None:
        return
    if server is None:
        grant_by_device(exam, bench)
        return
    device = device_begin(exam, bench)
    server.rules.device_answers[:] = ["authorization_pending"]
    waiting = device_poll(exam, bench, device)
    if waiting.error is not None or waiting.value is not None:
        exam.says(DEVICE, "device_poll does not answer None while it is pending")
    server.rules.device_answers[:] = ["slow_down"]
    if not isinstance(device_poll(exam, bench, device).error, SlowDown):
        exam.says(
            DEVICE, "device_poll does not raise SlowDown where it is to slow down"
        )
    granted = device_poll(exam, bench, device)
    if granted.value is None:
        exam.says(DEVICE, f"device_poll gives no status: {told(granted.error)}")
    server.rules.device_answers[:] = ["access_denied"]
    refused = device_poll(exam, bench, device_begin(exam, bench))
    if refused.error is None:
        exam.says(DEVICE, "device_poll takes a refusal for a grant")
    server.rules.device_answers.clear()
