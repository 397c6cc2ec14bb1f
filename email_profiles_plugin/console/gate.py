"""The gate: what every request passes before an endpoint sees it, and after."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import quote

from attrs import frozen
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message

from email_profiles_hookspecs.errors import EmailProfilesError

from . import origins, refusals
from .access import may
from .calls import Call, Console, Form
from .identity import Identity
from .places import Place
from .refusals import Refusal

LOGGER = logging.getLogger(__name__)

READING = frozenset({"GET", "HEAD"})
FIELDS = 2000
"""Fields that a form may have."""

API = "/api/"
"""Where the paths of the JSON API begin; also those that are not there."""


@frozen(kw_only=True)
class Gate:
    """In this order: user, rule, origin, size, form and its token; then the answer."""

    console: Console
    identity: Identity

    def endpoint(
        self, places: Mapping[str, Place]
    ) -> Callable[[Request], Awaitable[Response]]:
        """What Starlette calls for the *places* of one path, by their method."""

        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await self._answer(request, places[method])

        return answer

    async def strange(self, request: Request, error: Exception) -> Response:
        """There is no such path, or not for this method."""
        assert isinstance(error, HTTPException)
        api = _below(request).startswith(API)
        status = HTTPStatus(error.status_code)
        said = f"{request.method} is not for {_below(request)}"
        if status == HTTPStatus.NOT_FOUND:
            said = f"nothing is at {_below(request)}"
        refusal = Refusal(status, said, headers=error.headers)
        call, _ = await self._call(request, api=api)
        return await run_in_threadpool(refusals.refused, call, refusal, api=api)

    async def _call(
        self, request: Request, *, api: bool
    ) -> tuple[Call, Mapping[str, object]]:
        """A call by whoever it is, with nothing of its body; what its cookie says."""
        sessions = self.console.sessions
        visit, stored = await run_in_threadpool(sessions.read, request)
        user = await self.identity.user(request, visit.id, api=api)
        name = user.name if user else ""
        if visit.name != name:  # what one user began, another does not go on with
            visit = sessions.new(name)
        call = Call(
            request=request,
            console=self.console,
            user=user,
            session=visit.id,
            csrf=visit.csrf,
            visit=visit,
        )
        return call, stored

    async def _answer(self, request: Request, place: Place) -> Response:
        call, stored = await self._call(request, api=place.api)
        try:
            if not may(call.user, place.rule):
                if self._is_late(call, place):
                    await _take(call, place)
                return await run_in_threadpool(self._refuse, call, place)
            writes = request.method not in READING
            if writes and not origins.is_own(request.headers, self.console.base_url):
                raise Refusal(HTTPStatus.FORBIDDEN, "another site asked for this")
            await _take(call, place)
            if writes and not place.api:
                _check_token(call)
            response = await run_in_threadpool(_ask, place, call)
        except Refusal as refusal:
            response = await run_in_threadpool(
                refusals.refused, call, refusal, api=place.api
            )
        silent = place.rule is None and response.status_code >= HTTPStatus.BAD_REQUEST
        if silent or place.api:  # who fails to sign in may have done so by now
            return response
        if self.console.sessions.differs(call.visit, stored):
            self.console.sessions.write(call.visit, response)
        return response

    def _is_late(self, call: Call, place: Place) -> bool:
        """A form of ours that comes when nobody is signed in any more."""
        writes = call.request.method not in READING and not place.api
        own = origins.is_own(call.request.headers, self.console.base_url)
        return writes and own and call.user is None

    def _refuse(self, call: Call, place: Place) -> Response:
        """Whoever may not go there; nobody is sent to sign in."""
        user, console = call.user, self.console
        if user is not None:
            said = f"this is for the role {place.rule}, and yours is {user.role}"
            refusal = Refusal(HTTPStatus.FORBIDDEN, said)
        elif place.api:
            sent = "authorization" in call.request.headers
            refusal = Refusal(
                HTTPStatus.UNAUTHORIZED,
                "that API token is not known, or was revoked"
                if sent
                else "nobody is signed in",
                "make one: `email-profiles console token new NAME --role ROLE`"
                if sent
                else "send an API token: Authorization: Bearer ...",
                {"WWW-Authenticate": "Bearer"},
            )
        elif call.request.method in READING and console.alone:
            return RedirectResponse(call.url("sign_in"), 303)
        elif call.request.method in READING and console.sign_in_url:
            query = (
                call.request.url.query
            )  # of a callback, which anybody may call, none
            below = f"{quote(_below(call.request))}{'?' if query else ''}{query}"
            wanted = quote(f"{console.base_url}{below}", safe="")
            return RedirectResponse(console.sign_in_url.replace("{next}", wanted), 303)
        else:
            said = "nobody is signed in, or not any more"
            refusal = Refusal(HTTPStatus.UNAUTHORIZED, said, late=True)
        return refusals.refused(call, refusal, api=place.api)


def _below(request: Request) -> str:
    """The path within the console."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


def _ask(place: Place, call: Call) -> Response:
    try:
        return place.endpoint(call)
    except EmailProfilesError as error:
        return refusals.answer(call, error, api=place.api)
    except Refusal:
        raise
    except Exception as error:
        LOGGER.exception("%s %s failed", place.method, place.path)
        raise Refusal(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "nobody expected this",
            "the log of the console says what it was; please report it",
        ) from error


def _check_token(call: Call) -> None:
    given = call.form.get("csrf", "").encode()
    if not hmac.compare_digest(given, call.csrf.encode()):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "the form is from a session that is over",
            "go back, load the page anew, and try again",
            late=True,
        )


async def _take(call: Call, place: Place) -> None:
    """Read the body, and the form in it, within the place's bounds."""
    request = Request(call.request.scope, _bounded(call.request, place.most))
    call.body = await request.body()
    if place.api or request.method in READING:
        return
    try:
        async with request.form(
            max_files=0, max_fields=FIELDS, max_part_size=place.most
        ) as found:
            pairs = found.multi_items()
            call.form = Form([(k, v) for k, v in pairs if isinstance(v, str)])
    except HTTPException as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, error.detail) from error


def _bounded(request: Request, most: int) -> Callable[[], Awaitable[Message]]:
    """What receives the body, up to *most* octets."""
    refusal = Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {most} octets were sent"
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise refusal
    left = most

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise refusal
        return message

    return receive
