"""Recovery: what nobody is sending any more is given back, or is unknown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from attrs import define, field
from sqlalchemy import Connection, Row

from email_profiles_hookspecs import Profile
from email_profiles_hookspecs.services import Clock
from email_profiles_hookspecs.values import OnUnknown

from ..clock import SystemChance
from ..settlement import LANES
from ..store import attempts, settling, workers
from ..store.claims import Claimed, Ending
from ..store.database import Database
from ..verdict import back_off, retries

BEFORE = Ending(
    verdict="died", error="the worker ended before the message was handed over"
)
AFTER = Ending(
    verdict="unknown",
    stage="end of data",
    error="the worker ended after the message was handed over, before the reply",
    remedy="look for the message at the server, then settle or retry it",
)


@define(kw_only=True)
class Recovery:
    """
    Takes rows from workers that are dead, that have ended, or that let go of them.

    What was claimed goes back to the queue. What was handed over is unknown: the
    profile's `on_unknown` says whether it is sent again or held for a person.
    """

    database: Database
    clock: Clock
    chance: SystemChance
    profile: Callable[[str, str], Profile | None]
    announce: Callable[[Sequence[str]], None]
    _dropped: set[tuple[str, int]] = field(factory=set, init=False)

    def bury(self, worker: str) -> None:
        """End *worker*, give back what it held, announce what it did not."""
        with self.database.read() as connection:
            rows = attempts.owned(connection, worker)
        policies = self._policies(rows)
        now = self.clock.now().timestamp()

        def work(connection: Connection) -> list[str]:
            workers.end(connection, worker, now)
            self._release(connection, attempts.owned(connection, worker), policies, now)
            return settling.unannounced(connection, by=worker)

        self.announce(self.database.write(work))

    def adopt(self) -> None:
        """Give back what workers hold that have ended."""
        with self.database.read() as connection:
            rows = attempts.orphans(connection)
        self._give_back(rows)

    def tidy(self, worker: str, held: Collection[tuple[str, int]]) -> None:
        """
        Give back what *worker* owns and none of its threads holds: one has failed.

        Only what was so the last time too: a row is owned a moment before it is held.
        """
        with self.database.read() as connection:
            rows = [
                one
                for one in attempts.owned(connection, worker)
                if (one.id, one.attempt) not in held
            ]
        before, self._dropped = self._dropped, {(one.id, one.attempt) for one in rows}
        self._give_back([one for one in rows if (one.id, one.attempt) in before])

    def _give_back(self, rows: Sequence[Row[Any]]) -> None:
        if not rows:
            return
        policies = self._policies(rows)
        now = self.clock.now().timestamp()
        self.database.write(lambda c: self._release(c, rows, policies, now))
        self.announce([row.id for row in rows])

    def _policies(self, rows: Sequence[Row[Any]]) -> dict[str, OnUnknown]:
        """`on_unknown` of each row's profile; looked up outside any transaction."""
        policies: dict[str, OnUnknown] = {}
        for row in rows:
            profile = self.profile(row.profile_id, row.profile_name)
            policies[row.id] = profile.policy.on_unknown if profile else "auto"
        return policies

    def _release(
        self,
        connection: Connection,
        rows: Sequence[Row[Any]],
        policies: Mapping[str, OnUnknown],
        now: float,
    ) -> None:
        """Each row that is still held as it was; *handed* is as it is now."""
        for seen in rows:
            row = attempts.held(connection, _claim_of(seen))
            if row is None:
                continue
            if row.handed:
                self._unknown(connection, row, policies.get(row.id, "auto"), now)
            else:
                claimed = _claim_of(row)
                attempts.end_attempt(connection, claimed, BEFORE, now)
                attempts.requeue(connection, claimed, BEFORE, due_at=now, tried=False)

    def _unknown(
        self, connection: Connection, row: Row[Any], on_unknown: OnUnknown, now: float
    ) -> None:
        claimed = _claim_of(row)
        attempts.end_attempt(connection, claimed, AFTER, now)
        last = row.tries + 1 >= row.max_attempts
        if not (retries(LANES[row.lane], on_unknown) and not last):
            attempts.doubt(connection, claimed, now)
        if last:
            settling.move_recipients(connection, row.id, ["deferred"], "expired", now)
        if settling.waits(connection, row.id):
            due_at = now + back_off(row.tries + 1, self.chance.fraction())
            attempts.requeue(connection, claimed, AFTER, due_at=due_at, tried=not last)
        else:
            settling.close(connection, row.id, by=row.owner, now=now, error=AFTER.error)


def _claim_of(row: Row[Any]) -> Claimed:
    """As much of a claim as the fence asks for."""
    return Claimed(
        id=row.id,
        owner=row.owner,
        attempt=row.attempt,
        profile_id=row.profile_id,
        profile_name=row.profile_name,
        mail_from=row.mail_from,
        recipients=(),
        octets=b"",
        smtputf8=row.smtputf8,
        lane=row.lane,
        tries=row.tries,
        max_attempts=row.max_attempts,
    )
