"""Presets: what profiles of well-known providers say, and a relay's."""

from __future__ import annotations

import difflib

from email_profiles_hookspecs.errors import NotFound

from .catalogue import FACTS_OF, PRESETS, SERVERS
from .making import MANY, Blank, Choices, Made, Wanted, make
from .values import (
    PLACEHOLDERS,
    Access,
    AuthorizationServer,
    Port,
    Preset,
    host_of,
)

__all__ = [
    "FACTS_OF",
    "MANY",
    "PLACEHOLDERS",
    "PRESETS",
    "SERVERS",
    "Access",
    "AuthorizationServer",
    "Blank",
    "Choices",
    "Made",
    "Port",
    "Preset",
    "Wanted",
    "find",
    "host_of",
    "make",
    "near",
    "preset_of",
    "server_of",
]


def find(name: str) -> Preset:
    """The preset called *name*, in any case, also by another usual name; NotFound."""
    wanted = name.strip().lower()
    for preset in PRESETS:
        if wanted in (preset.name, *preset.aliases):
            return preset
    raise NotFound("preset", name)


def near(name: str) -> tuple[str, ...]:
    """The presets whose names resemble *name*, at most three, the nearest first."""
    names = {
        known: preset.name
        for preset in PRESETS
        for known in (*preset.aliases, preset.name)
    }
    wanted = name.strip().lower()[:64]
    found = difflib.get_close_matches(wanted, names, 5, 0.6)
    return tuple(dict.fromkeys(names[one] for one in found))[:3]


def preset_of(hostname: str) -> Preset | None:
    """The preset whose mail server *hostname* is, if any."""
    return next((one for one in PRESETS if one.recognises(hostname)), None)


def server_of(url: str) -> AuthorizationServer | None:
    """The authorization server that *url*, an endpoint or issuer, belongs to."""
    return next((one for one in SERVERS if one.recognises(url)), None)
