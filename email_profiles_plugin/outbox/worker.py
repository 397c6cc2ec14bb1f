"""A worker's identity: it beats, and watches whether the others do."""

from __future__ import annotations

import os
import platform
import threading

from attrs import define, field

from email_profiles_hookspecs.services import Clock

from ..clock import SystemChance
from ..store import workers
from ..store.database import Database


@define(eq=False)
class Worker:
    """
    One process that delivers.

    It counts up one row; whoever sees no count for a lease, by its own monotonic
    clock, takes it for dead. A worker that was held up for longer than half its lease
    has *lapsed*: what it claimed before may be somebody else's by now.
    """

    database: Database
    clock: Clock
    chance: SystemChance
    lease_s: float = 30
    id: str = field(default="", init=False)
    lapses: int = field(default=0, init=False)
    held: set[tuple[str, int]] = field(factory=set, init=False)
    """The rows that threads of this worker have in hand, each with its attempt."""
    _beat_at: float = field(default=0, init=False)
    _looked_at: float = field(default=0, init=False)
    _seen: dict[str, tuple[int, float]] = field(factory=dict, init=False)
    _guard: threading.RLock = field(factory=threading.RLock, init=False)

    def enlist(self) -> str:
        """This worker's id; registers it on first use."""
        with self._guard:
            if not self.id:
                self._register()
            return self.id

    def beat(self) -> None:
        """Count on. One that others took for dead goes on under a new id."""
        with self._guard:
            if not self.id:
                return
            self._look()
            moment = self.clock.monotonic()
            now = self.clock.now().timestamp()
            id = self.id
            if self.database.write(lambda c: workers.beat(c, id, now)):
                self._beat_at = moment
            else:
                self.lapses += 1
                self._register()

    def fresh(self, lapses: int) -> bool:
        """No lapse since *lapses* were counted, so that claims are still ours."""
        with self._guard:
            self._look()
            return self.lapses == lapses

    def dead(self) -> list[str]:
        """The workers that have not counted for their lease, as seen from here."""
        with self.database.read() as connection:
            living = workers.living(connection)
        now = self.clock.monotonic()
        if now - self._looked_at > self.lease_s / 2:
            self._seen = {}  # we slept ourselves: who knows how others fared
        self._looked_at = now
        seen: dict[str, tuple[int, float]] = {}
        late = []
        for other in living:
            if other.id == self.id:
                continue
            beats, since = self._seen.get(other.id, (-1, now))
            seen[other.id] = (other.beats, now if beats != other.beats else since)
            if now - seen[other.id][1] > other.lease_s:
                late.append(other.id)
        self._seen = seen
        return late

    def hold(self, id: str, attempt: int) -> None:
        """A thread of this worker has row *id* in hand, for one attempt."""
        with self._guard:
            self.held.add((id, attempt))

    def release(self, id: str, attempt: int) -> None:
        """No thread has it in hand any more, for that attempt."""
        with self._guard:
            self.held.discard((id, attempt))

    def resign(self) -> str:
        """The id under which this worker was known; it has none from now on."""
        with self._guard:
            id, self.id = self.id, ""
            return id

    def _look(self) -> None:
        """Notice a lapse, however it came about."""
        moment = self.clock.monotonic()
        if self.id and moment - self._beat_at > self.lease_s / 2:
            self.lapses += 1
            self._beat_at = moment

    def _register(self) -> None:
        id = self.chance.unique()
        moment = self.clock.monotonic()
        now = self.clock.now().timestamp()
        self.database.write(
            lambda c: workers.register(
                c,
                id=id,
                host=platform.node(),
                pid=os.getpid(),
                lease_s=self.lease_s,
                now=now,
            )
        )
        self.id, self._beat_at = id, moment
