"""`email-profiles key` and `backup`: what an installation must not lose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import output
from .commands import Command, Group
from .failures import Failure
from .opening import actor, opens

if TYPE_CHECKING:
    from ..runtime import EmailProfiles


@click.group(cls=Group)
def key() -> None:
    """The key that seals the stored secrets."""


@key.command(examples=["{}"])
@opens
def rotate(facade: EmailProfiles) -> None:
    """Seal every secret with a new key; the old one still opens until `retire`."""
    count = facade.rotate_key(actor=actor())
    done = f"sealed the secrets of {_many(count, 'document')} with a new key"
    output.say(f"{done}; `key retire` drops the old ones")


@key.command(examples=["{}"])
@opens
def retire(facade: EmailProfiles) -> None:
    """
    Drop all keys but the newest.

    A backup from before `rotate` can't be read without the old key.
    """
    count = facade.retire_key(actor=actor())
    output.say(f"dropped {_many(count, 'old key')}")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


@click.command(cls=Command, examples=["{} /backup/email_profiles.db"])
@click.argument("path", type=click.Path(path_type=Path))
@opens
def backup(facade: EmailProfiles, path: Path) -> None:
    """
    Copy the database to PATH, while it is in use.

    The key is another file: without it no secret in the copy opens.
    """
    if path.exists():
        raise Failure(f"{path} is there already", "name a new file")
    facade.backup(path)
    output.say(f"{path}: written; keep the key too: {facade.keyring.path}")
