"""A call: what an endpoint is told, and the ways in which it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jinja2
from attrs import define, field, frozen
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from .access import Role, User, may
from .limits import Attempts
from .sessions import Sessions, Visit

if TYPE_CHECKING:
    from ..runtime import EmailProfiles

LONGEST = 200
"""Characters of a parameter in an address that are looked at."""

Form = ImmutableMultiDict[str, str]


@frozen(kw_only=True)
class Console:
    """
    What all calls share.

    *base_url*: where browsers reach the console, by configuration and never from a
    request; redirect URIs and sign-in links are made of it. *alone*: the console has
    its own sign-in; else the host has.
    """

    profiles: EmailProfiles
    base_url: str
    templates: jinja2.Environment = field(repr=False)
    sessions: Sessions
    attempts: Attempts
    alone: bool = True
    sign_in_url: str = ""
    version: str = ""

    @property
    def path(self) -> str:
        """The path that browsers reach it under; "" where that is the root."""
        return urlsplit(self.base_url).path


@define(kw_only=True, eq=False)
class Call:
    """
    One request, after access, origin and size were looked at.

    *session*: of this browser, and nobody else can guess it. *form*: what a page's
    form holds; *body*: the octets that came. *csrf*: what a form has to bring back.
    *visit*: what the browser's cookie will hold.
    """

    request: Request
    console: Console
    user: User | None
    session: str = field(default="", repr=False)
    csrf: str = field(default="", repr=False)
    form: Form = field(factory=Form, repr=False)
    body: bytes = field(default=b"", repr=False)
    visit: Visit = field(factory=Visit, repr=False)

    @property
    def profiles(self) -> EmailProfiles:
        """The facade."""
        return self.console.profiles

    @property
    def actor(self) -> str:
        """Who this is, for the audit trail."""
        return f"console:{self.user.name}" if self.user else "console:nobody"

    @property
    def params(self) -> Mapping[str, str]:
        """What stands in the path."""
        return {name: str(one) for name, one in self.request.path_params.items()}

    def asked(self, name: str) -> str:
        """A parameter of the address, without what no store takes; "" where none is."""
        found = self.request.query_params.get(name, "")
        return found[:LONGEST].replace("\0", "").strip()

    def may(self, role: Role | str) -> bool:
        """Whether this user is allowed what has the rule *role* (or is named so)."""
        return may(self.user, Role.named(role) if isinstance(role, str) else role)

    def url(self, name: str, /, **params: str) -> str:
        """The path of the place *name*, wherever the console is mounted."""
        path = self.request.scope["app"].url_path_for(name, **params)
        return f"{self.console.path}{path}"

    def page(
        self, template: str, /, *, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """The page that *template* makes; `call` is this."""
        found = self.console.templates.get_template(template)
        return HTMLResponse(found.render(call=self, **context), status)

    def to(self, name: str, /, *, said: str = "", **params: str) -> Response:
        """Send the browser to another place (303), which tells what was *said*."""
        self.visit.said = said
        return RedirectResponse(self.url(name, **params), 303)
