"""
A listener on this machine that a browser comes back to (RFC 8252, 7.3).

It answers one path with pages, on 127.0.0.1 alone, to whoever asks for it by name;
what is in a query is written nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from html import escape
from http import HTTPStatus
from urllib.parse import urlsplit

from attrs import define, field, frozen

ADDRESS = "127.0.0.1"
HEAD_LIMIT = 32_768
"""Octets of a request line with its headers; browsers send some 2,000."""

REQUEST_S = 10.0
"""Seconds in which a request has to be there, and an answer to be read."""

MOST = 32
"""Connections at a time; more are closed unheard."""

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Connection": "close",
}

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body>
</html>
"""


@frozen(kw_only=True)
class Page:
    """What the browser is shown; after the *last* one, nobody listens any more."""

    title: str
    text: str = ""
    status: int = 200
    last: bool = False

    def octets(self) -> bytes:
        """The whole HTTP answer; title and text are text, whatever is in them."""
        page = PAGE.format(title=escape(self.title), text=escape(self.text))
        body = page.encode("utf-8", "backslashreplace")
        phrase = HTTPStatus(self.status).phrase
        fields = {**HEADERS, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} {phrase}\r\n{lines}\r\n".encode() + body


Answer = Callable[[str], Page]
"""The page for a query; runs in a thread, and may take its time."""


@define(kw_only=True, eq=False)
class LoopbackListener:
    """
    Listens at *path* on 127.0.0.1, on *port* (0: one that is free).

    *host* is how the redirect URI calls this machine: 127.0.0.1 or localhost. *uri* is
    that URI where it is registered, which is kept to the letter.
    """

    path: str
    answer: Answer
    port: int = 0
    host: str = ADDRESS
    uri: str = ""
    _open: dict[asyncio.Task[None], bool] = field(factory=dict, init=False)
    _over: asyncio.Future[None] = field(init=False)

    @classmethod
    def at(cls, uri: str, answer: Answer, port: int = 0) -> LoopbackListener:
        """Listen where *uri* leads, on *port* where it names none."""
        parts = urlsplit(uri)
        return cls(
            path=parts.path or "/",
            answer=answer,
            port=parts.port or port,
            host=parts.hostname or ADDRESS,
            uri=uri,
        )

    def serve(self, ready: Callable[[str], None], timeout: float) -> bool:
        """
        Listen, call *ready* with the redirect URI, and answer till the last page.

        Whether it came within *timeout* seconds. Raises OSError where the port can't
        be had, what *ready* raises, and what an answer does.
        """
        return asyncio.run(self._serve(ready, timeout))

    async def _serve(self, ready: Callable[[str], None], timeout: float) -> bool:
        self._over = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(
            self._accept, ADDRESS, self.port, limit=HEAD_LIMIT
        )
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            ready(self._redirect_uri())
            await asyncio.wait([self._over], timeout=timeout)
            server.close()
            await _turns()
            await self._finish()
            await _turns()
        if not self._over.done():
            return False
        self._over.result()
        return True

    def _redirect_uri(self) -> str:
        parts = urlsplit(self.uri or f"http://{self.host}{self.path}")
        if parts.port is not None:
            return self.uri
        return parts._replace(netloc=f"{parts.netloc}:{self.port}").geturl()

    async def _finish(self) -> None:
        """Whoever asked is answered; who only holds a connection is cut."""
        answered = [task for task, asked in self._open.items() if asked]
        late = [task for task, asked in self._open.items() if not asked]
        if answered:
            late += (await asyncio.wait(answered, timeout=REQUEST_S))[1]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= MOST or self._over.done():
            writer.transport.abort()
            return
        self._open[task] = False
        page, failure = Page(title=""), None
        try:
            page = await self._page(reader, task)
            writer.write(page.octets())
        except (TimeoutError, OSError, EOFError):
            pass  # it left, or says nothing
        except Exception as error:
            failure = error
            writer.write(_refusal(500).octets())
        finally:
            with suppress(OSError, TimeoutError):
                writer.close()
                await asyncio.wait_for(writer.wait_closed(), REQUEST_S)
            del self._open[task]
            if failure is not None and not self._over.done():
                self._over.set_exception(failure)
            elif page.last and not self._over.done():
                self._over.set_result(None)

    async def _page(
        self, reader: asyncio.StreamReader, task: asyncio.Task[None]
    ) -> Page:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_S)
        except asyncio.LimitOverrunError:
            return _refusal(431)
        target = self._target(head)
        if isinstance(target, Page):
            return target
        self._open[task] = True
        return await asyncio.to_thread(self.answer, target)

    def _target(self, head: bytes) -> str | Page:
        """The query of a request for our path, else the page that refuses it."""
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _refusal(400)
        pairs = (line.partition(":") for line in lines[1:])
        hosts = [value.strip() for name, _, value in pairs if name.lower() == "host"]
        ours = [f"{self.host}:{self.port}", *([self.host] if self.port == 80 else [])]
        if len(hosts) != 1 or hosts[0].lower() not in ours:
            # A name that leads here by somebody else's DNS is not ours.
            return _refusal(421)
        if not words[1].startswith("/") or words[1].startswith("//"):
            return _refusal(400)
        target = urlsplit(words[1])
        if target.path != self.path:
            return _refusal(404)
        return target.query if words[0] == "GET" else _refusal(405)


async def _turns() -> None:
    """Who was let in at the last moment is seen, and cut, before the loop ends."""
    for _ in range(5):
        await asyncio.sleep(0)


def _refusal(status: int) -> Page:
    return Page(title=HTTPStatus(status).phrase, status=status)
