"""`email-profiles console`: Email Settings in the browser, and an API of the same."""

from __future__ import annotations

import errno
import logging
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from attrs import evolve, frozen

from ..roles import Role
from . import output
from .commands import Group
from .console_tokens import token
from .failures import Failure
from .granting import desktop
from .opening import actor, opened, opens

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ..runtime import EmailProfiles

HOST = "127.0.0.1"
PORT = 8470
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where every address is listened at, and by which one this machine reaches it."""

ACCESS = "email_profiles_plugin.console.frame.access"
MINUTES = 5


@frozen(kw_only=True)
class Place:
    """Where the console listens, and where browsers reach it."""

    host: str = HOST
    port: int = PORT
    base_url: str = ""

    @property
    def url(self) -> str:
        """Where browsers reach it, without a slash at the end."""
        host = EVERYWHERE.get(self.host, self.host)
        shown = f"[{host}]" if ":" in host else host
        return self.base_url.rstrip("/") or f"http://{shown}:{self.port}"


@click.group(cls=Group, invoke_without_command=True)
@click.option("--host", metavar="ADDRESS", help=f"Listen there; else at {HOST}.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Listen at this port, 0 for any; else at {PORT}.",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="Where browsers reach it, if that is a proxy; with the path.",
)
@click.option(
    "--no-delivery", is_flag=True, help="Leave the outbox to other processes."
)
@click.option("--no-browser", is_flag=True, help="Open none, also on a desktop.")
@click.pass_context
def console(
    context: click.Context,
    host: str | None,
    port: int | None,
    base_url: str | None,
    no_delivery: bool,
    no_browser: bool,
) -> None:
    """
    Run the console: Email Settings in the browser, and a JSON API.

    Prints a link that signs one browser in, and delivers what is in the outbox. It
    ends by Ctrl-C. Whoever gets the link may do everything.
    """
    place = Place(
        host=host or HOST,
        port=PORT if port is None else port,
        base_url="" if base_url is None else _checked(base_url),
    )
    if context.invoked_subcommand is not None:
        context.meta["place"] = place
        context.meta["placed"] = bool(host or port is not None or base_url)
        return
    with opened(context) as facade:
        _serve(facade, place, deliver=not no_delivery, browse=not no_browser)


@console.command(examples=["{}", "{} --role viewer"])
@click.option(
    "--role",
    type=click.Choice([str(one) for one in Role]),
    default="admin",
    show_default=True,
    help="What whoever gets it may do.",
)
@click.pass_context
@opens
def link(facade: EmailProfiles, context: click.Context, role: str) -> None:
    """
    Print another link that signs one browser in, for a console that runs.

    It leads to where the console was started last; `console --base-url URL link`
    names another place.
    """
    place: Place = context.meta["place"]
    known = "" if context.meta["placed"] else facade.sign_ins.last_base_url()
    if not known and not context.meta["placed"]:
        output.warn(
            f"no console was started with the home {facade.home}: the link is of no "
            "use for one that has another EMAIL_PROFILES_HOME"
        )
    output.say(sign_in_link(facade, known or place.url, Role.named(role)))
    output.note(f"good for one sign-in, within {MINUTES} minutes")


console.add_command(token)


def sign_in_link(facade: EmailProfiles, url: str, role: Role) -> str:
    """A new link to the console at *url*, for whoever runs the command."""
    name = actor().removeprefix("cli:")
    code = facade.sign_ins.invite(name, role, url, actor=actor())
    return f"{url}/sign-in?link={code}"


def _serve(facade: EmailProfiles, place: Place, *, deliver: bool, browse: bool) -> None:
    try:
        from ..console import create_app
        from ..console.serving import serve
    except ImportError as error:
        raise Failure(
            f"the console is not installed: {error}",
            "pip install 'email-profiles-plugin[console]'",
        ) from error
    _warn_of_strangers(place)

    def make(port: int) -> ASGIApp:
        nonlocal place
        place = evolve(place, port=port)
        return create_app(facade, base_url=place.url)

    def ready() -> None:
        if deliver:
            facade.start()
        _welcome(facade, place, browse=browse)

    try:
        with _told_of_calls():
            serve(
                make,
                host=place.host,
                port=place.port,
                proxied=bool(place.base_url),
                ready=ready,
            )
    except OSError as error:
        raise _failure(error, place) from error
    output.note("the console has ended")


def _welcome(facade: EmailProfiles, place: Place, *, browse: bool) -> None:
    """Where it is, and the way in."""
    found = sign_in_link(facade, place.url, Role.ADMIN)
    output.say(f"the console runs at {place.url}/")
    output.say(f"within {MINUTES} minutes, this signs one browser in:")
    output.say(f"  {found}")
    output.note("Ctrl-C ends it; `email-profiles console link` prints another link")
    if browse and desktop():  # it may wait for the browser, which waits for us
        Thread(target=webbrowser.open, args=(found,), daemon=True).start()


def _failure(error: OSError, place: Place) -> Failure:
    if error.errno == errno.EADDRINUSE:
        return Failure(
            f"port {place.port} of {place.host} is taken",
            "choose another one with --port, or end what listens there",
        )
    where = f"{place.host} port {place.port}"
    return Failure(
        f"{where} can't be listened at: {error.strerror or error}",
        "name an address of this machine with --host, and a port with --port",
    )


def _checked(url: str) -> str:
    from .. import base_urls

    try:
        return base_urls.base_url(url)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--base-url") from error


def _warn_of_strangers(place: Place) -> None:
    from ..documents import is_loopback

    if not is_loopback(place.host) and urlsplit(place.url).scheme != "https":
        output.warn(
            f"whoever reaches {place.host} reaches the console, and can read on the"
            " way what is sent, sign-ins too: put a proxy with TLS before it, and name"
            " its address by --base-url https://..."
        )


class _Calls(logging.Handler):
    """Each call as a line on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """As it is."""
        click.echo(output.clean(record.getMessage()), err=True)


@contextmanager
def _told_of_calls() -> Iterator[None]:
    logger = logging.getLogger(ACCESS)
    handler, level = _Calls(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
