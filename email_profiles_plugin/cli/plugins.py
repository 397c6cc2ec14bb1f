"""`email-profiles plugins` and `schema`: what is loaded, and what it takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from . import output
from .commands import AS_JSON, Command
from .failures import Failure
from .opening import opens

if TYPE_CHECKING:
    from ..runtime import EmailProfiles


@click.command(cls=Command, examples=["{}", "{} --json"])
@AS_JSON
@opens
def plugins(facade: EmailProfiles, as_json: bool) -> None:
    """List the plugins in use, and those left out, with the reason."""
    entries = _entries(facade)
    if as_json:
        output.print_json(entries)
        return
    output.table(
        ("PLUGIN", "SOURCE", "MODES", "HOOKS", "LEFT OUT BECAUSE"),
        [
            (one["name"], one["source"], one["modes"], one["hooks"], one["error"])
            for one in entries
        ],
    )


def _entries(facade: EmailProfiles) -> list[dict[str, Any]]:
    loaded = [
        {
            "name": one.name,
            "source": one.source,
            "modes": list(one.modes),
            "hooks": list(one.hooks),
            "error": "",
        }
        for one in facade.plugins.loaded
    ]
    failed = [
        {
            "name": one.plugin,
            "source": one.source,
            "modes": [],
            "hooks": [],
            "error": one.reason,
        }
        for one in facade.plugins.failures
    ]
    return loaded + failed


@click.command(
    cls=Command,
    examples=["{}", "{} basic > basic.schema.json", "{} oauth2_client"],
)
@click.argument("mode", required=False)
@AS_JSON
@opens
def schema(facade: EmailProfiles, mode: str | None, as_json: bool) -> None:
    """
    Print the JSON Schema of a MODE, or list the modes.

    The schema is that of a whole email profile of this mode. MODE may also be
    `oauth2_client`, `alarm_notification`, `report_schedule` or `send_request`.
    """
    providers = facade.plugins.providers
    if mode is not None:
        output.print_json(_schema(facade, mode))
        return
    modes = [(name, provider.title) for name, provider in sorted(providers.items())]
    if as_json:
        output.print_json([{"mode": name, "title": title} for name, title in modes])
        return
    output.table(("MODE", "TITLE"), modes)


def _schema(facade: EmailProfiles, name: str) -> dict[str, Any]:
    import email_profiles_schemas

    from ..documents import compose_profile_schema

    provider = facade.plugins.providers.get(name)
    if provider is not None:
        return compose_profile_schema(name, provider.schema, provider.title)
    others = [*(set(facade.documents) - {"email_profile"}), "send_request"]
    if name in others:
        found = email_profiles_schemas.load(name)
        if "urn:email-profiles:secret" in json.dumps(found):
            found["$defs"] = {"secret": email_profiles_schemas.load("secret")}
        return found
    known = [*sorted(facade.plugins.providers), *sorted(others)]
    raise Failure(f"there is no mode {name!r}", f"choose one of {', '.join(known)}")
