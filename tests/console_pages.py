"""What the tests of pages stand on: the console on a real server, and a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import uvicorn
from attrs import define, field
from console_client import form_token, listener
from starlette.applications import Starlette
from starlette.requests import Request

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role, User, create_app


@define
class Browser:
    """A person's browser, at the console that listens at *base_url*."""

    base_url: str
    name: str
    role: Role
    session: requests.Session = field(factory=requests.Session)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self._ask("GET", path, **options)

    def post(
        self, path: str, data: dict[str, Any] | None = None, **options: Any
    ) -> requests.Response:
        self.get("/plugins")
        given = {"csrf": form_token(self.session), **(data or {})}
        return self._ask("POST", path, data=given, **options)

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        who = {"X-Name": self.name, "X-Role": str(self.role), "Origin": self.base_url}
        return self.session.request(
            method,
            path if path.startswith("http") else self.base_url + path,
            headers=who,
            timeout=30,
            **options,
        )


def authenticate(request: Request) -> User | None:
    role = request.headers.get("X-Role")
    return User(request.headers["X-Name"], Role.named(role)) if role else None


@contextmanager
def served(profiles: EmailProfiles) -> Iterator[str]:
    """Where the console on *profiles* listens meanwhile."""
    bound = listener()
    base_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    app: Starlette = create_app(profiles, base_url=base_url, authenticate=authenticate)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield base_url
    finally:
        server.should_exit = True
        thread.join()
        bound.close()
