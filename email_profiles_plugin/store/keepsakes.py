"""Statements on keepsakes: what is kept, sealed, for a browser for some minutes."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from .tables import keepsake


def keep(
    connection: Connection, key_hash: str, sealed: str, *, now: float, until: float
) -> None:
    """Add one; those whose time is over are swept on the way."""
    connection.execute(delete(keepsake).where(keepsake.c.expires_at <= now))
    row = {"key_hash": key_hash, "sealed": sealed, "expires_at": until}
    connection.execute(insert(keepsake).values(row))


def find(
    connection: Connection, key_hash: str, *, now: float, lock: bool = False
) -> str | None:
    """What is kept; *lock*: nobody else changes it in this transaction."""
    wanted = select(keepsake.c.sealed).where(keepsake.c.key_hash == key_hash)
    wanted = wanted.where(keepsake.c.expires_at > now)
    found: str | None = connection.scalar(wanted.with_for_update() if lock else wanted)
    return found


def change(connection: Connection, key_hash: str, sealed: str) -> None:
    """Keep *sealed* in its place, as long as it."""
    connection.execute(
        update(keepsake).where(keepsake.c.key_hash == key_hash).values(sealed=sealed)
    )


def drop(connection: Connection, key_hash: str) -> None:
    """It is not needed any more."""
    connection.execute(delete(keepsake).where(keepsake.c.key_hash == key_hash))
