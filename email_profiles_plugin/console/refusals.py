"""Refusals: errors of the contract, as HTTP states and as pages."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from email_profiles_hookspecs import errors
from email_profiles_hookspecs.errors import EmailProfilesError

from .calls import Call

STATUS: tuple[tuple[type[EmailProfilesError], HTTPStatus], ...] = (
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.StaleRevision, HTTPStatus.PRECONDITION_FAILED),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.Invalid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The first that fits; anything else failed at another server (502)."""


def status_of(error: EmailProfilesError) -> HTTPStatus:
    """The HTTP state that says what *error* means to who asked."""
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status
    return HTTPStatus.BAD_GATEWAY


def page(call: Call, error: EmailProfilesError) -> Response:
    """What failed and what to do, where no page says it in its own place."""
    return call.page("refused.html", status=status_of(error), error=error)
