"""The frame: what every answer has, whatever became of the request."""

from __future__ import annotations

import logging
from http import HTTPStatus
from urllib.parse import quote

from attrs import frozen
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from email_profiles_hookspecs.errors import StoreUnavailable

from . import headers, origins
from .problems import ProblemDetails

LOGGER = logging.getLogger(__name__)
ACCESS = logging.getLogger(f"{__name__}.access")
"""One line for each request; never what stands in its query."""


@frozen(eq=False)
class Frame:
    """
    The outermost layer: the host's name, headers, a failure's page, the access log.

    *path* is what browsers reach the console under. A proxy may leave it in the path,
    or take it off.
    """

    app: ASGIApp
    path: str
    hosts: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(self._rooted(scope), receive, send)
        else:
            await self.app(scope, receive, send)

    def _rooted(self, scope: Scope) -> Scope:
        """With what browsers reach us under as the root, where it is still there."""
        root, path = scope.get("root_path", ""), scope["path"]
        mounted = root.removeprefix(scope.get("app_root_path", ""))
        for prefix in (root, mounted, self.path):
            if prefix and f"{path}/".startswith(f"{prefix}/"):
                path = path[len(prefix) :]
                break
        path = f"{self.path}{path or '/'}"
        return {**scope, "root_path": self.path, "path": path}

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        status = 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                for name, value in headers.ALWAYS.items():
                    answered.setdefault(name, value)
            await send(message)

        try:
            if origins.host_of(request.headers.get("host", "")) not in self.hosts:
                await _misdirected()(scope, receive, dressed)
            else:
                await self.app(scope, receive, dressed)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:
            LOGGER.exception("%s %s failed", request.method, quote(scope["path"]))
            if not status:
                await self._failed(request, error)(scope, receive, dressed)
        finally:
            self._log(request, status)

    def _log(self, request: Request, status: int) -> None:
        who = request.client.host if request.client else "-"
        path = quote(request.scope["path"])  # what was escaped makes no line of its own
        ACCESS.info("%s %s %s %d", who, request.method, path, status)

    def _failed(self, request: Request, error: Exception) -> Response:
        """What nobody expected, by no template: that might be what failed."""
        status, kind = HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error"
        said = "something went wrong here; the log of the console says what"
        headers = {}
        if isinstance(error, StoreUnavailable):
            status, kind = HTTPStatus.SERVICE_UNAVAILABLE, "store-unavailable"
            said = "the store can't be used now; the log of the console says why"
            headers = {"Retry-After": "5"}
        if request.scope["path"].startswith(f"{self.path}/api/"):
            return ProblemDetails(status, kind, said, headers=headers).response()
        return PlainTextResponse(f"{said.capitalize()}.\n", status, headers)


def _misdirected() -> Response:
    return PlainTextResponse(
        "This is not reached by that name: see the console's base URL.\n",
        HTTPStatus.MISDIRECTED_REQUEST,
    )
