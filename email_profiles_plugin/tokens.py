"""
Tokens: when one is due, who fetches it, where it is kept.

A fetch has a thread of its own, so that whoever needs the token waits only as long as
it may, and a refresh ahead of expiry keeps nobody waiting. Whoever fetches holds the
row's lease: one at a time per profile, over threads and processes.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import UTC, datetime

from attrs import define, evolve, field, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import HttpReply, Timing, Token, TokenStatus
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    GrantRefused,
    NeedsGrant,
    SecretError,
    StoreUnavailable,
    TokenError,
    TokenTimeout,
)
from email_profiles_hookspecs.services import Clock, Fetch

from . import token_rules
from .clock import SystemChance
from .http import Answer
from .oauth import grants
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

SAVES = 3
"""How often saving a new token is tried: it may be all that there is of a grant."""

REJECTED = "the mail server refused the access token"


def _in_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="access token", daemon=True).start()


@frozen(eq=False)
class Flight:
    """A fetch under way: of a generation after *after*."""

    after: int
    future: Future[Token] = field(factory=Future)


@define(eq=False)
class TokenKeeper:
    """
    Everybody's tokens; thread-safe.

    *spawn* runs a function in the background, *pause* waits some seconds.
    """

    database: Database
    keyring: Keyring
    clock: Clock
    chance: SystemChance = field(factory=SystemChance)
    spawn: Callable[[Callable[[], None]], None] = _in_thread
    pause: Callable[[float], None] = time.sleep
    _flights: dict[tuple[str, str], Flight] = field(factory=dict, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def of(
        self, profile_id: str, fingerprint: str, timing: Timing | None = None
    ) -> ProfileTokens:
        """
        One profile's tokens, as its provider has them.

        A token with another *fingerprint* (`token_rules.fingerprint`) is none. What
        `current` is given later replaces *timing*.
        """
        return ProfileTokens(self, profile_id, fingerprint, timing or Timing())

    def reseal(self, connection: Connection) -> int:
        """Seal every token with the newest key; how many."""

        def anew(profile_id: str, sealed: str) -> str:
            place = _place(profile_id)
            return self.keyring.seal(place, self.keyring.open(place, sealed))

        return tokens.reseal(connection, anew)

    def close(self, timeout: float = FETCH_S) -> None:
        """Wait till the fetches under way are done; *timeout* in seconds."""
        with self._guard:
            futures = [flight.future for flight in self._flights.values()]
        wait(futures, timeout)

    def join(self, key: tuple[str, str], after: int) -> tuple[Flight, bool]:
        """The fetch under way that brings what is wanted, or a new one; which."""
        with self._guard:
            flight = self._flights.get(key)
            if flight is not None and flight.after >= after:
                return flight, False
            self._flights[key] = flight = Flight(after)
            return flight, True

    def lead(self, key: tuple[str, str], after: int) -> Flight:
        """A new fetch in any case, for others to join."""
        with self._guard:
            self._flights[key] = flight = Flight(after)
            return flight

    def land(self, key: tuple[str, str], flight: Flight) -> None:
        """It is done: whoever comes now looks at the row."""
        with self._guard:
            if self._flights.get(key) is flight:
                del self._flights[key]


@define(eq=False)
class ProfileTokens:
    """The contract's Tokens, for one profile."""

    keeper: TokenKeeper
    profile_id: str
    fingerprint: str
    timing: Timing

    def current(self, fetch: Fetch, deadline: float, timing: Timing) -> Token:
        """
        A valid token; one that is due, but good, is returned while another is fetched.

        Waits up to access_token_timeout_s. Where that is 0 or less only a stored token
        is returned; without one this fails at once (TokenTimeout), while one is
        fetched for the next caller. Raises what *fetch* raises, and NeedsGrant.
        """
        self.timing = timing
        row, now = self._row(), self._now()
        state = token_rules.state_at(row.held, now, timing)
        if state in ("valid", "expiring") and (held := self._opened(row)):
            if state == "expiring" and now >= (row.retry_at or 0):
                self._begin(fetch, row.generation)
            return held
        if state == "needs grant":
            raise NeedsGrant(row.error, "grant access anew")
        future = self._begin(fetch, row.generation)
        if timing.access_token_timeout_s <= 0:
            last = f" (last: {row.error})" if row.error else ""
            raise TokenTimeout(
                f"there is no valid access token, and none is waited for{last}",
                "one is being asked for; send again, or raise access_token_timeout_s",
            )
        limit = self.keeper.clock.monotonic() + timing.access_token_timeout_s
        return self._awaited(future, min(deadline, limit))

    def renew(self, fetch: Fetch, deadline: float) -> Token:
        """Call *fetch* and keep what it brings, whatever is stored or under way."""
        key = (self.profile_id, self.fingerprint)
        flight = self.keeper.lead(key, self._row().generation)
        self._start(flight, fetch, insist=True)
        return self._awaited(flight.future, deadline)

    def reject(self, generation: int) -> bool:
        """This generation is not offered again; true if it was the stored one."""
        now = self._now()
        return self.keeper.database.write(
            lambda connection: tokens.reject(
                connection,
                self.profile_id,
                fingerprint=self.fingerprint,
                generation=generation,
                error=REJECTED,
                now=now,
            )
        )

    def status(self) -> TokenStatus:
        """What the row says now; `actions` are the provider's to add."""
        row = self._row()
        return TokenStatus(
            state=token_rules.state_at(row.held, self._now(), self.timing),
            expires_at=_moment(row.expires_at),
            scope=row.scope,
            account=row.account,
            generation=row.generation,
            has_refresh_token=row.has_refresh_token,
            error=row.error,
        )

    def forget(self) -> None:
        """Drop the token, and whatever a fetch under way brings."""
        self.keeper.database.write(
            lambda connection: tokens.drop(connection, self.profile_id)
        )

    def parse(self, reply: HttpReply) -> Token:
        """`oauth.grants.parse`; expires_at None: the server did not say."""
        sent = reply.sent if isinstance(reply, Answer) else ()
        return grants.parse(reply, self.keeper.clock.now(), sent)

    def _begin(self, fetch: Fetch, after: int) -> Future[Token]:
        """A fetch of a generation after *after*: the one under way, or a new one."""
        flight, new = self.keeper.join((self.profile_id, self.fingerprint), after)
        if new:
            self._start(flight, fetch, insist=False)
        return flight.future

    def _start(self, flight: Flight, fetch: Fetch, *, insist: bool) -> None:
        key = (self.profile_id, self.fingerprint)

        def run() -> None:
            try:
                token = self._obtained(fetch, flight.after, insist)
            except BaseException as error:
                log.warning(
                    "no new access token for profile %s: %s",
                    self.profile_id,
                    _told(error),
                )
                self.keeper.land(key, flight)
                flight.future.set_exception(error)
            else:
                self.keeper.land(key, flight)
                flight.future.set_result(token)

        try:
            self.keeper.spawn(run)
        except RuntimeError as error:  # no more threads
            self.keeper.land(key, flight)
            flight.future.set_exception(error)

    def _awaited(self, future: Future[Token], limit: float) -> Token:
        left = limit - self.keeper.clock.monotonic()
        wait([future], min(max(left, 0), threading.TIMEOUT_MAX))
        if not future.done():
            raise TokenTimeout(
                "no valid access token came in time",
                "look at the authorization server, or raise access_token_timeout_s",
            )
        error = future.exception()
        if isinstance(error, EmailProfilesError):
            raise type(error)(*error.args) from error  # many may wait for one
        return future.result()

    def _obtained(self, fetch: Fetch, after: int, insist: bool) -> Token:
        """Under the row's lease: what another brought meanwhile, or a new token."""
        keeper, owner = self.keeper, self.keeper.chance.unique()
        give_up = keeper.clock.monotonic() + LEASE_S + FETCH_S
        while True:
            now = self._now()

            def enough(row: TokenRow, now: float = now) -> bool:
                newer = not insist and row.generation > after
                return newer and token_rules.usable(row.held, now)

            row, mine = self._take(owner, now, enough)
            if mine:
                return self._fetched(fetch, row, owner)
            if enough(row):
                if held := self._opened(row):
                    return held
                insist = True
            elif keeper.clock.monotonic() >= give_up:
                raise TokenTimeout(
                    "others have been asking for this access token all the time",
                    "look at the other processes that use this database",
                )
            else:
                keeper.pause(POLL_S)

    def _take(
        self, owner: str, now: float, enough: Callable[[TokenRow], bool]
    ) -> tuple[TokenRow, bool]:
        return self.keeper.database.write(
            lambda connection: tokens.take(
                connection,
                self.profile_id,
                fingerprint=self.fingerprint,
                owner=owner,
                now=now,
                until=now + LEASE_S,
                enough=enough,
            )
        )

    def _fetched(self, fetch: Fetch, row: TokenRow, owner: str) -> Token:
        """A new token, saved before anybody uses it; ends the lease in any case."""
        previous = self._opened(row)
        try:
            token = fetch(previous, self.keeper.clock.monotonic() + FETCH_S)
            if previous is not None and token.refresh_token is None:  # RFC 6749, 6
                token = evolve(token, refresh_token=previous.refresh_token)
            return self._saved(token, owner)
        except BaseException as error:
            self._failed(row, owner, error, previous)
            raise

    def _saved(self, token: Token, owner: str) -> Token:
        now = self._now()
        said = token.expires_at.timestamp() if token.expires_at else None
        expires_at = token_rules.expires_at(now, said, self.timing)
        content = {"access": token.access_token, "refresh": token.refresh_token}
        obtained = Obtained(
            sealed=self.keeper.keyring.seal(
                _place(self.profile_id), json.dumps(content)
            ),
            expires_at=expires_at,
            scope=token.scope,
            account=token.account,
            has_refresh_token=token.refresh_token is not None,
            at=now,
        )
        generation = self._kept(obtained, owner)
        if generation is None:
            raise TokenError(
                "the access token was dropped while it was asked for", "try again"
            )
        return evolve(token, expires_at=_moment(expires_at), generation=generation)

    def _kept(self, obtained: Obtained, owner: str) -> int | None:
        for left in reversed(range(SAVES)):
            try:
                return self.keeper.database.write(
                    lambda connection: tokens.save(
                        connection, self.profile_id, owner, obtained
                    )
                )
            except StoreUnavailable:
                if not left:
                    raise
        return None

    def _failed(
        self, row: TokenRow, owner: str, error: BaseException, previous: Token | None
    ) -> None:
        refreshed = previous is not None and previous.refresh_token is not None
        state: token_rules.Kept = "error"
        if isinstance(error, NeedsGrant):
            state = "needs grant"
        elif isinstance(error, GrantRefused):
            state = token_rules.refused_state(error.error, refreshed)
        retry_at = token_rules.retry_at(self._now(), row.expires_at)
        with suppress(StoreUnavailable):  # then the lease runs out by itself
            self.keeper.database.write(
                lambda connection: tokens.fail(
                    connection,
                    self.profile_id,
                    owner,
                    state=state,
                    error=_told(error),
                    retry_at=retry_at,
                )
            )

    def _row(self) -> TokenRow:
        with self.keeper.database.read() as connection:
            row = tokens.read(connection, self.profile_id)
        return row.issued_for(self.fingerprint)

    def _opened(self, row: TokenRow) -> Token | None:
        """The row's token; None where there is none, or none that opens."""
        if row.sealed is None:
            return None
        try:
            text = self.keeper.keyring.open(_place(self.profile_id), row.sealed)
        except SecretError as error:
            log.warning("the token of profile %s: %s", self.profile_id, error)
            return None
        content = json.loads(text)
        return Token(
            access_token=content["access"],
            refresh_token=content["refresh"],
            expires_at=_moment(row.expires_at),
            scope=row.scope,
            account=row.account,
            generation=row.generation,
        )

    def _now(self) -> float:
        return self.keeper.clock.now().timestamp()


def _place(profile_id: str) -> str:
    return f"token:{profile_id}"


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _told(error: BaseException) -> str:
    """A contract error says nothing secret; of another, only its name is told."""
    if isinstance(error, EmailProfilesError):
        return str(error)[:1000]
    return f"an unexpected {type(error).__name__}"
