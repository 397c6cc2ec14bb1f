"""`email-profiles token`: the access tokens of profiles, never shown themselves."""

from __future__ import annotations

import shlex
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


@token.command(examples=["{}", "{} plant-alerts", "{} plant-alerts --json"])
@click.argument("name", required=False)
@AS_JSON
@opens
def status(facade: EmailProfiles, name: str | None, as_json: bool) -> None:
    """Print the state of the token of the email profile NAME, or of all that have."""
    if name is not None:
        _print(facade, name, facade.tokens.status(name), as_json)
        return
    every = [(one.name, token_of(facade, one.name)) for one in facade.profiles.list()]
    found = [(one, held) for one, held in every if held is not None]
    if as_json:
        output.print_json([_shown(facade, *one) for one in found])
        return
    output.table(
        ("PROFILE", "STATE", "EXPIRES AT", "SCOPE", "ACTIONS", "ERROR"),
        [
            (one, held.state, held.expires_at, held.scope, held.actions, held.error)
            for one, held in found
        ],
    )


def token_of(facade: EmailProfiles, name: str) -> TokenStatus | None:
    """What is known of a profile's token; None where its mode has none."""
    from email_profiles_hookspecs import TokenStatus
    from email_profiles_hookspecs.errors import Conflict, EmailProfilesError

    if facade.profiles.get(name).body["auth"]["mode"] not in facade.plugins.providers:
        return None
    try:
        return facade.tokens.status(name)
    except Conflict:
        return None
    except EmailProfilesError as error:
        return TokenStatus(state="error", error=str(error))


def named(remedy: str, name: str) -> str:
    """*remedy* with the profile's name in the command that it tells."""
    return remedy.replace("PROFILE", shlex.quote(name))


def remedied(facade: EmailProfiles, name: str, remedy: str) -> str:
    """The same, and with the command that grants access where that is missing."""
    remedy = named(remedy, name)
    if all(stored.name != name for stored in facade.profiles.list()):
        return remedy  # a site plugin's
    status = token_of(facade, name)
    if status is None or status.state != "needs grant":
        return remedy
    command = f"`email-profiles token grant {shlex.quote(name)}`"
    return f"{remedy}: {command}" if remedy else command


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


def _pairs(
    facade: EmailProfiles, name: str, status: TokenStatus
) -> list[tuple[str, object]]:
    health = facade.health(name)
    return [
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


def _shown(facade: EmailProfiles, name: str, status: TokenStatus) -> dict[str, object]:
    """As JSON has it."""
    return {
        key: output.moment(value) if isinstance(value, datetime) else value
        for key, value in _pairs(facade, name, status)
    }


def _print(
    facade: EmailProfiles, name: str, status: TokenStatus, as_json: bool
) -> None:
    if as_json:
        output.print_json(_shown(facade, name, status))
        return
    pairs = _pairs(facade, name, status)
    shown = pairs[:-1] if pairs[-1][1] == status.error else pairs
    output.properties((key.replace("_", " "), value) for key, value in shown)
