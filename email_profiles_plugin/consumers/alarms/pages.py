"""The pages behind the links in alarm mails, as an ASGI application (Starlette)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from attrs import define, field, frozen

from email_profiles_hookspecs.errors import EmailProfilesError, Invalid

from .acknowledging import LONGEST_NOTE, Acknowledging, Page
from .links import PAGE, PARAMETER
from .notifier import AlarmNotifier
from .patterns import in_zone

try:
    from jinja2 import Environment, StrictUndefined, Template
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import RedirectResponse, Response
    from starlette.routing import Route
except ImportError as missing:
    raise ImportError(
        f"the acknowledgement pages need {missing.name}: "
        "pip install 'email-profiles-plugin[console]'"
    ) from missing

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger(__name__)

MOST_OCTETS = 16 * 1024
"""Of what a browser posts."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}

_TITLES = {
    "open": "Acknowledge alarms",
    "done": "Acknowledged",
    "expired": "Link expired",
    "unknown": "Unknown link",
    "unavailable": "Not now",
}
_STATUS = {"expired": 410, "unknown": 404, "unavailable": 503}


def acknowledgement_app(alarms: AlarmNotifier) -> Starlette:
    """
    The application to mount at the address that documents have as acknowledgement.url.

    Opening a link, by GET or HEAD, changes nothing; the form on the page does, by
    POST. It works without JavaScript, sets no cookie, and takes no address from a
    request: whoever has a link has its rights.
    """
    folder = resources.files("email_profiles_plugin.consumers.alarms") / "html"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pages = _Pages(
        alarms.acknowledging,
        environment.from_string((folder / "acknowledge.html").read_text("utf-8")),
        (folder / "acknowledge.css").read_text("utf-8"),
    )
    app = Starlette(
        routes=[
            Route(f"/{PAGE}", pages.show, methods=["GET"]),
            Route(f"/{PAGE}", pages.acknowledge, methods=["POST"]),
            Route("/acknowledge.css", pages.style, methods=["GET"]),
        ]
    )
    app.router.redirect_slashes = False  # it would take the address from the request
    return app


@frozen(kw_only=True)
class _Unavailable:
    """A page's state when the store can't be reached."""

    state: str = "unavailable"


@define
class _Pages:
    """One page, in its states."""

    acknowledging: Acknowledging
    template: Template = field(repr=False)
    css: str = field(repr=False)

    async def show(self, request: Request) -> Response:
        """What the link shows."""
        try:
            page = await run_in_threadpool(self.acknowledging.page, _token(request))
        except EmailProfilesError as error:
            return self._failed(error)
        return self._response(page)

    async def acknowledge(self, request: Request) -> Response:
        """Acknowledge; then the browser is sent to what the link shows."""
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return _plain("Send the form from its own page.", 403)
        note = await _note(request)
        if note is None:
            return _plain("That is more than a note.", 413)
        token = _token(request)
        try:
            page = await run_in_threadpool(self.acknowledging.acknowledge, token, note)
        except Invalid as error:
            page = await run_in_threadpool(self.acknowledging.page, token)
            return self._response(page, note, error.problems[0].message, 422)
        except EmailProfilesError as error:
            return self._failed(error)
        if page.state in ("open", "done"):
            where = f"{PAGE}?{PARAMETER}={token}"
            return RedirectResponse(where, 303, headers=dict(HEADERS))
        return self._response(page)

    async def style(self, request: Request) -> Response:
        """The style sheet."""
        return Response(self.css, media_type="text/css", headers=dict(HEADERS))

    def _failed(self, error: EmailProfilesError) -> Response:
        log.error("an acknowledgement page: %s", error)
        return self._response(_Unavailable())

    def _response(
        self,
        page: Page | _Unavailable,
        note: str = "",
        problem: str = "",
        status: int | None = None,
    ) -> Response:
        zone = ZoneInfo(page.zone) if isinstance(page, Page) else ZoneInfo("UTC")

        def written(moment: datetime) -> str:
            return f"{in_zone(moment, zone):%Y-%m-%d %H:%M:%S}"

        values: dict[str, Any] = {
            "page": page,
            "title": _TITLES[page.state],
            "note": note,
            "problem": problem,
            "longest": LONGEST_NOTE,
            "written": written,
        }
        return Response(
            self.template.render(values),
            status or _STATUS.get(page.state, 200),
            media_type="text/html",
            headers=dict(HEADERS),
        )


def _token(request: Request) -> str:
    return request.query_params.get(PARAMETER, "")[:200]


def _plain(text: str, status: int) -> Response:
    return Response(text, status, media_type="text/plain", headers=dict(HEADERS))


async def _note(request: Request) -> str | None:
    """The form's note; None where too much was sent, or too many fields."""
    octets = b""
    async for some in request.stream():
        octets += some
        if len(octets) > MOST_OCTETS:
            return None
    try:
        fields = parse_qs(octets.decode("utf-8", "replace"), max_num_fields=20)
    except ValueError:
        return None
    return fields.get("note", [""])[0].replace("\r\n", "\n")
