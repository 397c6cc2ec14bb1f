"""
Keepsakes: what has to be known when a browser comes back, and it may not hold itself.

A device's code, the PKCE verifier and the refresh token of a test, a document that is
not saved yet. Sealed in the store, so that any process finds it, also after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define
from sqlalchemy import Connection

from email_profiles_hookspecs.errors import SecretError
from email_profiles_hookspecs.services import Clock

from .clock import SystemChance
from .grant_rules import digest
from .secrets import Keyring
from .store import keepsakes
from .store.database import Database

Value = Mapping[str, Any]
"""As JSON has it."""


@define(kw_only=True)
class Keepsakes:
    """
    Keeps values for one *purpose* and one browser's *session*; thread-safe.

    With another purpose or session, after its time, or when its key was retired, there
    is nothing under a key.
    """

    database: Database
    keyring: Keyring
    clock: Clock
    chance: SystemChance

    def keep(
        self,
        purpose: str,
        session: str,
        value: Value,
        *,
        seconds: float,
        key: str | None = None,
    ) -> str:
        """Keep *value* so long; the key to it, a new one that nobody can guess."""
        if not session:
            raise ValueError("what is kept has to be bound to a session")
        key = key or self.chance.secret()
        sealed = self._sealed(purpose, session, key, value)
        now = self._now()
        self.database.write(
            lambda connection: keepsakes.keep(
                connection, digest(key), sealed, now=now, until=now + seconds
            )
        )
        return key

    def find(self, purpose: str, session: str, key: str) -> Value | None:
        """What is kept under *key*, if anything."""
        with self.database.read() as connection:
            sealed = keepsakes.find(connection, digest(key), now=self._now())
        return self._opened(purpose, session, key, sealed)

    def change(
        self, purpose: str, session: str, key: str, change: Callable[[Value], Value]
    ) -> tuple[Value, Value] | None:
        """
        What was kept, and what *change* made of it; nobody comes in between.

        *change* may be called more than once, and does nothing else.
        """

        def work(connection: Connection) -> tuple[Value, Value] | None:
            sealed = keepsakes.find(connection, digest(key), now=self._now(), lock=True)
            before = self._opened(purpose, session, key, sealed)
            if before is None:
                return None
            after = change(before)
            sealed = self._sealed(purpose, session, key, after)
            keepsakes.change(connection, digest(key), sealed)
            return before, after

        return self.database.write(work)

    def drop(self, purpose: str, session: str, key: str) -> None:
        """It is not needed any more."""
        if self.find(purpose, session, key) is not None:
            self.database.write(lambda c: keepsakes.drop(c, digest(key)))

    def _sealed(self, purpose: str, session: str, key: str, value: Value) -> str:
        return self.keyring.seal(_place(purpose, session, key), json.dumps(value))

    def _opened(
        self, purpose: str, session: str, key: str, sealed: str | None
    ) -> Value | None:
        if sealed is None:
            return None
        try:
            text = self.keyring.open(_place(purpose, session, key), sealed)
        except SecretError:
            return None
        found: Value = json.loads(text)
        return found

    def _now(self) -> float:
        return self.clock.now().timestamp()


def _place(purpose: str, session: str, key: str) -> str:
    """Where a value is sealed; it opens nowhere else."""
    return f"keepsake:{digest(purpose)}:{digest(session)}:{digest(key)}"
