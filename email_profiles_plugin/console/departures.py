"""
Departures: how a browser is sent to an authorization server.

By a page that goes on by itself and has a link, for any mode alike. A redirect as the
answer to a form needs the server's origin in the form's CSP (form-action), which a mode
may not know before it begins; and Chromium blocks it without a word where that server
redirects on to another origin, as one that leaves signing in to a third does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from starlette.responses import Response

from email_profiles_hookspecs.errors import Invalid

from .calls import Call


def redirect_uri(call: Call, of: Callable[[str], str]) -> tuple[str, str]:
    """The redirect URI that *of* makes of the base URL, or ""; why there is none."""
    try:
        return of(call.console.base_url), ""
    except Invalid as error:
        return "", error.problems[0].message


def leave(call: Call, url: str, back: str) -> Response:
    """Go to *url*, which nobody else is shown; *back* is the page to return to."""
    parts = urlsplit(url)
    response = call.page("departure.html", url=url, host=parts.netloc, back=back)
    safe = quote(url, safe=":/%#?=@[]!$&'()*+,;")
    response.headers["Refresh"] = f"0; url={safe}"
    return unnamed(response)


def unnamed(response: Response) -> Response:
    """Nobody that it leads to learns its address."""
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def again(response: Response, seconds: float, url: str) -> Response:
    """Let the page be replaced by that at *url*, in so many seconds."""
    response.headers["Refresh"] = f"{max(math.ceil(seconds), 1)}; url={url}"
    return response
