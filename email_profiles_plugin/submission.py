"""Submission: one attempt to hand a message over, over a connection of its profile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from time import monotonic
from typing import Literal

from attrs import define, field

from email_profiles_hookspecs import Authenticator, Credential, Profile
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    NotOffered,
    PluginFailed,
    ProtocolError,
    Refused,
    SubmissionError,
    TokenTimeout,
)
from email_profiles_hookspecs.sasl import Sasl

from .smtp import tls
from .smtp.dialogue import Extensions, Tell, authenticate, greet, unheard
from .smtp.flight import Flight, Manner, NoChunking, OutOfStep, Withdrawn
from .smtp.mail import Advance, Submission
from .smtp.pool import Connection, Pool
from .smtp.source import Source
from .smtp.transaction import END_OF_DATA
from .smtp.wire import Wire
from .token_rules import read_timing

log = logging.getLogger(__name__)

ATTEMPT_S = 300
"""Seconds an attempt may take, beside the time that its octets and its reply need."""

SLOWEST = 4096
"""Octets a second; slower is taken for a stalled connection."""

SESSION_LIMIT = 64 * 1024
LINE_LIMIT = 2000
"""Characters of a session, and of one line of it, that are kept."""

BEARER = ("XOAUTH2", "OAUTHBEARER")
"""Mechanisms that show a token to whoever listens."""

MOMENT_S = 2
"""Seconds that a thread waits for a credential before it turns to others."""

WINDOW = 4
"""Messages that travel together where the server has CHUNKING."""

COLD_S = 5
"""Seconds idle after which a connection is tried before content goes over it."""

Limit = Literal["", "no chunking", "one by one"]
"""What the extensions that a server offers are not to be trusted for."""


@define
class Submitter:
    """Hands messages over; knows neither the outbox nor where profiles come from."""

    pool: Pool
    authenticator: Callable[[Profile], Authenticator]
    stamp: Callable[[Profile], Hashable]
    """Changes whenever kept connections of the profile are of no more use."""
    debug: Tell
    """Takes the session's lines of a profile in debug mode."""
    window: int = WINDOW
    _limits: dict[str, tuple[Hashable, Limit]] = field(factory=dict, init=False)
    """What a profile's server turned out to be unable to, by profile and stamp."""

    def credential(
        self, profile: Profile, deadline: float = float("inf")
    ) -> Credential:
        """What the profile's provider acquires; raises its contract errors."""
        patience = read_timing(profile.auth).access_token_timeout_s
        until = min(deadline, monotonic() + max(ATTEMPT_S, patience))
        authenticator = self.authenticator(profile)
        try:
            return authenticator.acquire(until)
        except EmailProfilesError:
            raise
        except (Exception, SystemExit) as error:
            raise plugin_failed(profile, error) from error

    def submit(
        self,
        profile: Profile,
        credential: Credential,
        advance: Advance,
        patience_s: float = ATTEMPT_S,
    ) -> None:
        """
        Hand over what *advance* gives, over a kept connection or a new one.

        Returns when nothing more comes. What became of each, errors included, is in
        the submissions; nothing is raised but what the source raises when nothing is
        on its way. *patience_s*: how long another credential is waited for where the
        server refuses this one.
        """
        source = Source(advance, lambda one: self._take_up(profile, one))
        while (first := source.first) is not None:
            self._session(profile, credential, source, first, patience_s)

    def _take_up(self, profile: Profile, one: Submission) -> None:
        if one.tell is not unheard:
            one.tell = bounded(one.tell)
        one.tell = self._telling(profile, one.tell)

    def _session(
        self,
        profile: Profile,
        credential: Credential,
        source: Source,
        first: Submission,
        patience_s: float,
    ) -> None:
        """One connection's part of it."""
        deadline = monotonic() + bound(profile, len(first.mail.octets))
        key, kept, flight = self.stamp(profile), False, None
        error: EmailProfilesError | None = None
        try:
            with self.pool.lease(
                profile.id,
                (key, credential.identity),
                lambda: self.open(
                    profile, credential, first.tell, deadline, patience_s
                ),
                limit=profile.limits.max_connections,
                deadline=deadline,
            ) as connection:
                kept = connection.messages > 0
                connection.wire.tell, connection.wire.deadline = first.tell, deadline
                flight = self._flight(profile, key, connection, source)
                self._fly(connection, flight)
        except EmailProfilesError as caught:
            error = caught
        except (Withdrawn, OutOfStep):
            pass
        except NoChunking:
            self._degrade(profile, key, source, "no chunking")
        except (Exception, SystemExit) as caught:
            log.exception("an unexpected error in a session of %r", profile.name)
            error = SubmissionError("unexpected", type(caught).__name__)
        if flight is None:
            source.fail(error or SubmissionError("connect", "no session began"))
            return
        if flight.lost:
            self._degrade(profile, key, source, "one by one")
        source.land(error, kept=kept, closing=flight.closing)

    def open(
        self,
        profile: Profile,
        credential: Credential,
        tell: Tell,
        deadline: float,
        patience_s: float = ATTEMPT_S,
    ) -> Connection:
        """A new connection: connected, secured, greeted, authenticated."""
        upgrade = profile.smtp.use_starttls and not profile.smtp.use_ssl
        secured = upgrade or profile.smtp.use_ssl
        context = tls.context(profile.smtp) if secured else None
        wire = Wire(profile.smtp, context, tell, deadline)
        try:
            wire.connect()
            helo = profile.smtp.helo_name or wire.address_literal
            extensions = wire.play(greet(helo, starttls=upgrade))
            mechanism = ""
            if credential.offers:
                mechanism = self._sign_in(
                    profile, wire, extensions, credential, patience_s
                )
        except BaseException:
            wire.close()
            raise
        return Connection(wire, extensions, mechanism)

    def _sign_in(
        self,
        profile: Profile,
        wire: Wire,
        extensions: Extensions,
        credential: Credential,
        patience_s: float,
    ) -> str:
        """AUTH; once more with another credential where the provider sees a chance."""
        try:
            offers = _fit(profile, wire, credential)
            return wire.play(authenticate(extensions, offers))
        except Refused as refusal:
            authenticator = self.authenticator(profile)
            if refusal.reply.code // 100 != 5 or not authenticator.rejected(
                credential, refusal.reply
            ):
                raise
            until = min(wire.deadline, monotonic() + patience_s)
            try:
                renewed = self.credential(profile, until)
            except TokenTimeout:
                raise refusal from None  # whoever waits is woken when it comes
            return wire.play(authenticate(extensions, _fit(profile, wire, renewed)))

    def _flight(
        self, profile: Profile, key: Hashable, connection: Connection, source: Source
    ) -> Flight:
        """What may be sent over *connection*, as its server and the profile have it."""
        offered, (stamp, limit) = (
            connection.extensions,
            self._limits.get(profile.id, (key, "")),
        )
        able = profile.smtp.pipelining == "auto" and "PIPELINING" in offered
        able = able and not (stamp == key and limit == "one by one")
        chunks = able and "CHUNKING" in offered and not (stamp == key and limit)
        kept = connection.messages > 0

        def advance(
            completing: Sequence[Submission], want: int
        ) -> Sequence[Submission]:
            if monotonic() - connection.opened_at > self.pool.keep.age_s:
                want = 0
            given = source.give(completing, want)
            if not completing and not given:
                return given
            octets = sum(len(one.mail.octets) for one in (*completing, *given))
            connection.wire.deadline = monotonic() + bound(profile, octets)
            return given

        return Flight(
            advance=advance,
            manner=Manner(
                extensions=offered,
                recipients=profile.limits.recipients_per_message,
                pipelining=able,
                window=self.window if chunks else 0,
                cold=kept and monotonic() - connection.used_at > COLD_S,
            ),
            most=max(self._most(offered) - connection.messages, 1),
            reset=connection.reset,
            proven=connection.chunking,
        )

    def _most(self, offered: Extensions) -> int:
        """Transactions on one connection: ours, or what the server says (RFC 9422)."""
        announced = offered.number("LIMITS", "MAILMAX")
        return min(self.pool.keep.messages, announced or self.pool.keep.messages)

    def _fly(self, connection: Connection, flight: Flight) -> None:
        """Play it, and note what it means for the connection, however it ends."""
        try:
            connection.wire.play(flight.play())
        finally:
            connection.messages += flight.begun
            connection.reset = flight.reset
            connection.chunking = flight.proven
            tired = connection.messages >= self._most(connection.extensions)
            connection.reusable = not (flight.closing or tired)

    def _degrade(
        self, profile: Profile, key: Hashable, source: Source, limit: Limit
    ) -> None:
        """From now on the profile's server is spoken to in a simpler way."""
        log.warning("profile %r: its server needs it %s", profile.name, limit)
        self._limits[profile.id] = key, limit
        for one in source.aloft:
            if one.doubtful:
                one.error = ProtocolError(END_OF_DATA, "the server lost its place")

    def _telling(self, profile: Profile, tell: Tell) -> Tell:
        if not profile.smtp.debug:
            return tell

        def both(line: str) -> None:
            tell(line)
            self.debug(f"{profile.name}: {line}")

        return both


def bound(profile: Profile, octets: int) -> float:
    """Seconds that an attempt at so many octets may take."""
    return ATTEMPT_S + octets / SLOWEST + profile.smtp.final_reply_timeout_ms / 1000


def bounded(tell: Tell) -> Tell:
    """Takes a session's lines up to a limit, then says that it was one."""
    left = SESSION_LIMIT

    def line(text: str) -> None:
        nonlocal left
        if left > 0:
            tell(text if len(text) <= LINE_LIMIT else f"{text[:LINE_LIMIT]} [cut]")
            left -= len(text)
            if left <= 0:
                tell("[the rest of the session is left out]")

    return line


def plugin_failed(profile: Profile, error: BaseException) -> PluginFailed:
    """What a provider raised that it may not; the error itself is logged."""
    log.error("mode %s failed", profile.mode, exc_info=error)
    return PluginFailed(
        f"the plugin of mode {profile.mode!r} failed: {type(error).__name__}",
        "tell its author; the log has the details",
    )


def _fit(profile: Profile, wire: Wire, credential: Credential) -> tuple[Sasl, ...]:
    """
    The offers that may be played over this connection.

    Nothing goes in clear to another machine, but a password where the profile allows
    it; a bearer token never does.
    """
    if wire.encrypted or wire.loopback:
        return credential.offers
    allowed = tuple(
        offer
        for offer in credential.offers
        if profile.smtp.allow_plaintext_auth and offer.mechanism not in BEARER
    )
    if not allowed:
        raise NotOffered(
            "AUTH",
            "the credentials would go over the network in clear",
            "switch Use STARTTLS or Use SSL/TLS on",
        )
    return allowed
