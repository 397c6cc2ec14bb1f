"""Refusals: what can't be done, as HTTP states, as pages and as problem details."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from email_profiles_hookspecs import errors
from email_profiles_hookspecs.errors import EmailProfilesError

from . import expired
from .calls import Call
from .problems import KINDS, ProblemDetails, details_of

STATUS: tuple[tuple[type[EmailProfilesError], HTTPStatus], ...] = (
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.StaleRevision, HTTPStatus.PRECONDITION_FAILED),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.Disabled, HTTPStatus.CONFLICT),
    (errors.NeedsGrant, HTTPStatus.CONFLICT),
    (errors.Vetoed, HTTPStatus.FORBIDDEN),
    (errors.Invalid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.FromNotAllowed, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.SecretError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.Closed, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.TokenTimeout, HTTPStatus.GATEWAY_TIMEOUT),
    (errors.TimedOut, HTTPStatus.GATEWAY_TIMEOUT),
)
"""The first that fits; anything else failed at another server (502)."""

TITLES = {
    HTTPStatus.UNAUTHORIZED: "Sign in first",
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "That can't be done here",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Too large",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here",
}


class Refusal(Exception):
    """
    A call goes no further: the state, why, what to do; headers of the answer.

    *late*: its session is over, and what was typed is shown.
    """

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        late: bool = False,
    ) -> None:
        super().__init__(status, message, remedy, headers)
        self.status = status
        self.message = message
        self.remedy = remedy
        self.headers = dict(headers or {})
        self.late = late


def status_of(error: EmailProfilesError) -> HTTPStatus:
    """The HTTP state that says what *error* means to who asked."""
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status
    return HTTPStatus.BAD_GATEWAY


def page(call: Call, error: EmailProfilesError) -> Response:
    """What failed and what to do, where no page says it in its own place."""
    return call.page(
        "refused.html",
        status=status_of(error),
        title="That can't be done",
        message=getattr(error, "message", "") or str(error),
        remedy=error.remedy,
        typed=None,
    )


def answer(call: Call, error: EmailProfilesError, *, api: bool) -> Response:
    """What an endpoint did not catch."""
    if not api:
        return page(call, error)
    return details_of(error, status_of(error)).response()


def refused(call: Call, refusal: Refusal, *, api: bool) -> Response:
    """What the console itself refuses."""
    if api:
        kind = KINDS.get(refusal.status, "refused")
        details = ProblemDetails(
            refusal.status, kind, refusal.message, remedy=refusal.remedy
        )
        response = details.response()
    else:
        response = call.page(
            "refused.html",
            status=refusal.status,
            title=TITLES.get(refusal.status, "That can't be done"),
            message=refusal.message,
            remedy=refusal.remedy,
            typed=expired.typed(call) if refusal.late else None,
        )
    response.headers.update(refusal.headers)
    return response
