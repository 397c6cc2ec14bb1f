"""
The command line, `email-profiles`: everything it does goes through the facade.

Importing it, and `--help`, load neither the database nor HTTP nor the validator.
"""

from __future__ import annotations

import io
import sys

import click

from . import (
    clients,
    console,
    consumers,
    demo,
    keys,
    outbox,
    plugins,
    profiles,
    sending,
    tokens,
)
from .commands import Root

__all__ = ["main"]


@click.group(
    "email-profiles",
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--home",
    type=click.Path(file_okay=False),
    envvar="EMAIL_PROFILES_HOME",
    show_envvar=True,
    metavar="DIR",
    help="Where database and key are; else the platform's data folder.",
)
@click.option(
    "--database",
    envvar="EMAIL_PROFILES_DATABASE",
    show_envvar=True,
    metavar="URL",
    help="The database; else a SQLite file in the home.",
)
@click.option("--no-plugins", is_flag=True, help="Safe mode: built-in plugins only.")
@click.option("--debug", is_flag=True, help="Show the traceback of unexpected errors.")
@click.version_option(package_name="email-profiles-plugin")
def main(home: str | None, database: str | None, no_plugins: bool, debug: bool) -> None:
    """
    Email profiles: named settings by which automation hosts send mail.

    Exit codes: 0 done, 1 failed (said why on standard error), 2 wrong usage.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


for _command in (
    demo.demo,
    profiles.profile,
    clients.client,
    consumers.alarm,
    consumers.report,
    tokens.token,
    sending.send,
    outbox.outbox,
    console.console,
    plugins.plugins,
    plugins.schema,
    keys.key,
    keys.backup,
):
    main.add_command(_command)
