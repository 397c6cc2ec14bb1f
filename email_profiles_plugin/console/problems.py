"""Problem details: what is wrong, as programs are told it (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from email_profiles_hookspecs import Problem, errors
from email_profiles_hookspecs.errors import EmailProfilesError, Invalid

from .rendering import octets

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:email-profiles:problem:"
MOST = 200
"""Problems that are told; how many there are is in the detail."""


class ProblemDetails(Exception):
    """
    A call is refused: *status*, and why, in *detail* and *problems*.

    *kind* is the last part of the type's URI; *remedy* says what to do.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        remedy: str = "",
        problems: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.remedy = remedy
        self.problems = tuple(problems)
        self.headers = dict(headers or {})
        self.more = more

    def document(self) -> dict[str, Any]:
        """The JSON of it."""
        told: dict[str, Any] = {
            "type": TYPES + self.kind,
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
        }
        if self.remedy:
            told["remedy"] = self.remedy
        if self.problems:
            told["problems"] = [
                {"path": one.path, "message": one.message, "remedy": one.remedy}
                for one in self.problems[:MOST]
            ]
        return {**told, **self.more}

    def response(self) -> Response:
        """The answer."""
        text = octets(self.document())
        return Response(text, self.status, self.headers, media_type=MEDIA_TYPE)


def details_of(error: EmailProfilesError, status: int) -> ProblemDetails:
    """*error*, of the contract, at the HTTP *status* that a page has for it too."""
    headers = {"Retry-After": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    if isinstance(error, Invalid):
        count = len(error.problems)
        mistakes = "one mistake" if count == 1 else f"{count} mistakes"
        return ProblemDetails(
            status,
            "invalid",
            f"{error.what}: {mistakes}",
            remedy=error.remedy,
            problems=error.problems,
        )
    more: dict[str, Any] = {"stage": error.stage} if error.stage else {}
    return ProblemDetails(
        status,
        kind_of(error),
        str(getattr(error, "message", "") or error),
        remedy=error.remedy,
        headers=headers,
        **more,
    )


def kind_of(error: EmailProfilesError) -> str:
    """`stale-revision` for StaleRevision; of a plugin's own error, its next of kin."""
    for one in type(error).__mro__:
        if getattr(errors, one.__name__, None) is one:
            return re.sub(r"(?<!^)(?=[A-Z])", "-", one.__name__).lower()
    return "error"


KINDS: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "bad-request",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "content-too-large",
    HTTPStatus.TOO_MANY_REQUESTS: "too-many-requests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal-error",
}
"""What the console itself refuses, whatever was asked."""
