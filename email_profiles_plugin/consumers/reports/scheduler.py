"""The scheduler: has every report made when it is due, once, by one process of many."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, TypeGuard

from attrs import define, evolve, field
from sqlalchemy import Connection

from email_profiles_hookspecs.errors import EmailProfilesError, ReportFailed

from ...outbox.worker import Worker
from ...runtime import EmailProfiles
from ...store import report_runs, workers
from ...store.documents import Stored
from ...store.report_runs import Run
from .calling import Stopped
from .registry import Addressees, Source
from .runs import Reports
from .schedule import ReportSchedule
from .timetable import Timetable
from .workshop import schedule_of, tidy, timetable_of

log = logging.getLogger(__name__)

MOST_TRIES = 2
"""A run whose process died so often is lost: it may be what killed it."""

HOUR_S = 3600

LONGEST = timedelta(hours=25)
"""No report takes longer: what is older was left by a process that was killed."""

AHEAD = timedelta(minutes=1)
"""What is dealt with for longer ahead was, by a clock that has been put back since."""


@define(eq=False)
class ReportScheduler:
    """
    Has reports made and queued as their schedules say.

    `start` begins, in threads of its own; `stop` leaves what is being made to the next
    scheduler. Edited, new and deleted schedules are seen within *look_s* seconds. Any
    number of processes may have one on the same store: each firing is made by one of
    them, and by another if that dies. Firings missed while nobody looked are made good
    by one run.
    """

    profiles: EmailProfiles
    sources: Mapping[str, Source] = field(factory=dict, kw_only=True)
    recipients: Mapping[str, Addressees] = field(factory=dict, kw_only=True)
    look_s: float = field(default=5, kw_only=True)
    lease_s: float = field(default=30, kw_only=True)
    threads: int = field(default=2, kw_only=True)
    keep_days: float = field(default=365, kw_only=True)
    """How long runs are remembered."""
    reports: Reports = field(init=False)
    _worker: Worker = field(init=False)
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _stopping: threading.Event = field(factory=threading.Event, init=False)
    _awake: threading.Event = field(factory=threading.Event, init=False)
    _settled: threading.Condition = field(factory=threading.Condition, init=False)
    _in_hand: set[str] = field(factory=set, init=False)
    _read: dict[str, tuple[ReportSchedule, Timetable | None]] = field(
        factory=dict, init=False
    )
    _said: dict[str, str] = field(factory=dict, init=False)
    _swept_at: float | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.reports = Reports(
            self.profiles, sources=self.sources, recipients=self.recipients
        )
        self._worker = Worker(
            self.profiles.database,
            self.profiles.clock,
            self.profiles.chance,
            self.lease_s,
        )

    def start(self) -> None:
        """Begin, if it has not; one that was stopped does not begin again."""
        if self._thread is not None:
            return
        self._pool = ThreadPoolExecutor(self.threads, "email-profiles-report")
        self._worker.enlist()
        name = "email-profiles-report-scheduler"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is being made is left to whoever comes next."""
        self._stopping.set()
        self._awake.set()
        self.reports.press.stop()
        if self._thread is not None:
            self._thread.join()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if me := self._worker.resign():
            now = self.profiles.clock.now().timestamp()

            def work(connection: Connection) -> None:
                for id in self._in_hand:
                    report_runs.release(connection, id, me)
                workers.end(connection, me, now)

            self.profiles.database.write(work)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def run_now(self, name: str, *, actor: str = "host") -> Run:
        """Have the report called *name* made, due or not; returns at once. NotFound."""
        run = self.reports.asked(name, actor, self._worker.enlist())
        self._in_hand.add(run.id)  # before anybody can see it
        self.profiles.database.write(lambda c: report_runs.begin(c, run))
        self._hand(run)
        return run

    def outcome(self, id: str, wait: float = 0) -> Run:
        """Run *id*, as it is once it has ended, or *wait* seconds are over."""
        monotonic = self.profiles.clock.monotonic
        until = monotonic() + wait
        with self._settled:
            while (run := self.reports.run(id)).state == report_runs.RUNNING:
                left = until - monotonic()
                if left <= 0:
                    break
                self._settled.wait(min(left, 1))
        return run

    def look(self) -> datetime | None:
        """
        Have made what is due; when the next firing is, None for never.

        The scheduler's own thread calls it. One that was not started makes reports in
        here, for hosts that have a timer of their own.
        """
        me = self._worker.enlist()
        self._worker.beat()
        self._take_over(self._worker.enlist() or me)
        self._sweep()
        ahead = []
        for stored in self.profiles.report_schedules.list():
            try:
                ahead.append(self._look_at(stored))
            except EmailProfilesError as error:
                self._say(stored, str(error))
        return min((one for one in ahead if one is not None), default=None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            pause = min(self.look_s, self.lease_s / 4)
            try:
                following = self.look()
                if following is not None:
                    left = following - self.profiles.clock.now()
                    pause = min(pause, max(left.total_seconds(), 0))
            except EmailProfilesError as error:
                log.error("the report scheduler missed a look: %s", error)
            except (Exception, SystemExit):
                log.exception("the report scheduler: an unexpected error; going on")
            self._awake.wait(pause)

    def _look_at(self, stored: Stored) -> datetime | None:
        """Begin what is due by one schedule; when it is due next."""
        schedule, timetable = self._known(stored)
        now = self.profiles.clock.now()
        marked = f"{schedule.cron} {schedule.timezone} {schedule.enabled}"
        since = self._since(schedule, marked, now)
        if timetable is None or not schedule.enabled:
            return None
        last, count = timetable.missed(since, now)
        if last is not None:
            self._fire(schedule, marked, since, last, count)
        return timetable.after(now)

    def _say(self, stored: Stored, error: str) -> None:
        """Once, not at every look."""
        if self._said.get(stored.id) != error:
            self._said[stored.id] = error
            log.error("report %s: %s", stored.name, error)

    def _known(self, stored: Stored) -> tuple[ReportSchedule, Timetable | None]:
        found = self._read.get(stored.id)
        if found is None or found[0].revision != stored.revision:
            schedule = schedule_of(stored)
            found = self._read[stored.id] = (schedule, timetable_of(schedule))
        return found

    def _since(self, schedule: ReportSchedule, marked: str, now: datetime) -> datetime:
        """Until when firings are dealt with; another timetable begins anew."""
        latest = (now + AHEAD).timestamp()

        def holds(known: tuple[str, float] | None) -> TypeGuard[tuple[str, float]]:
            return known is not None and known[0] == marked and known[1] <= latest

        def work(connection: Connection) -> float:
            known = report_runs.clock(connection, schedule.id)
            if holds(known):
                return known[1]
            since = max(schedule.updated_at, known[1] if known else 0)
            since = since if since <= latest else now.timestamp()
            report_runs.set_clock(connection, schedule.id, marked, since)
            return since

        with self.profiles.database.read() as connection:
            known = report_runs.clock(connection, schedule.id)
        since = known[1] if holds(known) else self.profiles.database.write(work)
        return datetime.fromtimestamp(since, UTC)

    def _fire(
        self,
        schedule: ReportSchedule,
        marked: str,
        since: datetime,
        moment: datetime,
        count: int,
    ) -> None:
        """Claim a firing, and have it made; nothing where another process has it."""
        now = self.profiles.clock.now()
        grace = timedelta(seconds=schedule.misfire_grace_s)
        run = Run(
            id=self.profiles.chance.unique(),
            schedule_id=schedule.id,
            schedule_name=schedule.name,
            key=moment.astimezone(UTC).isoformat(),
            asked_by="",
            scheduled_at=moment.astimezone(UTC),
            missed=count - 1,
            owner=self._worker.enlist(),
            started_at=now,
            lost_at=moment + grace,
        )
        if now > run.lost_at:
            late = f"nobody made it in time, and it is {_span(now - moment)} late"
            run = _ended(run, "missed", late, now)

        def work(connection: Connection) -> bool:
            known = report_runs.clock(connection, schedule.id)
            if known != (marked, since.timestamp()):
                return False
            report_runs.set_clock(connection, schedule.id, marked, moment.timestamp())
            return report_runs.begin(connection, run)

        if not self.profiles.database.write(work):
            return
        if run.state == report_runs.RUNNING:
            self._hand(run)
        else:
            self.reports.tell(run, schedule)

    def _hand(self, run: Run) -> None:
        self._in_hand.add(run.id)
        if self._pool is None:
            self._carry_out(run)
        else:
            self._pool.submit(self._carry_out, run)

    def _carry_out(self, run: Run) -> None:
        try:
            self.reports.carry_out(run)
        except Stopped:
            return  # it stays in hand, and `stop` gives it back
        except EmailProfilesError as error:  # not settled: it is taken up again
            log.error("report %s: %s", run.schedule_name, error)
        except (Exception, SystemExit):
            log.exception("report %s: an unexpected error", run.schedule_name)
        self._in_hand.discard(run.id)
        with self._settled:
            self._settled.notify_all()

    def _take_over(self, me: str) -> None:
        """Runs that nobody makes any more are made here, or are lost."""
        with self.profiles.database.read() as connection:
            running = report_runs.running(connection)
            living = {one.id for one in workers.living(connection)}
        living -= {*self._worker.dead()}
        for run in running:
            made = run.owner in living and run.owner != me
            if run.id not in self._in_hand and not made:
                self._take(run, me)

    def _take(self, run: Run, me: str) -> None:
        now = self.profiles.clock.now()
        if run.owner is None and run.asked_by and run.tries:
            if now > run.lost_at:  # whoever asked has no beat to hear
                self._lose(run, "whoever asked for it ended before it was made")
            return
        tries = run.tries + 1
        if tries > MOST_TRIES:
            self._lose(run, "each process that began to make it died")
        elif now > run.lost_at:
            self._lose(run, "the process that made it died, and it is too late now")
        elif self.profiles.database.write(
            lambda c: report_runs.take(c, run.id, run.owner, me, tries)
        ):
            log.warning("report %s: taking over a run", run.schedule_name)
            self._hand(evolve(run, owner=me, tries=tries))

    def _lose(self, run: Run, why: str) -> None:
        remedy = "run it now, if it is still wanted"
        self.reports.lose(run, ReportFailed(why, "process", remedy))

    def _sweep(self) -> None:
        moment = self.profiles.clock.monotonic()
        if self._swept_at is not None and moment - self._swept_at < HOUR_S:
            return
        self._swept_at = moment
        now = self.profiles.clock.now()
        before = now - timedelta(days=self.keep_days)
        tidy(self.profiles.home, (now - LONGEST).timestamp())
        self.profiles.database.write(lambda c: report_runs.sweep(c, before.timestamp()))


def _ended(run: Run, state: str, error: str, now: datetime) -> Run:
    return evolve(run, state=state, error=error, ended_at=now, stage="schedule")


def _span(late: timedelta) -> str:
    """A time in words, to the minute."""
    minutes = int(late.total_seconds()) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
