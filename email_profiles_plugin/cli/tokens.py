"""`email-profiles token`: the access tokens of profiles, never shown themselves."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from . import output
from .commands import AS_JSON, Group
from .documents import NAME
from .opening import actor, opens

if TYPE_CHECKING:
    from email_profiles_hookspecs import TokenStatus

    from ..runtime import EmailProfiles


@click.group(cls=Group)
def token() -> None:
    """Access tokens of email profiles that use OAuth 2.0."""


@token.command(examples=["{} plant-alerts", "{} plant-alerts --json"])
@NAME
@AS_JSON
@opens
def status(facade: EmailProfiles, name: str, as_json: bool) -> None:
    """Print the state of the token of the email profile NAME."""
    _print(facade, name, facade.tokens.status(name), as_json)


@token.command(examples=["{} plant-alerts"])
@NAME
@AS_JSON
@opens
def refresh(facade: EmailProfiles, name: str, as_json: bool) -> None:
    """Get a new token for the email profile NAME now."""
    _print(facade, name, facade.tokens.refresh(name, actor=actor()), as_json)


@token.command(
    examples=[
        "{} plant-alerts",
        "{} plant-alerts --port 8400 --open",
        "{} plant-alerts --paste --redirect-uri https://gateway.example/oauth",
        "{} plant-alerts --device",
    ]
)
@NAME
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Listen at this port, where the registered redirect URI has one.",
)
@click.option(
    "--redirect-uri",
    metavar="URI",
    help="The redirect URI that is registered, where it is another one.",
)
@click.option("--open", "opening", is_flag=True, help="Open the browser, on a desktop.")
@click.option("--paste", is_flag=True, help="The browser is on another machine.")
@click.option("--device", is_flag=True, help="Grant it on any device, by a code.")
@AS_JSON
@opens
def grant(
    facade: EmailProfiles,
    name: str,
    port: int | None,
    redirect_uri: str | None,
    opening: bool,
    paste: bool,
    device: bool,
    as_json: bool,
) -> None:
    """
    Have a person grant the email profile NAME access, for a new token.

    Prints an address, and waits ten minutes at most for the browser to come back to
    this machine.
    """
    from .granting import Granting, check_options

    check_options(
        port=port or 0,
        redirect_uri=redirect_uri or "",
        opening=opening,
        paste=paste,
        device=device,
    )
    granting = Granting(
        facade=facade,
        name=name,
        say=lambda line: click.echo(output.clean(line), err=as_json),
        redirect_uri=redirect_uri or "",
        port=port or 0,
        opening=opening,
    )
    if device:
        status = granting.by_device()
    else:
        status = granting.by_pasting() if paste else granting.by_browser()
    _print(facade, name, status, as_json)


@token.command(examples=["{} plant-alerts"])
@NAME
@opens
def revoke(facade: EmailProfiles, name: str) -> None:
    """Give the token of NAME up, at the authorization server too where it can be."""
    facade.tokens.revoke(name, actor=actor())
    output.say(f"{name}: token revoked")


def _print(
    facade: EmailProfiles, name: str, status: TokenStatus, as_json: bool
) -> None:
    health = facade.health(name)
    pairs: list[tuple[str, object]] = [
        ("profile", name),
        ("state", status.state),
        ("expires_at", status.expires_at),
        ("scope", status.scope),
        ("account", status.account),
        ("generation", status.generation),
        ("has_refresh_token", status.has_refresh_token),
        ("error", status.error),
        ("actions", list(status.actions)),
        ("paused_until", health.paused_until if health.failures else None),
        ("paused_because", health.reason if health.failures else ""),
    ]
    if as_json:
        moments = {
            key: output.moment(value)
            for key, value in pairs
            if value is None or isinstance(value, datetime)
        }
        output.print_json({**dict(pairs), **moments})
        return
    shown = pairs[:-1] if health.reason == status.error else pairs
    output.properties((key.replace("_", " "), value) for key, value in shown)
