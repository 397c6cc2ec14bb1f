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


@client.command(examples=["{} google", "{} google --base-url https://gateway.example"])
@documents.NAME
@click.option(
    "--base-url",
    metavar="URL",
    default=documents.LOOPBACK,
    show_default=True,
    help="Where the console, or a host's own pages, are; else `token grant`'s.",
)
@AS_JSON
@opens
def show(facade: EmailProfiles, name: str, base_url: str, as_json: bool) -> None:
    """
    Print the OAuth2 client NAME, and the redirect URI to register for it.

    Of a secret only where it comes from.
    """
    from ..documents.keys import subject

    stored = facade.clients.get(name)
    document = documents.shown(facade.clients, stored)
    known: dict[str, Any] = {
        "id": stored.id,
        "revision": stored.revision,
        "redirect_uri": documents.redirect_uri(stored, base_url),
    }
    if as_json:
        output.print_json({**document, **known})
        return
    if certificate := document.get("certificate"):
        document["certificate"] = subject(certificate)
    output.properties([*output.flat(document), *known.items()])
    if base_url == documents.LOOPBACK:
        output.note(
            "this redirect URI is for `token grant`, at any port; for the console, or "
            "a host's own pages, give their --base-url"
        )


client.add_command(documents.apply)
client.add_command(documents.set_secret)
client.add_command(documents.unset_secret)


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
