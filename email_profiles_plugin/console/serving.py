"""Serving: the console alone, by uvicorn, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

ENDING = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 5
"""Seconds that calls have to finish when the server ends."""

AT_ONCE = 200
"""Calls that are answered at once; more are told to come back."""


class _Server(uvicorn.Server):
    """One that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets=sockets)
        self._ready()


def serve(
    make: Callable[[int], ASGIApp],
    *,
    host: str,
    port: int,
    proxied: bool,
    ready: Callable[[], None],
) -> None:
    """
    Listen on *host* and *port* (0: any), and answer till SIGINT or SIGTERM.

    *make* is given the port, *ready* is called once it is answered there. OSError
    where the port can't be had. *proxied*: a proxy on this machine says by
    X-Forwarded-For who asks; else anybody here could say it.
    """
    sockets = asyncio.run(_bound(host, port))
    try:
        config = uvicorn.Config(
            make(sockets[0].getsockname()[1]),
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=AT_ONCE,
            proxy_headers=proxied,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            ws="none",
        )
        server = _Server(config, ready)
        with _ended_once():
            server.run(sockets)
    finally:
        for one in sockets:
            one.close()


async def _bound(host: str, port: int) -> list[Any]:
    """Sockets that listen already: uvicorn would only log why they can't."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, host, port)
    sockets = [one.dup() for one in server.sockets]
    server.close()
    return sockets


@contextmanager
def _ended_once() -> Iterator[None]:
    """What ended the server ends no more: uvicorn raises it again when it is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda *_: None) for one in ENDING}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
