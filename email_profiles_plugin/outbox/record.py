"""The record: each step of a delivery, written down before or right after it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import define, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Profile
from email_profiles_hookspecs.errors import FromNotAllowed
from email_profiles_hookspecs.services import Clock

from ..clock import SystemChance
from ..settlement import LANES, WAITING, Finding, Settlement
from ..store import attempts, claims, health, queue, settling
from ..store.claims import Claimed, Ending
from ..store.database import Database
from ..verdict import Verdict
from . import booking
from .booking import Attempt, Judged


@frozen(kw_only=True)
class Wanted:
    """
    Rows to claim for *owner*: up to *limit*, or the row *id*.

    *below_lane* leaves lanes from that one on alone; *considerate* leaves alone what
    is less urgent than a message of another profile that could go, *resting* ones
    aside.
    """

    owner: str
    limit: int = 1
    id: str | None = None
    below_lane: int = len(LANES)
    considerate: bool = False
    resting: tuple[str, ...] = ()


@frozen(kw_only=True)
class Step:
    """
    What one transaction of a delivery did.

    *settlements* of what ended, None where the row was taken from us; the ids that
    are *mine* to hand over; what was *claimed*.
    """

    settlements: tuple[Settlement | None, ...] = ()
    mine: frozenset[str] = frozenset()
    claimed: tuple[Claimed, ...] = ()


class Announce(Protocol):
    """Tells of messages that were settled; *silent*: when nobody observed."""

    def __call__(self, ids: Sequence[str], *, silent: bool = False) -> None: ...


@define(kw_only=True)
class Record:
    """
    What happens to rows while they are delivered.

    Every step is conditional on the row still being the claimer's (fencing).
    *announce* is called with the ids of messages that were settled, after the commit;
    *observed* tells whether anybody listens.
    """

    database: Database
    clock: Clock
    chance: SystemChance
    announce: Announce
    observed: Callable[[], bool]

    def claim(self, profile: Profile, wanted: Wanted) -> tuple[Claimed, ...]:
        """Rows of *profile* to send now, within what its limits leave."""
        return self.step(profile, wanted=wanted).claimed

    def step(
        self,
        profile: Profile,
        *,
        ended: Sequence[Attempt] = (),
        handing: Sequence[Attempt] = (),
        wanted: Wanted | None = None,
        rests: bool = False,
    ) -> Step:
        """
        One transaction: book what *ended*, mark what is *handing* over, claim.

        From now on those awaiting a reply to what is handed over may be unknown.
        Nothing is claimed of a profile that an attempt says has to rest; *rests*: that
        was noted already, and all of a flight is one failure of its profile.
        """
        now = self._now()
        judged = [
            booking.judge(profile, one, now, self.chance.fraction()) for one in ended
        ]
        pausing = [one for one in judged if one.settlement.pause]
        first = None if rests or not pausing else pausing[0]
        if pausing:
            wanted = None
        observed = self.observed()

        def work(connection: Connection) -> Step:
            kept = [
                booking.book_end(
                    connection,
                    profile,
                    one,
                    now,
                    observed=observed,
                    rests=one is first,
                )
                for one in judged
            ]
            mine = {
                one.claimed.id for one in handing if booking.hand(connection, one, now)
            }
            claimed = wanted and _claim(connection, profile, wanted, now)
            return Step(
                settlements=tuple(
                    one.settlement if ours else None
                    for one, ours in zip(judged, kept, strict=True)
                ),
                mine=frozenset(mine),
                claimed=claimed or (),
            )

        done = self.database.write(work)
        self.announce(_settled(judged, done), silent=not observed)
        return done

    def refuse(self, claimed: Claimed, profile: Profile, error: FromNotAllowed) -> None:
        """The profile may not send this message any more: it is refused."""
        finding = Finding(verdict=Verdict("refused", error.message, error.remedy))
        ending = Ending(verdict="refused", error=error.message, remedy=error.remedy)
        states = dict.fromkeys(claimed.recipients, "refused")
        found = dict.fromkeys(claimed.recipients, finding)
        now, observed = self._now(), self.observed()

        def work(connection: Connection) -> None:
            if attempts.book(connection, claimed, states, found, now):
                attempts.end_attempt(connection, claimed, ending, now)
                settling.close_with_result(
                    connection, claimed, ending, now, observed=observed
                )

        self.database.write(work)
        self.announce([claimed.id])

    def pause(self, profile: Profile, reason: str, remedy: str) -> None:
        """The profile can't be used now: it rests, longer each time."""
        now = self._now()
        self.database.write(
            lambda c: health.failed(
                c,
                profile.id,
                revision=profile.revision,
                reason=reason,
                remedy=remedy,
                now=now,
            )
        )

    def expire(self) -> None:
        """Settle what was not sent in time."""
        now = self._now()
        with self.database.read() as connection:
            if not queue.expired(connection, now):
                return
        self.database.write(lambda c: queue.date(c, now))

        def work(connection: Connection) -> list[str]:
            rows = queue.expired(connection, now)
            for id, error in rows:
                settling.move_recipients(connection, id, WAITING, "expired", now)
                reason = error or "it could not be sent in time"
                settling.close(connection, id, by="", now=now, error=reason)
            return [id for id, _ in rows]

        self.announce(self.database.write(work))

    def _now(self) -> float:
        return self.clock.now().timestamp()


def _claim(
    connection: Connection, profile: Profile, wanted: Wanted, now: float
) -> tuple[Claimed, ...]:
    messages, recipients = left(connection, profile, now)
    limit, below_lane = min(wanted.limit, messages), wanted.below_lane
    if wanted.considerate:
        others = queue.most_urgent(connection, now, [profile.id, *wanted.resting])
        below_lane = min(below_lane, len(LANES) if others is None else others + 1)
    if limit <= 0:
        return ()
    return tuple(
        claims.claim(
            connection,
            owner=wanted.owner,
            now=now,
            limit=limit,
            revision=profile.revision,
            profile_id=profile.id,
            id=wanted.id,
            below_lane=below_lane,
            most_recipients=recipients,
        )
    )


def _settled(judged: Sequence[Judged], done: Step) -> list[str]:
    """The messages that this step has settled."""
    pairs = zip(judged, done.settlements, strict=True)
    return [
        one.claimed.id
        for one, settlement in pairs
        if settlement is not None and not settlement.again
    ]


def left(
    connection: Connection, profile: Profile, now: float
) -> tuple[int, int | None]:
    """
    How many messages the profile's limits allow now, and for how many recipients.

    A message that is over the day's limit by itself goes when nothing else has gone.
    """
    messages, limits = sys.maxsize, profile.limits
    if limits.messages_per_minute is None and limits.recipients_per_day is None:
        return messages, None
    minute, day = queue.used(connection, profile.id, now)
    if limits.messages_per_minute is not None:
        messages = limits.messages_per_minute - minute
    if limits.recipients_per_day is None or not day:
        return messages, None
    return messages, max(limits.recipients_per_day - day, 0)
