"""`email-profiles console token`: who may use the console's API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ..roles import Role
from . import output
from .commands import AS_JSON, Group
from .opening import actor, opens

if TYPE_CHECKING:
    from ..runtime import EmailProfiles
    from ..store.access import AccessToken

NAME = click.argument("name")


@click.group(cls=Group)
def token() -> None:
    """API tokens: who sends one is let in to the console's API."""


@token.command(examples=["{} nightly-report", "{} site-backup --role viewer"])
@NAME
@click.option(
    "--role",
    type=click.Choice([str(one) for one in Role]),
    default="operator",
    show_default=True,
    help="What whoever sends it may do.",
)
@opens
def new(facade: EmailProfiles, name: str, role: str) -> None:
    """
    Make an API token called NAME, and print it.

    It is shown this once; only a hash of it is stored.
    """
    made = facade.access.make(name, Role.named(role), actor=actor())
    output.say(made.secret)
    output.note(f"keep it: the token {made.token.name} ({role}) is not shown again")


@token.command("list", examples=["{}", "{} --json"])
@AS_JSON
@opens
def list_(facade: EmailProfiles, as_json: bool) -> None:
    """List the API tokens, with who made them and when they were used."""
    found = facade.access.list()
    if as_json:
        output.print_json([_row(one) for one in found])
        return
    output.table(
        ["name", "role", "made", "by", "last used", "revoked"],
        [
            [
                one.name,
                one.role,
                _moment(one.created_at),
                one.created_by,
                _moment(one.used_at),
                _moment(one.revoked_at),
            ]
            for one in found
        ],
    )


@token.command(examples=["{} nightly-report"])
@NAME
@opens
def revoke(facade: EmailProfiles, name: str) -> None:
    """Let nobody in by the API token NAME any more."""
    facade.access.revoke(name, actor=actor())
    output.say(f"{name}: API token revoked")


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _row(one: AccessToken) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": one.role,
        "created_at": output.moment(_moment(one.created_at)),
        "created_by": one.created_by,
        "used_at": output.moment(_moment(one.used_at)),
        "revoked_at": output.moment(_moment(one.revoked_at)),
    }
