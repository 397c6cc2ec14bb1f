"""One profile's token, sealed in its row; whoever fetches the next holds the lease."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from attrs import define, evolve
from sqlalchemy import Connection

from email_profiles_hookspecs import Timing, Token
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    GrantRefused,
    HttpError,
    NeedsGrant,
    SecretError,
    StoreUnavailable,
    TokenError,
    TokenTimeout,
)
from email_profiles_hookspecs.services import Clock, Fetch

from . import token_rules
from .clock import SystemChance
from .secrets import Keyring
from .store import tokens
from .store.database import Database
from .store.tokens import Obtained, TokenRow

log = logging.getLogger(__name__)

FETCH_S = 60.0
"""Seconds that a fetch may take, whatever its callers' deadlines are."""

LEASE_S = FETCH_S + 15
"""Seconds after which a fetch is taken for dead, with the process that did it."""

POLL_S = 0.25
"""Seconds between two looks at a row whose lease another process has."""

AGAIN_S = 2.0
"""Seconds after which a refresh whose answer may be lost is asked for again."""

SAVES = 3
"""How often saving a new token is tried: it may be all that there is of a grant."""

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
    chance: SystemChance
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
        """Take this generation for expired; whether it was the stored one."""
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

    def obtain(
        self,
        fetch: Fetch,
        after: int,
        timing: Timing,
        *,
        insist: bool = False,
        granted: bool = False,
    ) -> Token:
        """
        A token of a generation after *after*: another's, or what *fetch* brings.

        *insist*: *fetch* is called in any case; *granted*: for a new grant. Waits for
        whoever has the lease; TokenTimeout where the lease is never free.
        """
        owner = self.chance.unique()
        give_up = self.clock.monotonic() + LEASE_S + FETCH_S
        while True:
            row, mine = self._take(owner, None if insist else after)
            if mine:
                return self._fetch(fetch, row, owner, timing, granted)
            if not (insist or row.lease_owner) and token_rules.refused(
                row.held, self.now()
            ):
                raise NeedsGrant(row.error, "grant access anew")
            if not insist and self._enough(row, after):
                if held := self.opened(row):
                    return held
                insist = True
            elif self.clock.monotonic() >= give_up:
                raise TokenTimeout(
                    "others have been asking for this access token all the time",
                    "look at the other processes that use this database",
                )
            else:
                self.pause(POLL_S)

    def newer(self, after: int) -> Token | None:
        """The stored token, if it is good and of a generation after *after*."""
        row = self.row()
        return self.opened(row) if self._enough(row, after) else None

    def now(self) -> float:
        return self.clock.now().timestamp()

    def _enough(self, row: TokenRow, after: int) -> bool:
        newer = row.generation > after
        return newer and token_rules.usable(row.held, self.now())

    def _take(self, owner: str, after: int | None) -> tuple[TokenRow, bool]:
        now = self.now()
        return self.database.write(
            lambda connection: tokens.take(
                connection,
                self.profile_id,
                fingerprint=self.fingerprint,
                owner=owner,
                now=now,
                until=now + LEASE_S,
                after=after,
                current=self.current,
            )
        )

    def _fetch(
        self, fetch: Fetch, row: TokenRow, owner: str, timing: Timing, granted: bool
    ) -> Token:
        """A new token, saved before anybody uses it; ends the lease in any case."""
        previous, closed = None, False
        try:
            closed = not granted and row.sealed is not None
            previous = None if granted else self.opened(row)
            closed = closed and previous is None
            token = self._ask(fetch, previous, lost=row.interrupted)
            if previous is not None and token.refresh_token is None:  # RFC 6749, 6
                token = evolve(token, refresh_token=previous.refresh_token)
            return self._save(token, owner, timing, granted)
        except BaseException as error:
            if not closed:
                self._fail(row, owner, error, previous)
                raise
            self._release(owner)
            if isinstance(error, NeedsGrant):  # not so: it may be good elsewhere
                message = f"the token of profile {self.name!r} does not open here"
                raise SecretError(message, NO_KEY) from error
            raise

    def _ask(self, fetch: Fetch, previous: Token | None, *, lost: bool) -> Token:
        """
        What *fetch* brings; asked once more where the answer may have been *lost*.

        With it a refresh token may be spent (RFC 9700, 4.14): servers take it again
        for some seconds only, and a refusal afterwards can't be told from any other.
        """
        deadline = self.clock.monotonic() + FETCH_S
        spends = previous is not None and previous.refresh_token is not None
        try:
            return fetch(previous, deadline)
        except HttpError:
            if not spends:
                raise
        except GrantRefused as error:
            if spends and lost:
                raise _answer_lost(error) from error
            raise
        self.pause(AGAIN_S)
        try:
            return fetch(previous, deadline)
        except GrantRefused as error:
            raise _answer_lost(error) from error

    def _save(self, token: Token, owner: str, timing: Timing, granted: bool) -> Token:
        now = self.now()
        said = token.expires_at.timestamp() if token.expires_at else None
        expires_at = token_rules.expires_at(now, said, timing)
        content = {"access": token.access_token, "refresh": token.refresh_token}
        sealed = self.keyring.seal(place(self.profile_id), json.dumps(content))
        obtained = Obtained(
            sealed=sealed,
            expires_at=expires_at,
            scope=token.scope,
            account=token.account,
            has_refresh_token=token.refresh_token is not None,
            at=now,
            granted=granted,
            rejected=REJECTED,
        )
        generation = self._keep(obtained, owner)
        if generation is None:
            raise TokenError(
                "the access token was dropped while it was asked for", "try again"
            )
        return evolve(token, expires_at=moment(expires_at), generation=generation)

    def _keep(self, obtained: Obtained, owner: str) -> int | None:
        for left in reversed(range(SAVES)):
            try:
                return self.database.write(
                    lambda connection: tokens.save(
                        connection, self.profile_id, owner, obtained
                    )
                )
            except StoreUnavailable:
                if not left:
                    raise
        return None

    def _release(self, owner: str) -> None:
        """What does not open in this process is no matter of the others'."""
        with suppress(StoreUnavailable):
            self.database.write(
                lambda connection: tokens.release(connection, self.profile_id, owner)
            )

    def _fail(
        self, row: TokenRow, owner: str, error: BaseException, previous: Token | None
    ) -> None:
        refreshed = previous is not None and previous.refresh_token is not None
        state: token_rules.Kept = "error"
        if isinstance(error, NeedsGrant):
            state = "needs grant"
        elif isinstance(error, GrantRefused):
            state = token_rules.refused_state(error.error, refreshed)
        retry_at = token_rules.retry_at(self.now(), row.expires_at)
        with suppress(StoreUnavailable):  # then the lease runs out by itself
            self.database.write(
                lambda connection: tokens.fail(
                    connection,
                    self.profile_id,
                    owner,
                    state=state,
                    error=told(error),
                    retry_at=retry_at,
                )
            )


def _answer_lost(error: GrantRefused) -> TokenError:
    """What a refusal means after an answer that may have had the next refresh token."""
    if token_rules.refused_state(error.error, refreshed=True) != "needs grant":
        return error
    return NeedsGrant(
        f"{error.message} (answer lost: the refresh before this one was not answered)",
        "grant access anew",
    )


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
