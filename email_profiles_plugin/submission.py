"""Submission: one attempt to hand a message over, over a connection of its profile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from time import monotonic

from attrs import define, evolve, field

from email_profiles_hookspecs import Authenticator, Credential, Profile
from email_profiles_hookspecs.errors import (
    Disconnected,
    EmailProfilesError,
    NotOffered,
    PluginFailed,
    Refused,
    SubmissionError,
)
from email_profiles_hookspecs.sasl import Sasl

from .smtp import tls
from .smtp.dialogue import Answer, Extensions, Group, authenticate, greet
from .smtp.pool import Connection, Pool
from .smtp.transaction import Mail, limited, transact
from .smtp.wire import Wire

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

Tell = Callable[[str], None]
Before = Callable[[Mapping[str, Answer], Sequence[str]], None]


class Withdrawn(Exception):
    """Raised by *before*: the message is not ours to send any more."""


@define(kw_only=True)
class Submission:
    """
    What one attempt came to.

    *answers* by recipient; *error* ended it early, *awaiting* being those recipients
    whose message was handed over whole and never answered.
    """

    answers: dict[str, Answer] = field(factory=dict)
    error: EmailProfilesError | None = None
    awaiting: tuple[str, ...] = ()
    withdrawn: bool = False


def _nobody(answers: Mapping[str, Answer], awaiting: Sequence[str]) -> None:
    """Where nobody keeps a record."""


@define
class Submitter:
    """Hands messages over; knows neither the outbox nor where profiles come from."""

    pool: Pool
    authenticator: Callable[[Profile], Authenticator]
    stamp: Callable[[Profile], Hashable]
    """Changes whenever kept connections of the profile are of no more use."""
    debug: Tell
    """Takes the session's lines of a profile in debug mode."""

    def credential(
        self, profile: Profile, deadline: float = float("inf")
    ) -> Credential:
        """What the profile's provider acquires; raises its contract errors."""
        until = min(deadline, monotonic() + ATTEMPT_S)
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
        mail: Mail,
        tell: Tell,
        before: Before = _nobody,
    ) -> Submission:
        """
        One attempt at *mail*, over a kept connection or a new one.

        *before* is told, each time the last octet of a transaction is about to go,
        what was answered so far and who waits for that octet; what it raises stops
        it. *tell* takes the session, redacted. Errors are in the result, not raised.
        """
        tell = self._telling(profile, bounded(tell))
        while True:
            result, kept = self._attempt(profile, credential, mail, tell, before)
            if not (kept and _said_nothing(result)):
                return result
            tell("the kept connection had ended; once more over a new one")

    def _attempt(
        self,
        profile: Profile,
        credential: Credential,
        mail: Mail,
        tell: Tell,
        before: Before,
    ) -> tuple[Submission, bool]:
        """The result, and whether the connection was one that had been kept."""
        bound = ATTEMPT_S + len(mail.octets) / SLOWEST
        bound += profile.smtp.final_reply_timeout_ms / 1000
        deadline = monotonic() + bound
        result, kept = Submission(), False
        try:
            with self.pool.lease(
                profile.id,
                (self.stamp(profile), credential.identity),
                lambda: self.open(profile, credential, tell, deadline),
                limit=profile.limits.max_connections,
                deadline=deadline,
            ) as connection:
                kept = connection.messages > 0
                connection.wire.tell = tell
                connection.wire.deadline = deadline
                self._hand_over(profile, connection, mail, result, before)
        except EmailProfilesError as error:
            result.error = error
        except Withdrawn:
            result.withdrawn = True
        except (Exception, SystemExit) as error:
            log.exception("an unexpected error in a session of %r", profile.name)
            result.error = SubmissionError("unexpected", type(error).__name__)
        return result, kept

    def open(
        self, profile: Profile, credential: Credential, tell: Tell, deadline: float
    ) -> Connection:
        """A new connection: connected, secured, greeted, authenticated."""
        wire = Wire(profile.smtp, tls.context(profile.smtp), tell, deadline)
        try:
            wire.connect()
            helo = profile.smtp.helo_name or wire.address_literal
            upgrade = profile.smtp.use_starttls and not profile.smtp.use_ssl
            extensions = wire.play(greet(helo, starttls=upgrade))
            mechanism = ""
            if credential.offers:
                mechanism = self._sign_in(profile, wire, extensions, credential)
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
            renewed = self.credential(profile, wire.deadline)
            return wire.play(authenticate(extensions, _fit(profile, wire, renewed)))

    def _hand_over(
        self,
        profile: Profile,
        connection: Connection,
        mail: Mail,
        result: Submission,
        before: Before,
    ) -> None:
        """All transactions that the message needs, each for as many as it may serve."""

        def watch(group: Group) -> None:
            for completion in group.completes:
                before({**result.answers, **completion.answers}, completion.awaiting)
                result.answers.update(completion.answers)
                result.awaiting = completion.awaiting

        wire, pending = connection.wire, mail.recipients
        most = profile.limits.recipients_per_message
        pipelining = profile.smtp.pipelining == "auto"
        try:
            while pending:
                count = limited(pending, most, connection.extensions)
                dialogue = transact(
                    evolve(mail, recipients=pending[:count]),
                    connection.extensions,
                    pipelining=pipelining and "PIPELINING" in connection.extensions,
                    reset=connection.reset,
                )
                done = wire.play(dialogue, watch)
                connection.messages += 1
                connection.reset = done.reset
                result.answers.update(done.answers)
                result.awaiting = ()
                pending = done.leftover + pending[count:]
                if done.closing:
                    connection.reusable = False
                    last = list(done.answers.values())[-1]
                    result.answers.update(dict.fromkeys(pending, last))
                    return
        finally:
            if not wire.handed_over:
                result.awaiting = ()

    def _telling(self, profile: Profile, tell: Tell) -> Tell:
        if not profile.smtp.debug:
            return tell

        def both(line: str) -> None:
            tell(line)
            self.debug(f"{profile.name}: {line}")

        return both


def _said_nothing(result: Submission) -> bool:
    """The connection ended before the server said a word about this message."""
    if result.answers or result.withdrawn or result.awaiting:
        last = set(result.answers.values())
        closing = {answer for answer in last if answer.stage in ("RSET", "MAIL")}
        return last == closing and all(one.reply.code == 421 for one in last)
    stage = result.error.stage if isinstance(result.error, Disconnected) else ""
    return stage in ("RSET", "MAIL")


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
