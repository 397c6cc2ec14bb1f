"""One profile's token, sealed in its row."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import define
from sqlalchemy import Connection

from email_profiles_hookspecs import Token
from email_profiles_hookspecs.errors import EmailProfilesError, SecretError
from email_profiles_hookspecs.services import Clock

from . import token_rules
from .secrets import Keyring
from .store import tokens
from .store.database import Database
from .store.tokens import TokenRow

log = logging.getLogger(__name__)

FETCH_S = 60.0
"""Seconds that a fetch may take, whatever its callers' deadlines are."""

LEASE_S = FETCH_S + 15
"""Seconds after which a fetch is taken for dead, with the process that did it."""

POLL_S = 0.25
"""Seconds between two looks at a row whose lease another process has."""

NO_KEY = "bring back this installation's key, or grant access anew"
"""What to do about a refresh token that does not open."""

REJECTED = "the mail server refused the access token"


@define(eq=False, kw_only=True)
class TokenVault:
    """
    Reads and writes one profile's row; a token for another *fingerprint* is none.

    *current* tells which one the profile has now, where that can be told.
    """

    database: Database
    keyring: Keyring
    clock: Clock
    pause: Callable[[float], None]
    profile_id: str
    fingerprint: str
    name: str
    current: Callable[[Connection], str] | None = None

    def row(self) -> TokenRow:
        """What is stored."""
        with self.database.read() as connection:
            row = tokens.read(connection, self.profile_id)
        return row.issued_for(self.fingerprint)

    def opened(self, row: TokenRow) -> Token | None:
        """
        The row's token; None where there is none.

        One that does not open here may open elsewhere. It can be had anew, and is
        none, if it has no refresh token; SecretError for one that has.
        """
        if row.sealed is None:
            return None
        try:
            text = self.keyring.open(place(self.profile_id), row.sealed)
        except SecretError as error:
            told = f"the token of profile {self.name!r}: {error.message}"
            if row.has_refresh_token:
                raise SecretError(told, NO_KEY) from error
            log.warning("%s", told)
            return None
        content = json.loads(text)
        return Token(
            access_token=content["access"],
            refresh_token=content["refresh"],
            expires_at=moment(row.expires_at),
            scope=row.scope,
            account=row.account,
            generation=row.generation,
        )

    def reject(self, generation: int) -> bool:
        """Take this generation for expired; whether another may be had."""
        now = self.now()
        return self.database.write(
            lambda connection: tokens.reject(
                connection,
                self.profile_id,
                fingerprint=self.fingerprint,
                generation=generation,
                error=REJECTED,
                now=now,
            )
        )

    def drop(self) -> None:
        """Forget the token, and whatever a fetch under way brings."""
        self.database.write(lambda connection: tokens.drop(connection, self.profile_id))

    def newer(self, after: int) -> Token | None:
        """The stored token, if it is good and of a generation after *after*."""
        row = self.row()
        return self.opened(row) if self.enough(row, after) else None

    def now(self) -> float:
        return self.clock.now().timestamp()

    def enough(self, row: TokenRow, after: int) -> bool:
        """Whether *row* has a good token of a generation after *after*."""
        return row.generation > after and token_rules.usable(row.held, self.now())

    def take(self, owner: str, after: int | None) -> tuple[TokenRow, bool]:
        """`store.tokens.take`, for as long as a lease lasts."""

        def work(connection: Connection) -> tuple[TokenRow, bool]:
            now = self.now()  # in turn: an older one finds leases from the future
            return tokens.take(
                connection,
                self.profile_id,
                fingerprint=self.fingerprint,
                owner=owner,
                now=now,
                until=now + LEASE_S,
                after=after,
                current=self.current,
            )

        return self.database.write(work)

    def sealed(self, token: Token) -> str:
        """What is secret of it, as its row has it."""
        content = {"access": token.access_token, "refresh": token.refresh_token}
        return self.keyring.seal(place(self.profile_id), json.dumps(content))


def place(profile_id: str) -> str:
    """Where a profile's token is sealed; it opens nowhere else."""
    return f"token:{profile_id}"


def moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as an aware time, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def told(error: BaseException) -> str:
    """A contract error says nothing secret; of another, only its name is told."""
    if isinstance(error, EmailProfilesError):
        return str(error)[:1000]
    return f"an unexpected {type(error).__name__}"
