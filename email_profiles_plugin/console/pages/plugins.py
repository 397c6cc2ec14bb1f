"""The page on plugins: what is loaded, and what could not be, with the reason."""

from __future__ import annotations

from starlette.responses import Response

from ..access import Role
from ..calls import Call
from ..places import Place


def plugins(call: Call) -> Response:
    """Each with its modes by title and its hooks; and those left out, with reasons."""
    return call.page("plugins.html", plugins=call.profiles.plugins)


PLACES = (Place("GET", "/plugins", "plugins", Role.VIEWER, plugins),)
