"""
Statements on tokens: one row per profile, changed by whoever holds its lease.

*updated_at* is when the token was obtained. The generation only ever counts up, also
over a token that was dropped, so that no old credential is taken for a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, field, frozen
from sqlalchemy import Connection, delete, insert, select, update

from email_profiles_hookspecs.errors import TokenError

from ..token_rules import Held, Kept, refused, usable
from . import health
from .tables import token

CLOCKS_S = 30.0
"""Seconds by which the clocks of those who share a row may differ."""


@frozen(kw_only=True)
class TokenRow:
    """A profile's row; where there is none, one that says so."""

    profile_id: str
    fingerprint: str = ""
    generation: int = 0
    grant_generation: int = 0
    state: Kept = "none"
    sealed: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    scope: str = ""
    account: str = ""
    has_refresh_token: bool = False
    error: str = ""
    refresh_started: int = 0
    lease_owner: str | None = None
    lease_until: float | None = None
    retry_at: float | None = None
    updated_at: float = 0
    interrupted: bool = False
    """Whoever asked for the next token has never said what came of it."""

    def leased(self, now: float, longest: float) -> bool:
        """
        Whether another has the lease. *longest*: when one that began now would end.

        One that ends much later was taken before the clock was set back.
        """
        until = self.lease_until or 0
        return bool(self.lease_owner) and now < until <= longest + CLOCKS_S

    @property
    def held(self) -> Held:
        """What the rules ask for."""
        return Held(
            kept=self.state,
            present=self.sealed is not None,
            obtained_at=self.updated_at,
            expires_at=self.expires_at,
        )

    def issued_for(self, fingerprint: str) -> TokenRow:
        """
        This row, or an empty one where the token was issued for something else.

        Whose generation is 0, as what is stored is nothing newer for who asks; where
        nothing is stored any more, it is how many there were.
        """
        if self.fingerprint == fingerprint:
            return self
        return evolve(
            self,
            fingerprint=fingerprint,
            generation=0 if self.fingerprint else self.generation,
            state="none",
            sealed=None,
            expires_at=None,
            scope="",
            account="",
            has_refresh_token=False,
            error="",
            retry_at=None,
        )


@frozen(kw_only=True)
class Obtained:
    """
    A token to be saved; *error*: what is wrong with it although it is good.

    A pause of the profile ends with it, unless the mail server *rejected* the last.
    *inherits*: the generation whose refresh token a new grant goes on with.
    """

    sealed: str = field(repr=False)
    expires_at: float | None
    scope: str
    account: str
    has_refresh_token: bool
    at: float
    rejected: str = ""
    error: str = ""
    inherits: int | None = None


def read(connection: Connection, profile_id: str, *, lock: bool = False) -> TokenRow:
    """What is stored; *lock*: nobody else changes it in this transaction."""
    wanted = select(token).where(token.c.profile_id == profile_id)
    if lock:
        wanted = wanted.with_for_update()
    row = connection.execute(wanted).one_or_none()
    return TokenRow(profile_id=profile_id) if row is None else TokenRow(**row._mapping)


def take(
    connection: Connection,
    profile_id: str,
    *,
    fingerprint: str,
    owner: str,
    now: float,
    until: float,
    after: int | None,
    current: Callable[[Connection], str] | None = None,
) -> tuple[TokenRow, bool]:
    """
    The row, and whether *owner* may fetch the next token now, till *until*.

    Not while another's lease lasts; and, unless *after* is None, neither where a good
    token of a generation after it is stored nor where a person is needed. Notes that
    the next generation's fetch has begun.

    A row that is another *fingerprint*'s is replaced only for the one that is
    *current*, where that can be told: TokenError for whoever holds the profile as it
    was before an edit.
    """
    stored = read(connection, profile_id, lock=True)
    row = stored.issued_for(fingerprint)
    other = stored.fingerprint not in ("", fingerprint)
    if other and current is not None and current(connection) != fingerprint:
        raise TokenError("the profile was changed meanwhile", "try again")
    enough = after is not None and row.generation > after and usable(row.held, now)
    if enough or stored.leased(now, until):
        return row, False
    if after is not None and not stored.lease_owner and refused(row.held, now):
        return row, False  # by what another was told meanwhile
    following = stored.generation + 1
    row = evolve(
        row,
        generation=stored.generation,
        lease_owner=owner,
        lease_until=until,
        refresh_started=following,
        interrupted=bool(stored.lease_owner) and stored.refresh_started == following,
    )
    _write(connection, row)
    return row, True


def save(
    connection: Connection, profile_id: str, owner: str, obtained: Obtained
) -> int | None:
    """Keep a new token, and end the lease; its generation, None if not *owner*'s."""
    row = read(connection, profile_id, lock=True)
    if row.lease_owner != owner:
        return None
    troubled = row.state != "valid" and row.error != obtained.rejected
    if troubled:
        health.resume(connection, profile_id)
    # A session outlives its token, but not the grant behind it.
    _store(connection, row, obtained, new=row.sealed is None)
    return row.generation + 1


def grant(
    connection: Connection,
    profile_id: str,
    obtained: Obtained,
    *,
    fingerprint: str,
    current: Callable[[Connection], str] | None = None,
) -> int | None:
    """
    Keep the token of a new grant; its generation. TokenError as for `take`.

    It spends nothing that others hold, so it waits for no lease; it ends the lease,
    and what its owner brings is not saved any more. Where it *inherits* the lease
    stays: its owner may be about to bring the next refresh token. None where it
    inherits from what is not stored any more.
    """
    row = read(connection, profile_id, lock=True)
    other = row.fingerprint not in ("", fingerprint)
    if other and current is not None and current(connection) != fingerprint:
        raise TokenError("the profile was changed meanwhile", "try again")
    if obtained.inherits not in (None, row.generation):
        return None
    health.resume(connection, profile_id)
    _store(connection, evolve(row, fingerprint=fingerprint), obtained, new=True)
    return row.generation + 1


def fail(
    connection: Connection,
    profile_id: str,
    owner: str,
    *,
    state: Kept,
    error: str,
    retry_at: float,
    lost: bool = False,
) -> None:
    """
    Keep why there is no new token, and end the lease, if it is *owner*'s.

    Where the token itself was *lost*, the lease runs out by itself, as if its holder
    had died: so the next one knows.
    """
    if read(connection, profile_id, lock=True).lease_owner == owner:
        _put(connection, profile_id, state=state, error=error, retry_at=retry_at)
        if not lost:
            release(connection, profile_id, owner)


def fail_grant(
    connection: Connection, profile_id: str, fingerprint: str, error: str
) -> None:
    """Keep why a grant came to nothing, where no token is stored that may be good."""
    stored = read(connection, profile_id, lock=True)
    if stored.sealed is None:
        state: Kept = "needs grant" if stored.state == "needs grant" else "error"
        _write(
            connection,
            evolve(stored, fingerprint=fingerprint, state=state, error=error),
        )


def release(connection: Connection, profile_id: str, owner: str) -> None:
    """End the lease, if it is *owner*'s; nothing else is said."""
    if read(connection, profile_id, lock=True).lease_owner == owner:
        _put(connection, profile_id, lease_owner=None, lease_until=None)


def rotate(connection: Connection, profile_id: str, owner: str, sealed: str) -> bool:
    """Keep the next refresh token; false if the lease is not *owner*'s."""
    mine = read(connection, profile_id, lock=True).lease_owner == owner
    if mine:
        _put(connection, profile_id, sealed=sealed)
    return mine


def reject(
    connection: Connection,
    profile_id: str,
    *,
    fingerprint: str,
    generation: int,
    error: str,
    now: float,
) -> bool:
    """
    The access token is no good any more; whether another may be had.

    It was the stored one, and is marked; or a newer one is stored already.
    """
    row = read(connection, profile_id, lock=True).issued_for(fingerprint)
    if row.sealed is None or row.generation != generation:
        return row.sealed is not None and row.generation > generation
    if row.expires_at is None or row.expires_at > now:
        _put(connection, profile_id, state="error", error=error, expires_at=now)
    return True


def drop(connection: Connection, profile_id: str) -> None:
    """Forget the token, and let nobody save one that was asked for before."""
    row = read(connection, profile_id, lock=True).issued_for("")
    values = {**_values(row), "lease_owner": None, "lease_until": None}
    del values["profile_id"], values["generation"]
    _put(connection, profile_id, **values)


def held(connection: Connection) -> list[TokenRow]:
    """All rows that hold a token which expires."""
    wanted = select(token).where(token.c.sealed.is_not(None))
    rows = connection.execute(wanted.where(token.c.expires_at.is_not(None)))
    return [TokenRow(**row._mapping) for row in rows]


def forget(connection: Connection, profile_id: str) -> None:
    """The profile is gone."""
    connection.execute(delete(token).where(token.c.profile_id == profile_id))


def reseal(connection: Connection, seal: Callable[[str, str], str]) -> int:
    """Replace what is sealed by what *seal* makes of it, by profile; how many."""
    rows = connection.execute(
        select(token.c.profile_id, token.c.sealed).where(token.c.sealed.is_not(None))
    ).all()
    for row in rows:
        _put(connection, row.profile_id, sealed=seal(row.profile_id, row.sealed))
    return len(rows)


def _store(
    connection: Connection, row: TokenRow, obtained: Obtained, *, new: bool
) -> None:
    """Replace *row*'s token, or insert the first; *new*: of another grant."""
    generation, leased = row.generation + 1, obtained.inherits is not None
    made = evolve(
        row,
        generation=generation,
        grant_generation=generation if new else row.grant_generation,
        state="valid",
        sealed=obtained.sealed,
        expires_at=obtained.expires_at,
        scope=obtained.scope,
        account=obtained.account,
        has_refresh_token=obtained.has_refresh_token,
        error=obtained.error,
        lease_owner=row.lease_owner if leased else None,
        lease_until=row.lease_until if leased else None,
        retry_at=None,
        updated_at=obtained.at,
    )
    _write(connection, made)


def _write(connection: Connection, row: TokenRow) -> None:
    values = _values(row)
    if not _put(connection, row.profile_id, **values):
        connection.execute(insert(token).values(values))


def _put(connection: Connection, profile_id: str, /, **values: Any) -> int:
    """How many rows there were: one, or none."""
    changed = connection.execute(
        update(token).where(token.c.profile_id == profile_id).values(**values)
    )
    return changed.rowcount


def _values(row: TokenRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in token.columns}
