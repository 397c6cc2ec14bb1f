"""What the tests of pages stand on: a console whose host says who asks, by headers."""

from __future__ import annotations

from console_client import Browser, ConsoleServer
from starlette.requests import Request

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role, User


def served(profiles: EmailProfiles) -> ConsoleServer:
    """The console on *profiles*, to be entered."""
    return ConsoleServer(profiles, authenticate=_by_headers)


def browser_of(server: ConsoleServer, role: Role, name: str = "anna") -> Browser:
    """A browser of its own for a person called *name*."""
    browser = server.browser()
    browser.headers.update({"X-Name": name})
    return acting_as(browser, role)


def acting_as(browser: Browser, role: Role) -> Browser:
    """The same browser, of the same person, who has another role now."""
    browser.headers.update({"X-Role": str(role)})
    return browser


def _by_headers(request: Request) -> User | None:
    role = request.headers.get("X-Role")
    return User(request.headers["X-Name"], Role.named(role)) if role else None
