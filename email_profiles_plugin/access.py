"""Access: tokens for the console's API. Shown once; only a hash of each is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from attrs import define, field, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid, NameTaken, NotFound
from email_profiles_hookspecs.services import Clock

from .clock import SystemChance
from .roles import Role
from .store import access, audit
from .store.access import AccessToken
from .store.audit import Entry
from .store.database import Database

PREFIX = "ept_"
"""How each token begins, so that a leaked one is known for what it is."""

USED_S = 60
"""Seconds between two notes of when a token was used."""

LONGEST = 80
"""Characters of a token's name."""


@frozen(kw_only=True)
class NewToken:
    """A token that was made; *secret* is it itself, and is never seen again."""

    secret: str = field(repr=False)
    token: AccessToken


@define
class Access:
    """The API tokens; each change goes into the audit trail, with its *actor*."""

    database: Database
    clock: Clock
    chance: SystemChance

    def make(self, name: str, role: Role, *, actor: str = "") -> NewToken:
        """A new token. Invalid for a name that is none, NameTaken for one in use."""
        name = _checked(name)
        secret = PREFIX + self.chance.secret()
        made = AccessToken(
            id=self.chance.unique(),
            name=name,
            role=str(role),
            created_at=self._now(),
            created_by=actor,
        )

        def work(connection: Connection) -> None:
            if access.living_token(connection, name) is not None:
                raise NameTaken(
                    f"there is an API token {name!r} already",
                    "take another name, or revoke that one",
                )
            access.keep_token(connection, made, digest(secret))
            self._audit(connection, "make API token", actor, made)

        self.database.write(work)
        return NewToken(secret=secret, token=made)

    def list(self) -> Sequence[AccessToken]:
        """All tokens, also those that were revoked; by name, those last."""
        with self.database.read() as connection:
            return access.listed_tokens(connection)

    def revoke(self, name: str, *, actor: str = "") -> AccessToken:
        """Let nobody in by the token of that name any more; NotFound."""

        def work(connection: Connection) -> AccessToken:
            found = access.living_token(connection, name)
            if found is None:
                raise NotFound("API token", name)
            access.revoke_token(connection, found.id, self._now())
            self._audit(connection, "revoke API token", actor, found)
            return found

        return self.database.write(work)

    def authenticate(self, secret: str) -> AccessToken | None:
        """The token that *secret* is; None where it is none, or was revoked."""
        if not secret.startswith(PREFIX):
            return None
        with self.database.read() as connection:
            found = access.token_by_hash(connection, digest(secret))
        if found is None or found.revoked_at is not None:
            return None
        now, id = self._now(), found.id
        if now - (found.used_at or 0) >= USED_S:
            self.database.write(lambda c: access.use_token(c, id, now))
        return found

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _audit(
        self, connection: Connection, action: str, actor: str, token: AccessToken
    ) -> None:
        entry = Entry(
            at=self._now(),
            actor=actor,
            action=action,
            kind="API token",
            subject_id=token.id,
            subject=token.name,
            detail={"role": token.role},
        )
        audit.record(connection, entry)


def digest(secret: str) -> str:
    """What is stored in place of *secret*: 256 random bits need no salt."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _checked(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST or not name.isprintable():
        problem = Problem(
            path="$.name",
            message=f"has to be 1 to {LONGEST} characters that can be printed",
            remedy="name it after what uses it",
        )
        raise Invalid("API token", [problem])
    return name
