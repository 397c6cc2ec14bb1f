"""`email-profiles client`: the OAuth2 clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import documents, output
from .client_trials import test
from .commands import AS_JSON, DocumentGroup
from .opening import actor, opens

if TYPE_CHECKING:
    from ..runtime import EmailProfiles
    from ..store.documents import Stored


@click.group(cls=DocumentGroup, kind="oauth2_client", example="google")
def client() -> None:
    """OAuth2 clients: registrations that profiles share."""


@client.command("list", examples=["{}", "{} --json"])
@AS_JSON
@opens
def list_(facade: EmailProfiles, as_json: bool) -> None:
    """List the OAuth2 clients, by name."""
    entries = [_entry(facade, stored) for stored in facade.clients.list()]
    if as_json:
        output.print_json(entries)
        return
    output.table(
        ("NAME", "CLIENT ID", "AUTHORIZATION SERVER", "REVISION", "DESCRIPTION"),
        [
            (
                one["name"],
                one["client_id"],
                one["issuer"] or one["token_endpoint"],
                one["revision"],
                one["description"],
            )
            for one in entries
        ],
    )


def _entry(facade: EmailProfiles, stored: Stored) -> dict[str, Any]:
    document = documents.full(facade.clients, stored)
    return {
        "id": stored.id,
        "name": stored.name,
        "description": document["description"],
        "client_id": document["client_id"],
        "issuer": document["issuer"],
        "token_endpoint": document["token_endpoint"],
        "token_endpoint_auth_method": document["token_endpoint_auth_method"],
        "revision": stored.revision,
    }


client.add_command(documents.show)
client.add_command(documents.apply)
client.add_command(documents.set_secret)


@client.command(examples=["{} google"])
@documents.NAME
@opens
def delete(facade: EmailProfiles, name: str) -> None:
    """Delete the OAuth2 client NAME; not while a profile uses it."""
    facade.clients.delete(name, actor=actor())
    output.say(f"{name}: deleted")


client.add_command(documents.rename)
client.add_command(documents.export)
client.add_command(test)
