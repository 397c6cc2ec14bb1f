"""Places: each route of the console, with the rule that says who may go there."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from starlette.responses import Response

from .access import Rule
from .calls import Call

Endpoint = Callable[[Call], Response]


@frozen
class Place:
    """
    One route: *method* and *path*, the *rule*, and what answers there.

    *endpoint* runs in a thread, so that it may wait for the store or for a server.
    *name* is what `Call.url` takes; one name for all methods of a path. *api*: of the
    JSON API, where a mistake is answered by problem details instead of a page. *most*
    octets may be sent; no file is taken anywhere.
    """

    method: str
    path: str
    name: str
    rule: Rule
    endpoint: Endpoint
    api: bool = False
    most: int = 1_048_576
