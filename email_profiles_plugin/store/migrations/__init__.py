"""
How a database of an earlier version becomes one of this version (Alembic).

Alembic is imported only where there is something to do.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

HEAD = "0006"
"""The newest revision; a test compares it with the scripts."""


def current(connection: Connection) -> str | None:
    """The revision that a database is at; None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(
        text("SELECT version_num FROM alembic_version")
    )
    return found


def upgrade(connection: Connection) -> None:
    """Bring the database to HEAD, within the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "email_profiles_plugin.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
