"""From a preset and a few choices to the documents of a profile and its client."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

import email_profiles_schemas
from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ..documents import validate_client, validate_profile
from .values import (
    CLIENT_ID,
    HOSTNAME,
    REGION,
    TENANT,
    USERNAME,
    Access,
    Port,
    Preset,
)

MANY = ("common", "organizations", "consumers")
"""Microsoft's names for tenants that nobody owns: a person signs in to them."""


MODES = ("basic", "oauth2")

_WORD = re.compile(r"[A-Za-z0-9.-]{1,64}")


@frozen(kw_only=True)
class Choices:
    """
    What a person chooses; None, or nothing: what is usual with the preset.

    *interactive*: a person grants access; else the client's own credentials do.
    *client* is the OAuth2 client's name, *client_id* its id at the provider.
    """

    name: str | None = None
    username: str | None = None
    mode: str | None = None
    interactive: bool = True
    tenant: str | None = None
    region: str | None = None
    hostname: str | None = None
    port: int | None = None
    client: str | None = None
    client_id: str | None = None
    from_addresses: tuple[str, ...] = ()


@frozen
class Blank:
    """A placeholder in a document: what has to be written there instead."""

    document: str
    path: str
    placeholder: str
    meaning: str


@frozen
class Wanted:
    """A secret that a document lacks: no preset, and no command line, has it."""

    document: str
    field: str
    meaning: str


@frozen(kw_only=True)
class Made:
    """*client* None: the profile needs none. *notes*: what is to be known of it."""

    profile: dict[str, Any]
    client: dict[str, Any] | None = None
    blanks: tuple[Blank, ...] = ()
    secrets: tuple[Wanted, ...] = ()
    notes: tuple[str, ...] = ()


def make(preset: Preset, choices: Choices) -> Made:
    """
    The documents of *preset*; Invalid, with all, where *choices* don't go with it.

    They are valid also where a placeholder is left.
    """
    if problems := list(_misfits(preset, choices)):
        raise Invalid(f"preset {preset.name}", problems)
    mode = _mode(preset, choices)
    profile: dict[str, Any] = {
        "name": choices.name or preset.name,
        "description": preset.title,
        "smtp": _smtp(preset, choices),
        "auth": _basic(preset, choices),
    }
    client = None
    if mode == "oauth2" and preset.access is not None:
        profile["auth"] = _oauth2(preset, preset.access, choices)
        client = _client(preset, preset.access, choices)
    if preset.limits:
        profile["limits"] = dict(preset.limits)
    if addresses := _from_addresses(preset, choices, profile["auth"]):
        profile["policy"] = {"from_addresses": addresses}
    _validate(preset, profile, client)
    told = preset.notes + tuple(f"Not confirmed: {one}" for one in preset.leads)
    if not preset.confirmed:
        told += (f"What is known of {preset.title} is not from {preset.title} itself.",)
    return Made(
        profile=profile,
        client=client,
        blanks=tuple(_blanks(preset, profile, client)),
        secrets=tuple(_secrets(preset, profile, client)),
        notes=told,
    )


def _validate(
    preset: Preset, profile: Mapping[str, Any], client: Mapping[str, Any] | None
) -> None:
    """Invalid where a choice is nothing that may stand in a document."""
    schemas = {mode: email_profiles_schemas.load(f"auth_{mode}") for mode in MODES}
    problems = validate_profile(profile, schemas)
    if client is not None:
        problems += validate_client(client)
    if problems:
        raise Invalid(f"preset {preset.name}", problems)


def _mode(preset: Preset, choices: Choices) -> str:
    return next((one for one in preset.modes if one == choices.mode), preset.modes[0])


def _misfits(preset: Preset, choices: Choices) -> Iterator[Problem]:
    title, mode = preset.title, _mode(preset, choices)
    if choices.mode not in (None, *preset.modes):
        ended = preset.basic_ended if choices.mode == "basic" else ""
        message = f"{title} has no {choices.mode}" + (f": {ended}" if ended else "")
        yield Problem(path="$.mode", message=message, remedy=_one_of(preset.modes))
    for name in ("region", "tenant"):
        value = getattr(choices, name)
        if value and not _WORD.fullmatch(value):
            message = "may only have letters, digits, dots and hyphens"
            yield Problem(path=f"$.{name}", message=message)
    if choices.region and not _regional(preset, choices.region):
        known = ", ".join(preset.regions)
        message = f"{title} has no region {choices.region[:64]!r}"
        remedy = f"choose of {known}, or none" if known else "leave it out"
        yield Problem(path="$.region", message=message, remedy=remedy)
    ports = [one.number for one in preset.ports]
    own = preset.hostname == HOSTNAME
    if choices.port is not None and choices.port not in ports and not own:
        message = f"{title} has no port {choices.port}"
        listed = ", ".join(map(str, preset.ports))
        yield Problem(path="$.port", message=message, remedy=f"choose of {listed}")
    access = preset.access if mode == "oauth2" else None
    for name in ("tenant", "client", "client_id"):
        if getattr(choices, name) and access is None:
            message = f"goes with mode oauth2 alone, and this is {mode}"
            yield Problem(path=f"$.{name}", message=message)
    if access is not None:
        yield from _misfits_of_access(preset, access, choices)


def _one_of(modes: tuple[str, ...]) -> str:
    return f"choose {' or '.join(modes)}"


def _regional(preset: Preset, region: str) -> bool:
    return region in preset.regions or "{region}" in preset.hostname


def _misfits_of_access(
    preset: Preset, access: Access, choices: Choices
) -> Iterator[Problem]:
    if choices.tenant and not access.server.tenants:
        message = f"{access.server.name} has no tenants"
        yield Problem(path="$.tenant", message=message, remedy="leave it out")
    if choices.interactive:
        return
    if not access.application_scopes:
        yield Problem(
            path="$.interactive",
            message=f"{preset.title} gives no token to a client's own credentials",
            remedy="let a person grant access: leave interactive on",
        )
    elif choices.tenant in MANY:
        yield Problem(
            path="$.tenant",
            message=f"{choices.tenant} is no tenant of anybody's own, which a client's "
            "own credentials need",
            remedy="give the tenant's id or domain",
        )


def _smtp(preset: Preset, choices: Choices) -> dict[str, Any]:
    hostname = preset.regions.get(choices.region or "", preset.hostname)
    hostname = hostname.replace("{region}", choices.region or REGION)
    port = _port(preset, choices)
    smtp: dict[str, Any] = {
        "hostname": choices.hostname or hostname,
        "port": port.number,
    }
    if port.security == "SSL/TLS":
        smtp["use_ssl"] = True
    elif port.security == "STARTTLS":
        smtp["use_starttls"] = True
    return smtp


def _port(preset: Preset, choices: Choices) -> Port:
    """The one that was chosen, else the first over which credentials may go."""
    ports = list(preset.ports)
    if choices.port is not None:
        ports = [one for one in preset.ports if one.number == choices.port] or [
            Port(choices.port, "STARTTLS" if choices.username else "none")
        ]
    if choices.username:
        ports.sort(key=lambda one: one.security == "none")
    return ports[0]


def _basic(preset: Preset, choices: Choices) -> dict[str, Any]:
    username = preset.username or choices.username
    if not username and preset.hostname == HOSTNAME:
        return {"mode": "basic"}
    return {"mode": "basic", "username": username or USERNAME}


def _oauth2(preset: Preset, access: Access, choices: Choices) -> dict[str, Any]:
    auth: dict[str, Any] = {
        "mode": "oauth2",
        "username": choices.username or USERNAME,
        "client": choices.client or preset.name,
        "interactive": choices.interactive,
    }
    if choices.interactive:
        scopes = (access.scopes[0], access.offline)
        auth["scope"] = " ".join(filter(None, scopes))
        if access.authorization_params:
            auth["authorization_params"] = dict(access.authorization_params)
    else:
        auth["scope"] = access.application_scopes[0]
    return auth


def _client(preset: Preset, access: Access, choices: Choices) -> dict[str, Any]:
    server = access.server
    usual = access.tenant if choices.interactive else ""
    tenant = choices.tenant or usual or TENANT
    client: dict[str, Any] = {
        "name": choices.client or preset.name,
        "description": f"{server.name}, for {preset.title}",
        "client_id": choices.client_id or CLIENT_ID,
    }
    for name in (
        "authorization_endpoint",
        "token_endpoint",
        "device_authorization_endpoint",
        "revocation_endpoint",
    ):
        endpoint: str | None = getattr(server, name)
        if endpoint:
            client[name] = endpoint.replace("{tenant}", tenant)
    client["token_endpoint_auth_method"] = server.token_endpoint_auth_method
    return client


def _from_addresses(
    preset: Preset, choices: Choices, auth: Mapping[str, Any]
) -> list[str]:
    if choices.from_addresses:
        return list(choices.from_addresses)
    application = auth["mode"] == "oauth2" and not choices.interactive
    if preset.binds_from == "always" or (
        preset.binds_from == "application" and application
    ):
        return [auth["username"]]
    return []


def _blanks(
    preset: Preset, profile: Mapping[str, Any], client: Mapping[str, Any] | None
) -> Iterator[Blank]:
    hostname = profile["smtp"]["hostname"]
    if hostname == HOSTNAME:
        yield Blank("profile", "$.smtp.hostname", HOSTNAME, "the relay's host name")
    elif REGION in hostname.split("."):
        yield Blank("profile", "$.smtp.hostname", REGION, "the region, as in eu-west-1")
    if profile["auth"].get("username") == USERNAME:
        yield Blank("profile", "$.auth.username", USERNAME, preset.username_is)
    if USERNAME in profile.get("policy", {}).get("from_addresses", ()):
        meaning = "the address to send from"
        yield Blank("profile", "$.policy.from_addresses", USERNAME, meaning)
    if client is None:
        return
    if client["client_id"] == CLIENT_ID:
        meaning = "the id that the provider gave to your registration"
        yield Blank("client", "$.client_id", CLIENT_ID, meaning)
    for name, value in client.items():
        if f"/{TENANT}/" in value:
            meaning = "the tenant's id or domain"
            yield Blank("client", f"$.{name}", TENANT, meaning)


def _secrets(
    preset: Preset, profile: Mapping[str, Any], client: Mapping[str, Any] | None
) -> Iterator[Wanted]:
    if client is not None and client["token_endpoint_auth_method"] != "none":
        meaning = "the client secret that the provider gave to your registration"
        yield Wanted("client", "client_secret", meaning)
    auth = profile["auth"]
    if auth["mode"] == "basic" and auth.get("username"):
        yield Wanted("profile", "password", preset.password_is)
