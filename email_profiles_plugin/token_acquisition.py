"""Acquisition: whoever holds the lease asks for the next token, and saves it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from attrs import evolve, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Timing, Token
from email_profiles_hookspecs.errors import (
    GrantRefused,
    HttpError,
    NeedsGrant,
    SecretError,
    StoreUnavailable,
    TokenError,
    TokenTimeout,
)
from email_profiles_hookspecs.services import Fetch

from . import token_rules
from .oauth.grants import HalfAnswer
from .store import tokens
from .store.tokens import Obtained, TokenRow
from .token_vault import (
    FETCH_S,
    LEASE_S,
    NO_KEY,
    POLL_S,
    REJECTED,
    TokenVault,
    moment,
    told,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

AGAIN_S = 2.0
"""Seconds after which a refresh whose answer may be lost is asked for again."""

LONGEST_PAUSE_S = 30.0
"""Seconds between two tries to save a token come to no more."""

IN_MEMORY_S = 86_400.0
"""Seconds for which saving is tried where it may be all that there is of a grant."""


INHERITS = (
    "this grant came without a refresh token, so that of the grant before is kept"
)
"""What is said of a grant that is not whole."""

Save = Callable[[Connection, Obtained], int | None]
"""Keep a token; its generation, or None where that may not be any more."""


@frozen(eq=False, kw_only=True)
class Acquisition:
    """One token, by *fetch*, for *owner* of the lease; *timing* is the profile's."""

    vault: TokenVault
    fetch: Fetch
    timing: Timing
    owner: str

    def obtain(self, after: int, *, insist: bool = False) -> Token:
        """
        A token of a generation after *after*: another's, or what *fetch* brings.

        *insist*: *fetch* is called in any case. Waits for whoever has the lease;
        TokenTimeout where the lease is never free.
        """
        vault = self.vault
        give_up = vault.clock.monotonic() + LEASE_S + FETCH_S
        while True:
            row, mine = vault.take(self.owner, None if insist else after)
            if mine:
                return self._fetch(row)
            if not (insist or row.lease_owner) and token_rules.refused(
                row.held, vault.now()
            ):
                raise NeedsGrant(row.error, "grant access anew")
            if not insist and vault.enough(row, after):
                if held := vault.opened(row):
                    return held
                insist = True
            elif vault.clock.monotonic() >= give_up:
                raise TokenTimeout(
                    "others have been asking for this access token all the time",
                    "look at the other processes that use this database",
                )
            else:
                vault.pause(POLL_S)

    def granted(self) -> Token:
        """
        What *fetch* brings, which a person granted; the lease is nobody's then.

        Where it fails what is stored of another grant is left: that may be good.
        """
        began = self.vault.clock.monotonic()
        try:
            token = self.fetch(None, began + FETCH_S)
        except BaseException as error:
            self._no_grant(told(error))
            raise
        try:
            while True:
                obtained = self._inheriting(token) or self._obtained(token)
                generation = self._keep(self._grant, obtained, began + LEASE_S)
                if generation is not None:
                    return _numbered(token, obtained, generation)
        except _Unsaved as error:
            raise error.reason from error

    def _fetch(self, row: TokenRow) -> Token:
        """A new token, saved before anybody uses it; ends the lease, as a rule."""
        until = self.vault.clock.monotonic() + LEASE_S
        previous, closed = None, row.sealed is not None
        try:
            previous = self.vault.opened(row)
            closed = closed and previous is None
            token = self._ask(previous, until, lost=row.interrupted)
            obtained = self._obtained(token)
            generation = self._keep(self._save, obtained, until)
            if generation is None:
                return self._newer(row)
            return _numbered(token, obtained, generation)
        except _Unsaved as error:
            self._fail(row, error.reason, previous, lost=True)
            raise error.reason from error
        except BaseException as error:
            if closed:
                self._release()
                self._insist_on_the_key(error)
                raise
            self._fail(row, error, previous)
            ended = isinstance(error, GrantRefused | NeedsGrant | HttpError)
            if ended and (newer := self.vault.newer(row.generation)):
                return newer  # of a grant that was made meanwhile
            raise

    def _ask(self, previous: Token | None, until: float, *, lost: bool) -> Token:
        """
        What *fetch* brings; asked once more where the answer may have been *lost*.

        With it a refresh token may be spent (RFC 9700, 4.14): servers take it again
        for some seconds only, and a refusal afterwards can't be told from any other.
        """
        deadline = self.vault.clock.monotonic() + FETCH_S
        if previous is None or previous.refresh_token is None:
            return self.fetch(previous, deadline)
        try:
            return _continued(self.fetch(previous, deadline), previous)
        except HttpError as error:
            rotated = self._rotated(previous, error, until)
        except GrantRefused as error:
            if not lost:
                raise
            raise token_rules.answer_lost(error) from error
        self.vault.pause(AGAIN_S)
        try:
            return _continued(self.fetch(rotated, deadline), rotated)
        except HttpError as error:
            self._rotated(rotated, error, until)
            raise
        except GrantRefused as error:
            if rotated is not previous:
                raise
            raise token_rules.answer_lost(error) from error

    def _rotated(self, previous: Token, error: HttpError, until: float) -> Token:
        """*previous*, with the refresh token that came in a useless answer, saved."""
        if not isinstance(error, HalfAnswer):
            return previous
        token, vault = evolve(previous, refresh_token=error.refresh_token), self.vault
        sealed = vault.sealed(token)

        def work(connection: Connection) -> bool:
            return tokens.rotate(connection, vault.profile_id, self.owner, sealed)

        self._written(work, until + IN_MEMORY_S)
        return token

    def _save(self, connection: Connection, obtained: Obtained) -> int | None:
        profile_id = self.vault.profile_id
        return tokens.save(connection, profile_id, self.owner, obtained)

    def _grant(self, connection: Connection, obtained: Obtained) -> int | None:
        vault = self.vault
        return tokens.grant(
            connection,
            vault.profile_id,
            obtained,
            fingerprint=vault.fingerprint,
            current=vault.current,
        )

    def _newer(self, row: TokenRow) -> Token:
        """What was stored in the place of ours: of a grant, or after our lease."""
        if newer := self.vault.newer(row.generation):
            return newer
        raise TokenError(
            "the access token was dropped while it was asked for", "try again"
        )

    def _no_grant(self, error: str) -> None:
        vault = self.vault
        with suppress(StoreUnavailable):
            vault.database.write(
                lambda connection: tokens.fail_grant(
                    connection, vault.profile_id, vault.fingerprint, error
                )
            )

    def _inheriting(self, token: Token) -> Obtained | None:
        """
        *token*, of a new grant, with the old one's refresh token; None: it has its own,
        or may not have that.
        """
        row = self.vault.row()
        if token.refresh_token or not row.has_refresh_token:
            return None
        if not token_rules.inherits(row.state, row.account, token.account):
            return None
        with suppress(SecretError):
            if old := self.vault.opened(row):
                token = evolve(token, refresh_token=old.refresh_token)
                obtained = self._obtained(token)
                return evolve(obtained, error=INHERITS, inherits=row.generation)
        return None

    def _obtained(self, token: Token) -> Obtained:
        now = self.vault.now()
        said = token.expires_at.timestamp() if token.expires_at else None
        expires_at = token_rules.expires_at(now, said, self.timing)
        return Obtained(
            sealed=self.vault.sealed(token),
            expires_at=expires_at,
            scope=token.scope,
            account=token.account,
            has_refresh_token=token.refresh_token is not None,
            at=now,
            rejected=REJECTED,
        )

    def _keep(self, save: Save, obtained: Obtained, until: float) -> int | None:
        """
        Save it, till *until*.

        A refresh token longer than the lease lasts: whoever takes that over can write.
        """
        if obtained.has_refresh_token:
            until += IN_MEMORY_S
        return self._written(lambda connection: save(connection, obtained), until)

    def _written(self, work: Callable[[Connection], T], until: float) -> T:
        """Do *work*; where nothing can be written, again and again till *until*."""
        vault, pause = self.vault, POLL_S
        while True:
            try:
                return vault.database.write(work)
            except StoreUnavailable as error:
                if pause == POLL_S:
                    log.warning(
                        "the new token of profile %r can't be saved yet: %s",
                        vault.name,
                        error,
                    )
                left = until - vault.clock.monotonic()
                if left <= 0:
                    raise _Unsaved(error) from error
            vault.pause(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _insist_on_the_key(self, error: BaseException) -> None:
        """SecretError in the place of a NeedsGrant: the token may be good elsewhere."""
        if isinstance(error, NeedsGrant):
            message = f"the token of profile {self.vault.name!r} does not open here"
            raise SecretError(message, NO_KEY) from error

    def _release(self) -> None:
        """What does not open in this process is no matter of the others'."""
        vault = self.vault
        with suppress(StoreUnavailable):
            vault.database.write(
                lambda connection: tokens.release(
                    connection, vault.profile_id, self.owner
                )
            )

    def _fail(
        self,
        row: TokenRow,
        error: BaseException,
        previous: Token | None,
        *,
        lost: bool = False,
    ) -> None:
        vault = self.vault
        refreshed = previous is not None and previous.refresh_token is not None
        state: token_rules.Kept = "error"
        if isinstance(error, NeedsGrant):
            state = "needs grant"
        elif isinstance(error, GrantRefused):
            state = token_rules.refused_state(error.error, refreshed)
        retry_at = token_rules.retry_at(vault.now(), row.expires_at)
        with suppress(StoreUnavailable):  # then the lease runs out by itself
            vault.database.write(
                lambda connection: tokens.fail(
                    connection,
                    vault.profile_id,
                    self.owner,
                    state=state,
                    error=told(error),
                    retry_at=retry_at,
                    lost=lost,
                )
            )


def _continued(token: Token, previous: Token) -> Token:
    """RFC 6749, 6: without another one the refresh token stays."""
    if token.refresh_token is None:
        token = evolve(token, refresh_token=previous.refresh_token)
    return token


def _numbered(token: Token, obtained: Obtained, generation: int) -> Token:
    """As it is stored."""
    expires_at = moment(obtained.expires_at)
    return evolve(token, expires_at=expires_at, generation=generation)


class _Unsaved(Exception):
    """A token came, and could not be saved for a *reason*."""

    def __init__(self, reason: StoreUnavailable) -> None:
        super().__init__(reason)
        self.reason = reason
