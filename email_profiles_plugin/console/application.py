"""The console's ASGI application: routes, each behind its rule, and what all share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from .. import base_urls
from . import moments, origins
from .api import PLACES as API_PLACES
from .calls import Console
from .frame import Frame
from .gate import Gate
from .identity import Authenticate, Identity
from .limits import Attempts
from .pages import (
    access,
    audit,
    callback,
    client_trial,
    clients,
    device,
    home,
    outbox,
    plugins,
    sign_in,
    token,
    trial,
)
from .pages import profiles as profile_pages
from .places import Place
from .sessions import Sessions

if TYPE_CHECKING:
    from ..runtime import EmailProfiles

PLACES: tuple[Place, ...] = (
    *home.PLACES,
    *profile_pages.PLACES,
    *clients.PLACES,
    *token.PLACES,
    *device.PLACES,
    *callback.PLACES,
    *trial.PLACES,
    *client_trial.PLACES,
    *outbox.PLACES,
    *plugins.PLACES,
    *audit.PLACES,
    *access.PLACES,
    *API_PLACES,
)
"""Every route that there is, but static files and what `ALONE` has."""

ALONE: tuple[Place, ...] = (*sign_in.PLACES,)
"""Routes of a console that has its own sign-in."""

PACKAGE = "email_profiles_plugin.console"
DISTRIBUTION = "email-profiles-plugin"


def create_app(
    profiles: EmailProfiles,
    *,
    base_url: str,
    authenticate: Authenticate | None = None,
    sign_in_url: str = "",
    allowed_hosts: Collection[str] = (),
) -> Starlette:
    """
    The console on *profiles*, to be run alone or mounted under any path.

    *base_url* is where browsers reach it, with the path that it is mounted under.
    *authenticate* says who asks, sync or async; None: nobody that may come in, whose
    browser is sent to *sign_in_url* (`{next}` in it: the page that was wanted), or
    told so. Without *authenticate* the console has its own sign-in, by link. It
    answers to the name in *base_url*, to this machine's own and to *allowed_hosts*.
    ValueError for a *base_url* that is no web address, or whose path is a page's own,
    and for a *sign_in_url* with another placeholder; TypeError for an *authenticate*
    that can't be called.
    """
    if authenticate is not None and not callable(authenticate):
        kind = type(authenticate).__name__
        raise TypeError(f"authenticate has to be a function, not {kind}")
    if set("{}") & set(sign_in_url.replace("{next}", "")):
        raise ValueError(f"in sign_in_url only {{next}} is filled in: {sign_in_url!r}")
    return assembled(
        profiles,
        PLACES if authenticate else (*PLACES, *ALONE),
        base_url=base_url,
        authenticate=authenticate,
        sign_in_url=sign_in_url,
        allowed_hosts=allowed_hosts,
    )


def assembled(
    profiles: EmailProfiles,
    places: Iterable[Place],
    *,
    base_url: str,
    authenticate: Authenticate | None = None,
    sign_in_url: str = "",
    allowed_hosts: Collection[str] = (),
) -> Starlette:
    """As `create_app`, of these *places*."""
    base_url = base_urls.base_url(base_url)
    console = Console(
        profiles=profiles,
        base_url=base_url,
        templates=_templates(),
        sessions=Sessions.of(profiles, base_url),
        attempts=Attempts(profiles.sign_ins.clock),
        alone=authenticate is None,
        sign_in_url=sign_in_url,
        version=_version(),
    )
    identity = Identity(profiles=profiles, authenticate=authenticate)
    gate = Gate(console=console, identity=identity)
    frame = Middleware(
        Frame,
        path=console.path,
        hosts=origins.allowed_hosts(base_url, allowed_hosts),
    )
    app = Starlette(
        routes=_routes(places, gate),
        middleware=[frame],
        exception_handlers={404: gate.strange, 405: gate.strange},
    )
    app.router.redirect_slashes = False  # it would believe Host, and the scheme
    return app


class _Files(StaticFiles):
    """Files of ours: a browser keeps them, and asks whether they are the same still."""

    def file_response(self, *given: Any, **more: Any) -> Response:
        """As usual, with that said."""
        response = super().file_response(*given, **more)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _routes(places: Iterable[Place], gate: Gate) -> list[BaseRoute]:
    """One for each path; its places by method."""
    paths: dict[str, dict[str, Place]] = {}
    for place in places:
        paths.setdefault(place.path, {})[place.method] = place
    routes: list[BaseRoute] = [
        Route(
            path,
            gate.endpoint(methods),
            methods=list(methods),
            name=next(iter(methods.values())).name,
        )
        for path, methods in paths.items()
    ]
    files = _Files(packages=[(PACKAGE, "static")])
    return [*routes, Mount("/static", files, name="static")]


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moments.FILTERS)
    return environment


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # it runs from a checkout
        return ""
