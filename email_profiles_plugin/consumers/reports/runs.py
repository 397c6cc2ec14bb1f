"""Runs: a report made for one occasion and queued, and the record of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from attrs import define, evolve, field

from email_profiles_hookspecs import Receipt, SendRequest
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    IdempotencyConflict,
    Invalid,
    NotFound,
    ReportFailed,
)

from ...runtime import EmailProfiles
from ...store import documents, report_runs
from ...store.report_runs import Run
from .calling import Stopped
from .database import is_file
from .post import ORIGIN, apology, request_of
from .press import MEMORY, Press
from .recipients import sorted_out
from .registry import Addressees, Registry, Source
from .schedule import FORMATS, Method, ReportSchedule
from .workshop import Named, Workshop, occasion_of, schedule_of, workplace

log = logging.getLogger(__name__)

GRACE = timedelta(minutes=5)
"""How much longer than its time limit a run may take that somebody waits for."""


@define(eq=False)
class Reports:
    """
    Makes reports, as their schedules say, for whoever asks.

    *sources* and *recipients* are what the host registers: callables that are given
    an Occasion. *send* takes the request: into the outbox, unless told otherwise.
    """

    profiles: EmailProfiles
    sources: Mapping[str, Source] = field(factory=dict, kw_only=True)
    recipients: Mapping[str, Addressees] = field(factory=dict, kw_only=True)
    send: Callable[[SendRequest], Receipt] | None = field(default=None, kw_only=True)
    press: Press = field(factory=Press, kw_only=True)
    memory: int = field(default=MEMORY, kw_only=True)
    """Octets that the making of one report may have."""

    def run_now(self, name: str, *, actor: str = "host") -> Run:
        """
        Make the report called *name* and queue it, whether it is due or not.

        Returns what came of it, also where that is an error; NotFound for no such
        schedule. It takes as long as making it does.
        """
        run = self.asked(name, actor)
        self._begin(run)
        return self.carry_out(run)

    def asked(self, name: str, actor: str, owner: str | None = None) -> Run:
        """A run that somebody asks for, to be begun."""
        stored = self.profiles.report_schedules.get(name)
        now, id = self.profiles.clock.now(), self.profiles.chance.unique()
        limit = timedelta(seconds=schedule_of(stored).time_limit_s)
        return Run(
            id=id,
            schedule_id=stored.id,
            schedule_name=stored.name,
            key=id,
            asked_by=actor or "host",
            scheduled_at=now.replace(microsecond=0),
            owner=owner,
            started_at=now,
            lost_at=now + limit + GRACE,
        )

    def preview(self, name: str, format: str) -> tuple[str, bytes]:
        """The report called *name* as a file: its name and its octets; not sent."""
        if format not in FORMATS:
            raise ReportFailed(f"{format!r} is none of {', '.join(FORMATS)}", "file")
        schedule = schedule_of(self.profiles.report_schedules.get(name))
        self._check_source(schedule)
        now = self.profiles.clock.now().replace(microsecond=0)
        occasion = occasion_of(schedule, now)
        with workplace(self.profiles.home) as folder:
            edition = self._workshop().edition(
                schedule, occasion, folder, (format,), mailed=False
            )
            (made,) = edition.files
            return made.name, made.path.read_bytes()

    def runs(self, name: str | None = None, limit: int = 100) -> Sequence[Run]:
        """The newest runs, of one schedule where it is named."""
        id = None if name is None else self.profiles.report_schedules.get(name).id
        with self.profiles.database.read() as connection:
            return report_runs.listed(connection, id, limit)

    def run(self, id: str) -> Run:
        """One run, as it is now; NotFound."""
        with self.profiles.database.read() as connection:
            found = report_runs.by_id(connection, id)
        if found is None:
            raise NotFound("run of a report", id)
        return found

    def carry_out(self, run: Run) -> Run:
        """Make what *run* is for; Stopped, with nothing settled, when that is ended."""
        schedule = None
        try:
            schedule = self._schedule(run)
            done = self._done(schedule, run)
        except Stopped:
            raise
        except EmailProfilesError as error:
            done = _failed(error)
        except Exception as error:
            log.exception("report %s: an unexpected error", run.schedule_name)
            done = _failed(ReportFailed(f"{type(error).__name__}: {error}"[:500], ""))
        return self.settle(evolve(run, **done), schedule)

    def settle(self, run: Run, schedule: ReportSchedule | None) -> Run:
        """Keep what *run* came to, and tell of it where that is no success."""
        run = evolve(run, ended_at=self.profiles.clock.now())
        values = {name: getattr(run, name) for name in report_runs.RESULT}
        settled = self.profiles.database.write(
            lambda c: report_runs.settle(c, run.id, run.owner, values)
        )
        if settled:
            self.tell(run, schedule)
        return run if settled else self.run(run.id)

    def lose(self, run: Run, error: ReportFailed) -> Run:
        """Nobody makes *run* any more, which its schedule's `errors_to` are told."""
        schedule = None
        with suppress(EmailProfilesError):  # it may be gone, or be no schedule any more
            schedule = self._schedule(run)
        lost = {**_failed(error), "state": "lost"}
        return self.settle(evolve(run, **lost), schedule)

    def tell(self, run: Run, schedule: ReportSchedule | None) -> None:
        """The log says what was not sent, and so does a mail to `errors_to`."""
        if run.state in (report_runs.RUNNING, "queued", "empty"):
            return
        said = f"{run.error}: {run.remedy}" if run.remedy else run.error
        zone = ZoneInfo(schedule.timezone) if schedule else UTC
        when = f"{run.scheduled_at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
        log.error("report %s of %s: %s: %s", run.schedule_name, when, run.state, said)
        if schedule is None or not schedule.errors_to:
            return
        try:
            self._send(apology(schedule, when, said, _key(run)))
        except EmailProfilesError as error:
            log.error("report %s: nobody could be told: %s", run.schedule_name, error)

    def _begin(self, run: Run) -> None:
        self.profiles.database.write(lambda c: report_runs.begin(c, run))

    def _schedule(self, run: Run) -> ReportSchedule:
        with self.profiles.database.read() as connection:
            stored = documents.by_id(connection, run.schedule_id)
        if stored is None:
            raise ReportFailed("its schedule was deleted", "schedule")
        return schedule_of(stored)

    def _done(self, schedule: ReportSchedule, run: Run) -> dict[str, Any]:
        """What becomes of *run*, as its fields."""
        before = self._queued_before(run)
        if before is not None:
            note = "Whoever made it before had queued it already."
            return {"state": "queued", "message_id": before, "notes": (note,)}
        self._check_profile(schedule)
        self._check_source(schedule)
        occasion = occasion_of(schedule, run.scheduled_at)
        with workplace(self.profiles.home) as folder:
            edition = self._workshop().edition(
                schedule, occasion, folder, schedule.formats, mailed=True
            )
            kept = {"row_count": edition.row_count, "notes": edition.notes}
            if not edition.row_count and not schedule.send_empty:
                return {**kept, "state": "empty"}
            found = [
                *edition.addressees,
                *self._workshop().addressees(schedule, occasion),
            ]
            others, wrong = _all_recipients(schedule, found)
            kept["notes"] = (*edition.notes, *(f"Left out: {one}" for one in wrong))
            now = self._schedule(run).profile  # it may have been renamed meanwhile
            schedule = evolve(schedule, profile=now)
            request = request_of(schedule, edition, others, _key(run))
        kept["recipients"] = sum(map(len, others.values()))
        return {**kept, "state": "queued", "message_id": self._queued(request, run)}

    def _check_source(self, schedule: ReportSchedule) -> None:
        """Whoever may edit a schedule may not read everybody's mail by it."""
        ours = Path(self.profiles.database.place)
        if schedule.source.url is not None and is_file(schedule.source.url, ours):
            raise ReportFailed(
                "the database URL is this installation's own database", "source"
            )

    def _workshop(self) -> Workshop:
        return Workshop(
            clock=self.profiles.clock,
            keyring=self.profiles.keyring,
            registry=Registry(sources=self.sources, recipients=self.recipients),
            press=self.press,
            memory=self.memory,
        )

    def _queued(self, request: SendRequest, run: Run) -> str:
        try:
            return self._send(request).id
        except IdempotencyConflict:
            before = self._queued_before(run)  # another was faster; its mail goes out
            if before is None:
                raise
            return before

    def _send(self, request: SendRequest) -> Receipt:
        return (self.send or self.profiles.send)(request)

    def _queued_before(self, run: Run) -> str | None:
        with self.profiles.database.read() as connection:
            return report_runs.queued_as(connection, ORIGIN, _key(run))

    def _check_profile(self, schedule: ReportSchedule) -> None:
        """Before anything is asked for what could not be sent."""
        profile = self.profiles.resolve(schedule.profile)
        if profile is None:
            raise ReportFailed(
                f"there is no email profile {schedule.profile!r} any more",
                "profile",
                "name another in the report schedule",
            )
        if not profile.enabled:
            raise ReportFailed(
                f"the email profile {schedule.profile!r} is disabled",
                "profile",
                "enable it, or name another in the report schedule",
            )


def _all_recipients(
    schedule: ReportSchedule, found: Named
) -> tuple[dict[Method, list[str]], list[str]]:
    typed: list[tuple[Method, str]] = [
        *(("to", one) for one in schedule.to),
        *(("cc", one) for one in schedule.cc),
        *(("bcc", one) for one in schedule.bcc),
    ]
    others, wrong = sorted_out([*typed, *found])
    if not any(others.values()):
        about = f": {wrong[0]}" if wrong else ""
        raise ReportFailed(f"there is nobody to send it to{about}", "recipients")
    return others, wrong


def _key(run: Run) -> str:
    """The idempotency key: however often it is made, it is queued once."""
    return f"{run.schedule_id} {run.key}"


def _failed(error: EmailProfilesError) -> dict[str, Any]:
    said = str(getattr(error, "message", "") or error)
    if isinstance(error, Invalid):
        said = str(error)
    stage = error.stage or "sending"
    return {"state": "failed", "stage": stage, "error": said, "remedy": error.remedy}
