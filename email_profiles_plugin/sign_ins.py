"""Signing in to the console where it runs alone: by a link that works once."""

from __future__ import annotations

from attrs import define
from sqlalchemy import Connection

from email_profiles_hookspecs.services import Clock

from .access import digest
from .clock import SystemChance
from .roles import Role
from .store import access, audit
from .store.access import SignIn
from .store.audit import Entry
from .store.database import Database

LINK_S = 300
"""Seconds for which a link is good."""

AGAIN_S = 10
"""Seconds within which a second click is of the same sign-in."""

SESSION_S = 12 * 3600
"""Seconds after which a session is over, however busy."""


@define
class SignIns:
    """The links and the sessions that they became; only hashes of either are stored."""

    database: Database
    clock: Clock
    chance: SystemChance

    def invite(self, name: str, role: Role, base_url: str, *, actor: str = "") -> str:
        """
        A code that signs one browser in as *name*, within five minutes.

        Sign-ins that are long over are swept on the way.
        """
        code, now = self.chance.secret(), self._now()
        made = SignIn(name=name, role=str(role), base_url=base_url, made_at=now)

        def work(connection: Connection) -> None:
            access.sweep(connection, links=now - SESSION_S, sessions=now - SESSION_S)
            access.keep_link(connection, made, digest(code))
            self._audit(connection, "make sign-in link", actor, made)

        self.database.write(work)
        return code

    def spend(self, code: str, session: str) -> SignIn | None:
        """Sign *session* in; None where *code* is unknown, spent or too old."""
        now = self._now()

        def work(connection: Connection) -> SignIn | None:
            if not access.spend_link(
                connection,
                digest(code),
                session_hash=digest(session),
                now=now,
                after=now - LINK_S,
            ):
                return None
            signed_in = access.session(connection, digest(session))
            if signed_in is not None:
                actor = f"console:{signed_in.name}"
                self._audit(connection, "sign in", actor, signed_in)
            return signed_in

        return self.database.write(work)

    def current(self, session: str) -> SignIn | None:
        """Who *session* is of; None where nobody is signed in by it (any more)."""
        with self.database.read() as connection:
            found = access.session(connection, digest(session))
        if found is None or (found.spent_at or 0) <= self._now() - SESSION_S:
            return None
        return found

    def just_spent(self, session: str) -> SignIn | None:
        """Who *session* is of, if that was signed in some seconds ago."""
        found = self.current(session)
        if found is None or (found.spent_at or 0) <= self._now() - AGAIN_S:
            return None
        return found

    def end(self, session: str) -> None:
        """Sign *session* out, also where somebody has a copy of it."""
        now = self._now()

        def work(connection: Connection) -> None:
            found = access.session(connection, digest(session))
            if found is not None:
                access.end_session(connection, digest(session), now)
                self._audit(connection, "sign out", f"console:{found.name}", found)

        self.database.write(work)

    def last_base_url(self) -> str:
        """Where the console was when the newest link was made; "" if it never was."""
        with self.database.read() as connection:
            return access.last_base_url(connection)

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _audit(
        self, connection: Connection, action: str, actor: str, of: SignIn
    ) -> None:
        entry = Entry(
            at=self._now(),
            actor=actor,
            action=action,
            kind="console",
            subject_id="",
            subject=of.name,
            detail={"role": of.role},
        )
        audit.record(connection, entry)
