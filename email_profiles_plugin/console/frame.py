"""The frame: what every answer has, whatever became of the request."""

from __future__ import annotations

import logging
from http import HTTPStatus

from attrs import frozen
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from . import headers, origins

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
                answered.setdefault(headers.POLICY, headers.policy())
            await send(message)

        try:
            if origins.host_of(request.headers.get("host", "")) not in self.hosts:
                await _misdirected()(scope, receive, dressed)
            else:
                await self.app(scope, receive, dressed)
        except ClientDisconnect:
            status = status or 499
        except Exception:
            LOGGER.exception("%s %s failed", request.method, scope["path"])
            if not status:
                await _failed()(scope, receive, dressed)
                status = 500
        finally:
            self._log(request, status)

    def _log(self, request: Request, status: int) -> None:
        who = request.client.host if request.client else "-"
        ACCESS.info("%s %s %s %d", who, request.method, request.scope["path"], status)


def _misdirected() -> Response:
    return PlainTextResponse(
        "This is not reached by that name: see the console's base URL.\n",
        HTTPStatus.MISDIRECTED_REQUEST,
    )


def _failed() -> Response:
    """Without a template: it might be what failed."""
    return PlainTextResponse(
        "Something went wrong here. The log of the console says what.\n",
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
