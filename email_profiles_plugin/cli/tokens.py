"""`email-profiles token`: the access tokens of profiles, never shown themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import output
from .commands import AS_JSON, Group
from .documents import NAME
from .opening import opens

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
    _print(name, facade.tokens.status(name), as_json)


@token.command(examples=["{} plant-alerts"])
@NAME
@AS_JSON
@opens
def refresh(facade: EmailProfiles, name: str, as_json: bool) -> None:
    """Get a new token for the email profile NAME now."""
    _print(name, facade.tokens.refresh(name), as_json)


@token.command(examples=["{} plant-alerts"])
@NAME
@opens
def revoke(facade: EmailProfiles, name: str) -> None:
    """Give the token of NAME up, at the authorization server too where it can be."""
    facade.tokens.revoke(name)
    output.say(f"{name}: token revoked")


def _print(name: str, status: TokenStatus, as_json: bool) -> None:
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
    ]
    if as_json:
        expires_at = output.moment(status.expires_at)
        output.print_json({**dict(pairs), "expires_at": expires_at})
        return
    output.properties((key.replace("_", " "), value) for key, value in pairs)
