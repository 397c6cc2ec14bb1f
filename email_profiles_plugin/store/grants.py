"""Statements on grants in progress: each is redeemed once, by whoever is first."""

from __future__ import annotations

from collections.abc import Callable

from attrs import asdict
from sqlalchemy import Connection, delete, insert, select, update

from ..grant_rules import KEPT_S, InProgress
from .tables import grant_in_progress as grants


def begin(connection: Connection, row: InProgress) -> None:
    """Keep a new one."""
    connection.execute(insert(grants).values(asdict(row)))


def find(connection: Connection, state_hash: str) -> InProgress | None:
    """The one with that state, if there is any."""
    row = connection.execute(
        select(grants).where(grants.c.state_hash == state_hash)
    ).one_or_none()
    return None if row is None else InProgress(**row._mapping)


def of_profile(connection: Connection, profile_id: str) -> list[InProgress]:
    """All that are known of a profile, the newest first."""
    rows = connection.execute(
        select(grants)
        .where(grants.c.profile_id == profile_id)
        .order_by(grants.c.expires_at.desc())
    )
    return [InProgress(**row._mapping) for row in rows]


def redeem(
    connection: Connection, state_hash: str, *, query_hash: str, now: float
) -> bool:
    """Note that its answer is being redeemed; false where somebody was sooner."""
    changed = connection.execute(
        update(grants)
        .where(grants.c.state_hash == state_hash)
        .where(grants.c.step == "begun")
        .values(step="redeemed", query_hash=query_hash, redeemed_at=now)
    )
    return bool(changed.rowcount)


def done(connection: Connection, state_hash: str, result: str) -> None:
    """Note what came of it; what the provider gave to keep goes."""
    connection.execute(
        update(grants)
        .where(grants.c.state_hash == state_hash)
        .values(step="done", result=result, sealed=None)
    )


def sweep(connection: Connection, now: float) -> int:
    """Delete those whose time was over an hour ago; how many."""
    gone = connection.execute(delete(grants).where(grants.c.expires_at < now - KEPT_S))
    return gone.rowcount


def forget(connection: Connection, profile_id: str) -> None:
    """The profile is gone."""
    connection.execute(delete(grants).where(grants.c.profile_id == profile_id))


def reseal(connection: Connection, seal: Callable[[str, str], str | None]) -> int:
    """Replace what is sealed by what *seal* makes of it, by state; how many."""
    rows = connection.execute(
        select(grants.c.state_hash, grants.c.sealed).where(grants.c.sealed.is_not(None))
    ).all()
    for row in rows:
        connection.execute(
            update(grants)
            .where(grants.c.state_hash == row.state_hash)
            .values(sealed=seal(row.state_hash, row.sealed))
        )
    return len(rows)
