"""Recovery: what a dead worker held is given back, or is unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define
from sqlalchemy import Connection, Row

from email_profiles_hookspecs import Profile
from email_profiles_hookspecs.services import Clock

from ..clock import SystemChance
from ..settlement import LANES
from ..store import claims, settling, workers
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
    Buries workers.

    What was claimed goes back to the queue. What was handed over is unknown: the
    profile's `on_unknown` says whether it is sent again or held for a person.
    """

    database: Database
    clock: Clock
    chance: SystemChance
    profile: Callable[[str, str], Profile | None]
    announce: Callable[[Sequence[str]], None]

    def bury(self, worker: str) -> None:
        """Give back what *worker* held, once; then announce what it did not."""
        policies = self._policies(worker)
        now = self.clock.now().timestamp()

        def work(connection: Connection) -> list[str]:
            if not workers.end(connection, worker, now):
                return []
            for row in claims.owned(connection, worker):
                if row.handed:
                    self._unknown(connection, row, policies.get(row.id, "auto"), now)
                else:
                    claimed = _claim_of(row)
                    claims.end_attempt(connection, claimed, BEFORE, now)
                    claims.requeue(connection, claimed, BEFORE, due_at=now, tried=False)
            return settling.unannounced(connection, [worker])

        self.announce(self.database.write(work))

    def _policies(self, worker: str) -> dict[str, Any]:
        """`on_unknown` of each row's profile; looked up outside any transaction."""
        with self.database.read() as connection:
            rows = claims.owned(connection, worker)
        policies = {}
        for row in rows:
            profile = self.profile(row.profile_id, row.profile_name)
            policies[row.id] = profile.policy.on_unknown if profile else "auto"
        return policies

    def _unknown(
        self, connection: Connection, row: Row[Any], on_unknown: Any, now: float
    ) -> None:
        claimed = _claim_of(row)
        claims.end_attempt(connection, claimed, AFTER, now)
        last = row.tries + 1 >= row.max_attempts
        if not (retries(LANES[row.lane], on_unknown) and not last):
            settling.move_recipients(connection, row.id, ["waiting"], "unknown", now)
        if last:
            settling.move_recipients(connection, row.id, ["deferred"], "expired", now)
        if settling.waits(connection, row.id):
            due_at = now + back_off(row.tries + 1, self.chance.fraction())
            claims.requeue(connection, claimed, AFTER, due_at=due_at, tried=True)
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
