"""Handles: what a client keeps for us between two calls, sealed, and can't read."""

from __future__ import annotations

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid, SecretError

from ...runtime import EmailProfiles
from .values import Schema

SCHEMA: Schema = {
    "title": "Handle",
    "description": "What the first call gave, for the next ones.",
    "type": "string",
    "minLength": 1,
    "maxLength": 65536,
    "pattern": "^[A-Za-z0-9_=-]+$",
    "x-says": "has to be a handle as it was given",
}


def give(profiles: EmailProfiles, place: str, text: str) -> str:
    """A handle for *text*, good in *place* alone."""
    return profiles.keyring.seal(f"api:{place}", text)


def take(profiles: EmailProfiles, place: str, handle: str) -> str:
    """What *handle* was given for; Invalid for one that is none, or of another."""
    try:
        return profiles.keyring.open(f"api:{place}", handle)
    except SecretError:
        problem = Problem(
            path="$.handle", message="was not given for this", remedy="begin anew"
        )
        raise Invalid("the body", [problem]) from None
