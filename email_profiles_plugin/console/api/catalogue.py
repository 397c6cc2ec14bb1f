"""What there is: plugins, schemas, presets, and the trail of changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import fields, frozen
from starlette.responses import Response

import email_profiles_schemas
from email_profiles_hookspecs.errors import NotFound

from ... import presets
from ...documents import SECRET, compose_profile_schema
from ...plugins import PluginFailure, PluginInfo
from ...presets import Choices, Made, Preset
from ...runtime import EmailProfiles
from ...store.health import Health
from ..access import Role
from .operations import (
    AFTER,
    LIMIT,
    Answer,
    Asked,
    Body,
    Operation,
    PageOf,
    Parameter,
    answer,
    object_of,
)
from .values import Schema, as_json, schema_of


@frozen(kw_only=True)
class Mode:
    """An authentication mode, and the name of the schema of its profiles."""

    mode: str
    title: str
    schema: str


@frozen(kw_only=True)
class PluginList:
    """The plugins in use, those left out, and the modes that there are."""

    loaded: tuple[PluginInfo, ...]
    failures: tuple[PluginFailure, ...]
    modes: tuple[Mode, ...]


@frozen(kw_only=True)
class TrailEntry:
    """One change: who did what, to which document, message, token or key."""

    id: int
    at: datetime
    actor: str
    action: str
    kind: str
    subject_id: str
    subject: str
    detail: Mapping[str, Any]


def plugins(asked: Asked) -> Response:
    """As they were loaded."""
    found = asked.profiles.plugins
    modes = [
        Mode(mode=mode, title=one.title, schema=f"email_profile:{mode}")
        for mode, one in sorted(found.providers.items())
    ]
    listed = PluginList(
        loaded=tuple(found.loaded), failures=tuple(found.failures), modes=tuple(modes)
    )
    return answer(listed)


def health(asked: Asked) -> Response:
    """How it fares."""
    return answer(asked.profiles.health(asked["name"]))


def trail(asked: Asked) -> Response:
    """One page, the newest first."""
    query = asked.query
    found = asked.profiles.trail(
        subject_id=query["subject_id"],
        text=query["text"] or "",
        after=query["after"],
        limit=query["limit"],
    )
    items = [
        TrailEntry(
            id=one.id,
            at=datetime.fromtimestamp(one.at, UTC),
            actor=one.actor,
            action=one.action,
            kind=one.kind,
            subject_id=one.subject_id,
            subject=one.subject,
            detail=one.detail,
        )
        for one in found
    ]
    more = str(items[-1].id) if len(items) == query["limit"] else None
    return answer({"items": as_json(items), "next": more})


def schemas(profiles: EmailProfiles) -> dict[str, Schema]:
    """All schemas by name: each of its own, and a whole profile's for each mode."""
    found = {name: _whole(name) for name in email_profiles_schemas.names()}
    for mode, provider in sorted(profiles.plugins.providers.items()):
        whole = compose_profile_schema(mode, provider.schema, provider.title)
        found[f"email_profile:{mode}"] = whole
    return found


def _whole(name: str) -> Schema:
    """With the secret's schema, where it refers to that: it needs no other."""
    schema = email_profiles_schemas.load(name)
    if name == "secret" or SECRET not in json.dumps(schema):
        return schema
    secret = email_profiles_schemas.load("secret")
    return {**schema, "$defs": {"secret": secret, **schema.get("$defs", {})}}


def schema_names(asked: Asked) -> Response:
    """Their names and titles."""
    items = [
        {"name": name, "title": schema["title"]}
        for name, schema in schemas(asked.profiles).items()
    ]
    return answer({"items": items, "next": None})


def schema(asked: Asked) -> Response:
    """One of them."""
    found = schemas(asked.profiles).get(asked["name"])
    if found is None:
        raise NotFound("schema", asked["name"])
    return answer(found, media_type="application/schema+json")


def preset_list(asked: Asked) -> Response:
    """All of them."""
    return answer({"items": as_json(presets.PRESETS), "next": None})


def preset(asked: Asked) -> Response:
    """One of them, by any of its names."""
    return answer(presets.find(asked["name"]))


def made(asked: Asked) -> Response:
    """The documents, not stored."""
    found = presets.find(asked["name"])
    given = asked.body
    choices = Choices(
        name=given.get("name"),
        username=given.get("username"),
        mode=given.get("mode"),
        interactive=given.get("interactive", True),
        tenant=given.get("tenant"),
        region=given.get("region"),
        hostname=given.get("hostname"),
        port=given.get("port"),
        client=given.get("client"),
        client_id=given.get("client_id"),
        from_addresses=tuple(given.get("from_addresses", ())),
    )
    return answer(presets.make(found, choices))


def _choices() -> Schema:
    """What a person may choose with a preset."""
    bounds: dict[str, Schema] = {
        "string": {"maxLength": 1000},
        "integer": {"minimum": 1, "maximum": 65535},
    }
    properties: dict[str, Schema] = {}
    for one in fields(Choices):
        kinds = {"interactive": bool, "port": int, "from_addresses": tuple[str, ...]}
        given = schema_of(kinds.get(one.name, str))
        properties[one.name] = given | bounds.get(given["type"], {})
    properties["from_addresses"] |= {"maxItems": 1000}
    return {**object_of(**properties), "required": []}


_TITLED = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": object_of(name={"type": "string"}, title={"type": "string"}),
        },
        "next": {"type": "null"},
    },
}

OPERATIONS = (
    Operation(
        method="GET",
        path="/profiles/{name}/health",
        id="get_health_of_email_profile",
        tag="Email profiles",
        summary="How one email profile fares: pause, last success, last failure",
        rule=Role.VIEWER,
        run=health,
        answers=(Answer(description="How it fares.", kind=Health),),
    ),
    Operation(
        method="GET",
        path="/presets",
        id="list_presets",
        tag="Presets",
        summary="List the presets: what is known of providers of mail",
        rule=Role.VIEWER,
        run=preset_list,
        answers=(Answer(description="All of them.", kind=PageOf(Preset)),),
    ),
    Operation(
        method="GET",
        path="/presets/{name}",
        id="get_preset",
        tag="Presets",
        summary="Read one preset",
        rule=Role.VIEWER,
        run=preset,
        answers=(Answer(description="What was asked for.", kind=Preset),),
    ),
    Operation(
        method="POST",
        path="/presets/{name}",
        id="make_documents_of_preset",
        tag="Presets",
        summary="Make the documents of a profile and its client; nothing is stored",
        description="A placeholder stands where only you know what belongs there.",
        rule=Role.VIEWER,
        run=made,
        body=Body(
            schema=_choices(),
            required=False,
            example={"name": "alarms", "username": "alarms@plant.example"},
        ),
        answers=(Answer(description="The documents.", kind=Made),),
    ),
    Operation(
        method="GET",
        path="/plugins",
        id="list_plugins",
        tag="Plugins",
        summary="List the plugins in use, and those left out, with the reason",
        rule=Role.VIEWER,
        run=plugins,
        answers=(Answer(description="All of them.", kind=PluginList),),
    ),
    Operation(
        method="GET",
        path="/schemas",
        id="list_schemas",
        tag="Plugins",
        summary="List the JSON Schemas of documents",
        rule=Role.VIEWER,
        run=schema_names,
        answers=(Answer(description="All of them.", kind=_TITLED),),
    ),
    Operation(
        method="GET",
        path="/schemas/{name}",
        id="get_schema",
        tag="Plugins",
        summary="Read one JSON Schema, such as email_profile:basic",
        rule=Role.VIEWER,
        run=schema,
        answers=(
            Answer(
                description="The schema, of draft 2020-12.",
                kind={"type": "object"},
                media_type="application/schema+json",
            ),
        ),
    ),
    Operation(
        method="GET",
        path="/audit",
        id="list_changes",
        tag="Audit trail",
        summary="Who changed what, the newest first",
        rule=Role.VIEWER,
        run=trail,
        parameters=(
            Parameter(
                name="subject_id",
                description="Only of this document or message, by its lasting id.",
                schema={"type": "string", "minLength": 1, "maxLength": 64},
            ),
            Parameter(
                name="text",
                description="In the subject's name, or the actor's.",
                schema={"type": "string", "minLength": 1, "maxLength": 200},
            ),
            LIMIT,
            Parameter(
                name="after",
                description=AFTER.description,
                schema={"type": "integer", "minimum": 0, "maximum": 2**62},
            ),
        ),
        answers=(Answer(description="One page.", kind=PageOf(TrailEntry)),),
    ),
)
