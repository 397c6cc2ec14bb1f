"""
Granting: a person's browser is sent off, comes back once, and is answered as often.

`state` finds the grant that an answer belongs to. Before an answer is handed to the
mode's provider, that is noted: no crash has a code redeemed twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, define, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Profile, Redirect, TokenStatus, errors
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    NeedsGrant,
    PluginFailed,
    SecretError,
    TokenError,
)
from email_profiles_hookspecs.services import Clock

from . import grant_rules
from .clock import SystemChance
from .grant_rules import REDEEM_S, Callback, InProgress, Step
from .secrets import Keyring
from .store import audit, grants
from .store.audit import Entry
from .store.database import Database

POLL_S = 0.25
"""Seconds between two looks at a grant that another request is redeeming."""

LONGEST = 1000
"""Characters of each part of an error that are kept."""

LOST = (
    "whoever redeemed this answer did not live to tell what came of it",
    "look at the token's status; grant access anew if it is not valid",
)
"""What is said of a grant that was being redeemed, and why no more; and what to do."""

Redeem = Callable[[InProgress, Mapping[str, str], str], TokenStatus]
"""Let the provider finish: the grant, the answer's parameters, what it gave to keep."""


@frozen(kw_only=True)
class Completed:
    """What came of a grant: the profile's name, and its token's status then."""

    profile: str
    status: TokenStatus
    profile_id: str = ""


@frozen(kw_only=True)
class Sight:
    """
    A grant as it is seen from outside; *until*: seconds since 1970.

    *own*: of the session that looks, which alone is told the *error*, where it failed.
    """

    step: Step
    actor: str
    until: float
    own: bool
    error: str = ""
    remedy: str = ""

    def goes_on(self, now: float) -> bool:
        """Somebody may yet end it well."""
        return self.step != "done" and now < self.until


@define(kw_only=True)
class Granting:
    """
    The grants in progress; thread-safe, over processes too.

    *pause* waits some seconds.
    """

    database: Database
    keyring: Keyring
    clock: Clock
    chance: SystemChance
    pause: Callable[[float], None] = time.sleep

    def begin(
        self,
        profile: Profile,
        *,
        fingerprint: str,
        redirect_uri: str,
        session: str,
        actor: str,
        send_off: Callable[[str], Redirect],
    ) -> str:
        """
        Where to send the browser of *session*; the grant ends in ten minutes.

        *send_off* is the provider's `begin`, given the state. Grants whose time is
        long over are swept on the way.
        """
        if not session:
            raise ValueError("a grant has to be bound to a session")
        state = self.chance.secret()
        redirect = send_off(state)
        if not redirect.url.startswith(("https://", "http://")):
            raise PluginFailed(
                f"mode {profile.mode}: begin() has to give a web address"
            )
        key = grant_rules.digest(state)
        now = self._now()
        row = InProgress(
            state_hash=key,
            profile_id=profile.id,
            profile_name=profile.name,
            fingerprint=fingerprint,
            session_hash=grant_rules.digest(session),
            redirect_uri=redirect_uri,
            sealed=self.keyring.seal(place(key), redirect.kept),
            actor=actor,
            expires_at=now + grant_rules.LIFETIME_S,
        )

        def work(connection: Connection) -> None:
            grants.sweep(connection, now)
            grants.begin(connection, row)

        self.database.write(work)
        return redirect.url

    def complete(
        self, query: str, session: str, redirect_uri: str | None, redeem: Redeem
    ) -> Completed:
        """
        What *redeem* makes of the answer in *query*; the same for the same again.

        A repeat waits for the first, and asks nobody. Raises StateRefused with
        nothing changed, what *redeem* raised, and NeedsGrant where the first died.
        """
        callback = grant_rules.read(query)
        while True:
            with self.database.read() as connection:
                row = grants.find(connection, callback.state_hash)
            step = grant_rules.decide(
                row,
                callback,
                session=session,
                redirect_uri=redirect_uri,
                now=self._now(),
            )
            assert row is not None
            if step == "tell":
                return _told(row)
            if step == "lost":
                raise NeedsGrant(*LOST)
            if step == "redeem" and self._first(callback):
                return self._redeem(row, callback, redeem)
            self.pause(POLL_S)

    def subject(self, query: str, session: str) -> str | None:
        """The id of the profile whose grant *session* has begun, by its answer."""
        callback = grant_rules.read(query)
        with self.database.read() as connection:
            row = grants.find(connection, callback.state_hash)
        own = row is not None and row.session_hash == grant_rules.digest(session)
        return row.profile_id if row is not None and own else None

    def newest(self, profile_id: str, session: str) -> Sight | None:
        """The profile's last grant, *session*'s own before others', if it is known."""
        mine = grant_rules.digest(session)
        with self.database.read() as connection:
            rows = grants.of_profile(connection, profile_id)
        rows.sort(key=lambda row: row.session_hash != mine)
        return _sight(rows[0], mine, self._now()) if rows else None

    def sweep(self, connection: Connection, now: float) -> int:
        """Delete what nobody can ask for any more; how many. `begin` does, too."""
        return grants.sweep(connection, now)

    def reseal(self, connection: Connection) -> int:
        """Seal with the newest key what providers gave to keep; how many."""

        def anew(state_hash: str, sealed: str) -> str:
            where = place(state_hash)
            try:
                return self.keyring.seal(where, self.keyring.open(where, sealed))
            except SecretError:
                return sealed  # it never opens: its ten minutes will run out

        return grants.reseal(connection, anew)

    def _first(self, callback: Callback) -> bool:
        key, query_hash = callback.state_hash, callback.query_hash
        now = self._now()
        return self.database.write(
            lambda connection: grants.redeem(
                connection, key, query_hash=query_hash, now=now
            )
        )

    def _redeem(self, row: InProgress, callback: Callback, redeem: Redeem) -> Completed:
        try:
            kept = self.keyring.open(place(row.state_hash), row.sealed or "")
            status = redeem(row, callback.query, kept)
        except EmailProfilesError as error:
            self._record(row, _of_error(error), None)
            raise
        self._record(row, _of_status(status), status)
        return Completed(
            profile=row.profile_name, profile_id=row.profile_id, status=status
        )

    def _record(
        self, row: InProgress, result: dict[str, Any], status: TokenStatus | None
    ) -> None:
        entry = Entry(
            at=self._now(),
            actor=row.actor,
            action="grant",
            kind="token",
            subject_id=row.profile_id,
            subject=row.profile_name,
            detail={"generation": status.generation, "by": "browser"} if status else {},
        )

        def work(connection: Connection) -> None:
            grants.done(connection, row.state_hash, json.dumps(result))
            if status is not None:
                audit.record(connection, entry)

        self.database.write(work)

    def _now(self) -> float:
        return self.clock.now().timestamp()


def place(state_hash: str) -> str:
    """Where what a provider gave to keep is sealed; it opens nowhere else."""
    return f"grant:{state_hash}"


def _of_status(status: TokenStatus) -> dict[str, Any]:
    expires_at = status.expires_at.timestamp() if status.expires_at else None
    return {"status": {**asdict(status), "expires_at": expires_at}}


def _of_error(error: EmailProfilesError) -> dict[str, Any]:
    """A contract error with its arguments; of any other, what it says."""
    kind, args = type(error), error.args
    plain = all(isinstance(one, str | int) for one in args)
    if not plain or getattr(errors, kind.__name__, None) is not kind:
        kind, args = TokenError, (str(error), error.remedy)
    kept = [one[:LONGEST] if isinstance(one, str) else one for one in args]
    return {"error": kind.__name__, "args": kept}


def _told(row: InProgress) -> Completed:
    """What was kept of the first time, as it was told then."""
    result = json.loads(row.result)
    if "error" in result:
        raise getattr(errors, result["error"])(*result["args"])
    kept = result["status"]
    if kept["expires_at"] is not None:
        kept["expires_at"] = datetime.fromtimestamp(kept["expires_at"], UTC)
    kept["actions"] = tuple(kept["actions"])
    return Completed(
        profile=row.profile_name, profile_id=row.profile_id, status=TokenStatus(**kept)
    )


def _sight(row: InProgress, session_hash: str, now: float) -> Sight:
    own, error = row.session_hash == session_hash, ("", "")
    late = row.step == "redeemed" and now >= (row.redeemed_at or 0) + REDEEM_S
    if own and late:
        error = LOST
    elif own and row.step == "done":
        try:
            _told(row)
        except EmailProfilesError as raised:
            error = str(getattr(raised, "message", raised)), raised.remedy
    return Sight(
        step="done" if late else row.step,
        actor=row.actor,
        until=row.expires_at,
        own=own,
        error=error[0],
        remedy=error[1],
    )
