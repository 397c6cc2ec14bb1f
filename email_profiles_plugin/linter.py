"""
What a known provider will not take, or not for long: warnings, with the remedy.

A profile is looked at by its mail server's host name, and by its OAuth2 client's
endpoints; where neither is known, only what holds everywhere is told. Facts are those
of `presets`. Each rule looks at what has the right type; the rest is the schema's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from email_profiles_hookspecs import OAuth2Client

from . import token_linter
from .documents.sentences import Finding
from .documents.shapes import Place
from .presets import PLACEHOLDERS, PRESETS, Preset, preset_of

_IN_CLEAR = ".mail.protection.outlook.com"
"""Microsoft 365's relay for its own tenants' mail, without signing in."""

_REAL = ("smtp.mail.com",)
"""Mail servers of others, whose names are almost those of known ones."""

_ALIKE = 0.9

_LIMITS = {
    "max_connections": "connections at once",
    "messages_per_minute": "messages a minute",
    "recipients_per_day": "recipients a day",
    "recipients_per_message": "recipients of a message",
}


def of_profile(
    document: Mapping[str, Any], client: OAuth2Client | None = None
) -> Iterator[Finding]:
    """What to change in an email profile; *client*: the one that it names."""
    smtp, auth = block(document, "smtp"), block(document, "auth")
    yield from _placeholders(document)
    hostname = smtp.get("hostname")
    preset = preset_of(hostname) if isinstance(hostname, str) else None
    if preset is not None:
        yield from _port(preset, smtp)
        yield from _mode(preset, auth)
        yield from _username(preset, auth)
        yield from _from_addresses(preset, document, auth)
        yield from _limits(preset, block(document, "limits"))
    elif isinstance(hostname, str) and hostname.lower().endswith(_IN_CLEAR):
        yield from _relay(auth)
    elif isinstance(hostname, str):
        yield from _near(hostname)
    if auth.get("mode") == "oauth2":
        yield from token_linter.of_auth(auth, preset, client)


def of_client(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What to change in an OAuth2 client, whoever uses it."""
    yield from _placeholders(document)
    yield from token_linter.of_client(document)


def block(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object in *document*; an empty one where there is none."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _placeholders(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What a preset left to be filled in, and nobody did."""
    for place in (
        ("smtp", "hostname"),
        ("auth", "username"),
        ("policy", "from_addresses"),
        ("client_id",),
        ("authorization_endpoint",),
        ("token_endpoint",),
        ("device_authorization_endpoint",),
    ):
        value: Any = document
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        if found := _placeholder(value):
            message = f"still holds the preset's placeholder {found}"
            yield Finding(place, message, "write there what it stands for")


def _placeholder(value: object) -> str:
    if isinstance(value, list):
        return next((one for one in PLACEHOLDERS if one in value), "")
    if not isinstance(value, str):
        return ""
    parts = {value, *value.split("/"), *value.split(".")}
    return next((one for one in PLACEHOLDERS if one in parts), "")


def _port(preset: Preset, smtp: Mapping[str, Any]) -> Iterator[Finding]:
    number, security = smtp.get("port", 25), _security(smtp)
    if any((number, security) == (one.number, one.security) for one in preset.ports):
        return
    place: Place = ("smtp", "port")
    remedy = f"{_setting(preset, number)}, as {preset.title} has it"
    if number not in [one.number for one in preset.ports]:
        message = f"{number} is no port of {preset.title}"
    else:
        message = f"{number} is not {_words(security)} at {preset.title}"
        if security == "none":
            message = f"{number} would be used without TLS"
    yield Finding(place, message, remedy)


def _near(hostname: str) -> Iterator[Finding]:
    """A slip of the pen in a known provider's name."""
    titles = {preset.hostname: preset.title for preset in PRESETS}
    lower = hostname.lower()
    for name in difflib.get_close_matches(lower, titles, n=1, cutoff=_ALIKE):
        if lower not in _REAL:
            message = f"is almost the name of {titles[name]}'s mail server"
            yield Finding(("smtp", "hostname"), message, f"did you mean {name}?")


def _security(smtp: Mapping[str, Any]) -> str:
    if smtp.get("use_ssl") is True:
        return "SSL/TLS"
    return "STARTTLS" if smtp.get("use_starttls") is True else "none"


def _words(security: str) -> str:
    return "TLS from the start" if security == "SSL/TLS" else "for STARTTLS"


def _setting(preset: Preset, number: object) -> str:
    """How to set the port that comes nearest to *number*."""
    same = [one for one in preset.ports if one.number == number]
    port = (same or preset.ports)[0]
    name = "use_ssl" if port.security == "SSL/TLS" else "use_starttls"
    other = "use_starttls" if name == "use_ssl" else "use_ssl"
    return f"set port {port.number} and {name}, not {other}"


def _mode(preset: Preset, auth: Mapping[str, Any]) -> Iterator[Finding]:
    mode, place = auth.get("mode"), ("auth", "mode")
    if mode == "basic" and auth.get("username") is not None and preset.basic_ended:
        yield Finding(
            place,
            f"basic: {preset.basic_ended}",
            f"use oauth2; `profile new --preset {preset.name}` has its settings",
        )
    if mode == "basic" and auth.get("username") is None:
        yield Finding(
            ("auth",),
            f"has no username, and {preset.title} takes no mail without one",
            "give the username and the password",
        )
    if mode == "oauth2" and preset.refuses_oauth2:
        yield Finding(
            place,
            f"oauth2: {preset.title} takes no access tokens over SMTP",
            f"use basic, with {preset.username_is}",
        )


def _username(preset: Preset, auth: Mapping[str, Any]) -> Iterator[Finding]:
    username, place = auth.get("username"), ("auth", "username")
    if not isinstance(username, str) or _placeholder(username):
        return
    if preset.username and username != preset.username:
        yield Finding(
            place,
            f"is {preset.username} for everybody at {preset.title}",
            f"write {preset.username}; what is yours is the password",
        )
    address = "@" in username
    wrong = {"address": not address, "no address": address}
    if wrong.get(preset.username_form):
        said = "is an address" if address else "is no address"
        yield Finding(
            place,
            f"{said}, and {preset.title} wants {preset.username_is}",
            f"write {preset.username_is}",
        )


def _from_addresses(
    preset: Preset, document: Mapping[str, Any], auth: Mapping[str, Any]
) -> Iterator[Finding]:
    if block(document, "policy").get("from_addresses"):
        return
    place, remedy = ("policy", "from_addresses"), "name the addresses to send from"
    if preset.binds_from == "always" and auth.get("username") is not None:
        yield Finding(
            place,
            f"is empty, and {preset.title} takes mail only from the account's own "
            "addresses",
            remedy,
        )
    application = auth.get("mode") == "oauth2" and not auth.get("interactive")
    if preset.binds_from == "application" and application:
        yield Finding(
            place,
            "is empty, and a token that no person granted may send as every mailbox "
            "that the client was given",
            remedy,
        )


def _limits(preset: Preset, limits: Mapping[str, Any]) -> Iterator[Finding]:
    for name, most in preset.limits.items():
        value = limits.get(name)
        if isinstance(value, int) and value > most:
            yield Finding(
                ("limits", name),
                f"{value} is more than {preset.title} takes: {most} {_LIMITS[name]}",
                f"set {most} or less",
            )


def _relay(auth: Mapping[str, Any]) -> Iterator[Finding]:
    if auth.get("mode") == "oauth2":
        yield Finding(
            ("auth", "mode"),
            "oauth2: this is Microsoft 365's relay, which takes no access tokens",
            "use smtp.office365.com with port 587, or no authentication",
        )
