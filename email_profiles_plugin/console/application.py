"""The console's ASGI application: routes, each behind its rule, and what all share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from email_profiles_hookspecs.errors import EmailProfilesError

from . import moments, refusals
from .access import User, may
from .calls import Call, Console, Form
from .pages import (
    audit,
    callback,
    client_trial,
    device,
    outbox,
    plugins,
    token,
    trial,
)
from .places import Place

if TYPE_CHECKING:
    from ..runtime import EmailProfiles

PLACES: tuple[Place, ...] = (
    *token.PLACES,
    *device.PLACES,
    *callback.PLACES,
    *trial.PLACES,
    *client_trial.PLACES,
    *outbox.PLACES,
    *plugins.PLACES,
    *audit.PLACES,
)
"""Every route that there is, but static files."""

PACKAGE = "email_profiles_plugin.console"

Authenticate = Callable[[Request], User | None]


def create_app(
    profiles: EmailProfiles, *, base_url: str, authenticate: Authenticate
) -> Starlette:
    """
    The console on *profiles*, to be run alone or mounted under any path.

    *base_url* is where browsers reach it, with the path that it is mounted under.
    *authenticate* says who asks; None: nobody that may come in.
    """
    console = Console(
        profiles=profiles, base_url=base_url.rstrip("/"), templates=_templates()
    )
    files = StaticFiles(packages=[(PACKAGE, "static")])
    routes = [_route(place, console, authenticate) for place in PLACES]
    return Starlette(routes=[*routes, Mount("/static", files, name="static")])


def _route(place: Place, console: Console, authenticate: Authenticate) -> Route:
    async def answer(request: Request) -> Response:
        user = await run_in_threadpool(authenticate, request)
        form = Form()
        if request.method == "POST" and not place.api:
            async with request.form() as found:
                pairs = found.multi_items()
                form = Form([(k, v) for k, v in pairs if isinstance(v, str)])
        call = Call(request=request, console=console, user=user, form=form)
        if not may(user, place.rule):
            return PlainTextResponse("not allowed", 403)
        return await run_in_threadpool(_answer, place, call)

    endpoint: Callable[[Request], Awaitable[Response]] = answer
    return Route(place.path, endpoint, methods=[place.method], name=place.name)


def _answer(place: Place, call: Call) -> Response:
    try:
        return place.endpoint(call)
    except EmailProfilesError as error:
        return refusals.page(call, error)


def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(moments.FILTERS)
    return made
