"""How an examined authenticator comes by a credential: at once, or by a person."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from email_profiles_hookspecs import (
    Credential,
    Device,
    DeviceGrantable,
    Grantable,
    Manageable,
    Redirect,
    TokenStatus,
)
from email_profiles_hookspecs.errors import EmailProfilesError

from .examination import Bench, Examination, Result

ACQUIRES = "acquire gives a credential, or an error of the contract"
GRANTS = "grant works in a browser, as status().actions says"
DEVICE = "device works from another device, as status().actions says"
CALLBACK = "http://127.0.0.1/oauth2/callback/c1"


def acquire(exam: Examination, bench: Bench, when: str = "") -> Result[Credential]:
    """What `acquire` comes to."""
    result = exam.call(
        ACQUIRES, when, lambda: bench.authenticator.acquire(bench.deadline())
    )
    if result.error is None and not isinstance(result.value, Credential):
        kind = type(result.value).__name__
        raise exam.fails("acquire gives a credential", f"it returns {kind}")
    if result.value is not None:
        exam.shown.keep("a credential's repr", result.value, *result.value.offers)
        exam.shown.hide(*(token.access_token for token in bench.services.tokens.kept))
    return result


def actions(exam: Examination, bench: Bench) -> tuple[str, ...]:
    """What may be done with the token now; nothing where there is none to manage."""
    authenticator = bench.authenticator
    if not isinstance(authenticator, Manageable):
        return ()
    result = exam.call(
        "status tells of the token, and raises nothing", "", authenticator.status
    )
    exam.shown.keep("the status", result.value)
    return tuple(getattr(result.value, "actions", ()))


def sign_on(exam: Examination, bench: Bench) -> Credential:
    """A credential, after a person has granted access where that has to be."""
    result = acquire(exam, bench)
    if result.error is not None:
        offered = actions(exam, bench)
        if "grant" in offered and exam.browser is not None:
            exam.needs_person = True
            grant(exam, bench)
            result = acquire(exam, bench, "after access was granted")
        elif "device" in offered and exam.browser is not None:
            exam.needs_person = True
            grant_by_device(exam, bench)
            result = acquire(exam, bench, "after access was granted")
    if result.value is None:
        raise exam.fails("acquire gives a credential", told(result.error))
    return result.value


def thirsty(exam: Examination) -> Bench:
    """An authenticator that has to ask for its credential, whatever it had before."""
    bench = exam.bench()
    if exam.needs_person:
        sign_on(exam, bench)
        expire(exam, bench)
    return bench


def expire(exam: Examination, bench: Bench) -> bool:
    """Let the token expire; false where it doesn't."""
    tokens = bench.services.tokens
    ends = tokens.kept[-1].expires_at if tokens.kept else None
    if ends is None:
        return False
    left = (ends - exam.clock.now()).total_seconds()
    exam.clock.forward(max(left, 0) + 1)
    return True


def begin(exam: Examination, bench: Bench, state: str) -> Redirect:
    """Where the browser is sent."""
    authenticator = bench.authenticator
    assert isinstance(authenticator, Grantable)
    result = exam.call(GRANTS, "", lambda: authenticator.begin(CALLBACK, state))
    if not isinstance(result.value, Redirect):
        raise exam.fails(GRANTS, f"begin gives no Redirect: {told(result.error)}")
    exam.shown.keep("what begin gives", result.value)
    exam.shown.hide(result.value.kept)
    sent = dict(parse_qsl(urlsplit(result.value.url).query))
    if sent.get("state") != state or sent.get("redirect_uri") != CALLBACK:
        exam.says(GRANTS, "begin's url lacks the state, or the redirect_uri")
    if sent.get("code_challenge_method") != "S256":
        exam.says(GRANTS, "begin's url has no code_challenge by S256 (RFC 7636)")
    return result.value


def complete(
    exam: Examination, bench: Bench, query: Mapping[str, str], kept: str
) -> Result[TokenStatus]:
    """What the provider makes of what the browser brought back."""
    authenticator = bench.authenticator
    assert isinstance(authenticator, Grantable)
    exam.shown.hide(query.get("code"))
    return exam.call(
        GRANTS,
        "",
        lambda: authenticator.complete(CALLBACK, query, kept, bench.deadline()),
    )


def grant(exam: Examination, bench: Bench) -> None:
    """A person grants access in a browser."""
    assert exam.browser is not None
    redirect = begin(exam, bench, secrets.token_urlsafe(16))
    status = complete(exam, bench, exam.browser(redirect.url), redirect.kept)
    _granted(exam, GRANTS, "complete", status)


def device_begin(exam: Examination, bench: Bench) -> Device:
    """The code that a person types in elsewhere."""
    authenticator = bench.authenticator
    assert isinstance(authenticator, DeviceGrantable)
    result = exam.call(DEVICE, "", lambda: authenticator.device_begin(bench.deadline()))
    if not isinstance(result.value, Device):
        raise exam.fails(DEVICE, f"device_begin gives no Device: {told(result.error)}")
    exam.shown.keep("the device's repr", result.value)
    exam.shown.hide(result.value.device_code)
    return result.value


def device_poll(
    exam: Examination, bench: Bench, device: Device
) -> Result[TokenStatus | None]:
    """Whether access was granted by now."""
    authenticator = bench.authenticator
    assert isinstance(authenticator, DeviceGrantable)
    return exam.call(
        DEVICE, "", lambda: authenticator.device_poll(device, bench.deadline())
    )


def grant_by_device(exam: Examination, bench: Bench) -> None:
    """A person grants access from another device."""
    device = device_begin(exam, bench)
    _granted(exam, DEVICE, "device_poll", device_poll(exam, bench, device))


def _granted(
    exam: Examination,
    promise: str,
    method: str,
    result: Result[TokenStatus] | Result[TokenStatus | None],
) -> None:
    status = result.value
    exam.shown.keep("the status", status)
    if not isinstance(status, TokenStatus):
        reason = told(result.error) if result.error else f"it answers {status!r:.80}"
        raise exam.fails(promise, f"{method} gives no status: {reason}")
    if status.state not in ("valid", "expiring"):
        raise exam.fails(promise, f"after {method} the state is {status.state!r}")


def told(error: EmailProfilesError | None) -> str:
    """An error in one line, without what may not be shown."""
    return f"{type(error).__name__}: {error}" if error is not None else "nothing"
