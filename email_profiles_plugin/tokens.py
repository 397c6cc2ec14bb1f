"""
Tokens: when one is due, who fetches it, who waits for it.

A fetch has a thread of its own, so that whoever needs the token waits only as long as
it may, and a refresh ahead of expiry keeps nobody waiting. Whoever fetches holds the
row's lease: one at a time per profile, over threads and processes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from attrs import define, field, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import HttpReply, Timing, Token, TokenStatus
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    NeedsGrant,
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
from .token_acquisition import Acquisition
from .token_vault import FETCH_S, POLL_S, TokenVault, moment, place, told

log = logging.getLogger(__name__)


def sent_for(reply: HttpReply) -> tuple[str, ...]:
    """The secrets of the request that *reply* answers, which it may quote."""
    return reply.sent if isinstance(reply, Answer) else ()


GRANT = "grant access anew"


def _not_there(error: str) -> TokenTimeout:
    last = f" (last: {error})" if error else ""
    return TokenTimeout(
        f"there is no valid access token, and none is waited for{last}",
        "one is being asked for; send again, or raise access_token_timeout_s",
    )


def _nobody() -> None:
    """Where nobody waits for a token but who asked."""


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

    *spawn* runs a function in the background, *pause* waits some seconds, *changed* is
    called when there is a new token.
    """

    database: Database
    keyring: Keyring
    clock: Clock
    chance: SystemChance = field(factory=SystemChance)
    spawn: Callable[[Callable[[], None]], None] = _in_thread
    pause: Callable[[float], None] = time.sleep
    changed: Callable[[], None] = _nobody
    _flights: dict[tuple[str, str], Flight] = field(factory=dict, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def of(
        self,
        profile_id: str,
        fingerprint: str,
        timing: Timing | None = None,
        name: str = "",
        current: Callable[[Connection], str] | None = None,
    ) -> ProfileTokens:
        """
        One profile's tokens, as its provider has them; *name* is for the log.

        A token with another *fingerprint* (`token_rules.fingerprint`) is none; who
        has one that is not *current* any more replaces no token. What `current` is
        given later replaces *timing*.
        """
        vault = TokenVault(
            database=self.database,
            keyring=self.keyring,
            clock=self.clock,
            pause=self.pause,
            profile_id=profile_id,
            fingerprint=fingerprint,
            name=name or profile_id,
            current=current,
        )
        return ProfileTokens(self, vault, timing or Timing())

    def reseal(self, connection: Connection) -> int:
        """Seal every token with the newest key; how many."""

        def anew(profile_id: str, sealed: str) -> str:
            where = place(profile_id)
            return self.keyring.seal(where, self.keyring.open(where, sealed))

        return tokens.reseal(connection, anew)

    def close(self, timeout: float = FETCH_S) -> None:
        """Wait till the fetches under way are done; *timeout* in seconds."""
        with self._guard:
            futures = [flight.future for flight in self._flights.values()]
        wait(futures, timeout)

    def join(self, vault: TokenVault, after: int) -> tuple[Flight, bool]:
        """What is under way and brings what is wanted, or a new one; is it new?"""
        key = (vault.profile_id, vault.fingerprint)
        with self._guard:
            flight = self._flights.get(key)
            if flight is not None and flight.after >= after:
                return flight, False
            self._flights[key] = flight = Flight(after)
            return flight, True

    def lead(self, vault: TokenVault, after: int) -> Flight:
        """A new one in any case, for others to join."""
        with self._guard:
            flight = Flight(after)
            self._flights[vault.profile_id, vault.fingerprint] = flight
            return flight

    def land(self, vault: TokenVault, flight: Flight) -> None:
        """It is done: whoever comes now looks at the row."""
        key = (vault.profile_id, vault.fingerprint)
        with self._guard:
            if self._flights.get(key) is flight:
                del self._flights[key]


@define(eq=False)
class ProfileTokens:
    """The contract's Tokens, for one profile."""

    keeper: TokenKeeper
    vault: TokenVault
    timing: Timing

    def current(self, fetch: Fetch, deadline: float, timing: Timing) -> Token:
        """
        A valid token; one that is due, but good, is returned while another is fetched.

        Waits up to access_token_timeout_s, also for a person to grant access. Where
        that is 0 or less only a stored token is returned; without one this fails at
        once (TokenTimeout), while one is fetched for the next caller. Raises what
        *fetch* raises, and NeedsGrant.
        """
        self.timing = timing
        row, now = self.vault.row(), self.vault.now()
        state = token_rules.state_at(row.held, now, timing)
        if state in ("valid", "expiring") and (held := self.vault.opened(row)):
            if state == "expiring" and now >= (row.retry_at or 0):
                self._begin(fetch, row.generation)
            return held
        limit = self.keeper.clock.monotonic() + max(timing.access_token_timeout_s, 0)
        limit, refusal = min(deadline, limit), NeedsGrant(row.error, GRANT)
        if state != "needs grant":
            future = self._begin(fetch, row.generation)
            if timing.access_token_timeout_s <= 0 and not future.done():
                raise _not_there(row.error)
            try:
                return self._awaited(future, limit)
            except NeedsGrant as error:
                refusal = error
        return self._granted(row.generation, limit, refusal)

    def _granted(self, after: int, limit: float, refusal: NeedsGrant) -> Token:
        """What a person grants meanwhile, here or in another process."""
        while (left := limit - self.keeper.clock.monotonic()) > 0:
            self.keeper.pause(min(POLL_S, left))
            if (token := self.vault.newer(after)) is not None:
                return token
        raise refusal

    def renew(self, fetch: Fetch, deadline: float) -> Token:
        """Call *fetch* and keep what it brings, whatever is stored or under way."""
        return self._insist(fetch, deadline, granted=False)

    def grant(self, fetch: Fetch, deadline: float) -> Token:
        """As `renew`, of a new grant: *fetch* is given no token of the old one."""
        return self._insist(fetch, deadline, granted=True)

    def _insist(self, fetch: Fetch, deadline: float, *, granted: bool) -> Token:
        flight = self.keeper.lead(self.vault, self.vault.row().generation)
        self._start(flight, fetch, insist=True, granted=granted)
        return self._awaited(flight.future, deadline)

    def reject(self, generation: int) -> bool:
        """This generation is not offered again; true if another may be had."""
        return self.vault.reject(generation)

    def status(self) -> TokenStatus:
        """What the row says now; `actions` are the provider's to add."""
        row = self.vault.row()
        return TokenStatus(
            state=token_rules.state_at(row.held, self.vault.now(), self.timing),
            expires_at=moment(row.expires_at),
            scope=row.scope,
            account=row.account,
            generation=row.generation,
            has_refresh_token=row.has_refresh_token,
            error=row.error,
        )

    def forget(self) -> None:
        """Drop the token, and whatever a fetch under way brings."""
        self.vault.drop()

    def parse(self, reply: HttpReply) -> Token:
        """`oauth.grants.parse`; expires_at None: the server did not say."""
        host = reply.host if isinstance(reply, Answer) else ""
        now = self.keeper.clock.now()
        token = grants.parse(reply, now, sent_for(reply), host=host)
        if token.refresh_token is None and grants.has_refresh_token(reply):
            name = self.vault.name
            log.warning("profile %r: the refresh token that came is no text", name)
        return token

    def _begin(self, fetch: Fetch, after: int) -> Future[Token]:
        """What brings a generation after *after*: what is under way, or a new one."""
        flight, new = self.keeper.join(self.vault, after)
        if new:
            self._start(flight, fetch, insist=False)
        return flight.future

    def _start(
        self, flight: Flight, fetch: Fetch, *, insist: bool, granted: bool = False
    ) -> None:
        acquisition = Acquisition(
            vault=self.vault,
            fetch=fetch,
            timing=self.timing,
            owner=self.keeper.chance.unique(),
        )

        def run() -> None:
            try:
                if granted:
                    token = acquisition.granted()
                else:
                    token = acquisition.obtain(flight.after, insist=insist)
            except BaseException as error:
                # Who insists is told, or took the token away; nobody else may be.
                level = logging.DEBUG if insist else logging.WARNING
                name = self.vault.name
                log.log(level, "no new token for profile %r: %s", name, told(error))
                self.keeper.land(self.vault, flight)
                flight.future.set_exception(error)
            else:
                self.keeper.land(self.vault, flight)
                flight.future.set_result(token)
                self.keeper.changed()

        try:
            self.keeper.spawn(run)
        except RuntimeError as error:  # no more threads
            self.keeper.land(self.vault, flight)
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
