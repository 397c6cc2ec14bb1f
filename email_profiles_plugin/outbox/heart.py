"""The heart: beats for this process, and looks after what others left behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from attrs import define, field
from sqlalchemy import Connection

from email_profiles_hookspecs.errors import EmailProfilesError
from email_profiles_hookspecs.services import Clock

from ..smtp.pool import Pool
from ..store import documents, queue, settling, workers
from ..store.database import Database
from .record import Record
from .recovery import Recovery
from .worker import Worker

log = logging.getLogger(__name__)

HOUR_S = 3600


@define(kw_only=True, eq=False)
class Heart:
    """
    One thread that beats four times a lease.

    At each beat it buries dead workers, expires what was not sent in time, announces
    what was settled and not announced, has tokens renewed that are due and, once an
    hour, forgets what is older than *retention_s*.
    """

    database: Database
    clock: Clock
    worker: Worker
    record: Record
    recovery: Recovery
    pool: Pool
    announce: Callable[[Sequence[str]], None]
    renew: Callable[[], None]
    retention_s: float
    _stop: threading.Event = field(factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _swept_at: float | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to beat, if it does not yet."""
        with self._guard:
            if self._thread is None:
                self.worker.enlist()
                name = "email-profiles-heart"
                self._thread = threading.Thread(
                    target=self._run, name=name, daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Stop, and sign off: what is still in hand is given back, or is unknown."""
        self._stop.set()
        with self._guard:
            if self._thread is not None:
                self._thread.join()
        if id := self.worker.resign():
            self.recovery.bury(id)

    def beat(self) -> None:
        """One beat, with all that hangs on it."""
        self.worker.beat()
        for other in self.worker.dead():
            log.warning("worker %s is dead; taking over what it held", other)
            self.recovery.bury(other)
        self.recovery.adopt()
        self.recovery.tidy(self.worker.id, set(self.worker.held))
        self.record.expire()
        before = self.clock.now().timestamp() - self.worker.lease_s
        with self.database.read() as connection:
            untold = settling.unannounced(connection, before=before)
        self.announce(untold)
        self.pool.sweep()
        self.renew()
        self._sweep()

    def _run(self) -> None:
        while not self._stop.wait(self.worker.lease_s / 4):
            try:
                self.beat()
            except EmailProfilesError as error:
                log.error("the heart missed a beat: %s", error)
            except (Exception, SystemExit):
                log.exception("the heart: an unexpected error; going on")

    def _sweep(self) -> None:
        moment = self.clock.monotonic()
        if self._swept_at is not None and moment - self._swept_at < HOUR_S:
            return
        self._swept_at = moment
        now = self.clock.now().timestamp()
        before = now - self.retention_s

        def work(connection: Connection) -> None:
            queue.sweep(connection, before, now)
            workers.sweep(connection, before)
            for id in documents.unneeded(connection, before):
                documents.discard(connection, id)

        self.database.write(work)
