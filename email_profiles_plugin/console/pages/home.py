"""The first page."""

from __future__ import annotations

from starlette.responses import Response

from ..access import Role
from ..calls import Call
from ..places import Place

FIRST = "profiles"
"""The place where people begin."""


def home(call: Call) -> Response:
    """On to where people begin, with what the last page had to tell."""
    return call.to(FIRST, said=call.visit.said)


PLACES = (Place("GET", "/", "home", Role.VIEWER, home),)
