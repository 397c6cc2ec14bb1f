"""Reports when they are due: once each, whoever dies, and however the clock is set."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from report_bench import Inline, levels, schedule

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.reports import Occasion, ReportScheduler, Table
from email_profiles_plugin.consumers.reports.timetable import Timetable
from email_profiles_plugin.store import report_runs
from email_profiles_plugin.testing import FakeClock

Open = Callable[..., EmailProfiles]
Document = Callable[..., dict[str, Any]]

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(begin=BEGIN)


@pytest.fixture
def quiet(
    open_profiles: Open, profile_document: Document, smtp_server: Any, clock: FakeClock
) -> EmailProfiles:
    """Delivers nothing, and its clock is the test's."""
    profiles = open_profiles(deliver=False, clock=clock)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    return profiles


def scheduler_of(profiles: EmailProfiles, **options: Any) -> ReportScheduler:
    """One that is not started, and makes reports where it looks."""
    given = {"sources": {"levels": levels}, **options}
    made = ReportScheduler(profiles, **given)
    made.reports.press = Inline()
    return made


def apply(profiles: EmailProfiles, **changes: Any) -> None:
    profiles.report_schedules.apply(schedule(**changes), actor="test")


def to(clock: FakeClock, moment: datetime) -> None:
    clock.seconds = (moment - clock.begin).total_seconds()


def states(scheduler: ReportScheduler) -> list[str]:
    """Of all runs, the oldest first."""
    return [run.state for run in reversed(scheduler.reports.runs(limit=1000))]


def test_two_years_of_a_simulated_clock(quiet: EmailProfiles, clock: FakeClock) -> None:
    """Month ends and the Sundays on which the clock is set: each once, each in time."""
    berlin = ZoneInfo("Europe/Berlin")
    apply(quiet, name="ends", cron="0 6 L * *", timezone="Europe/Berlin")
    apply(quiet, name="sundays", cron="30 2 * 3,10 sun", timezone="Europe/Berlin",
          subject="{{ scheduled_at|date('%d %H:%M') }}")  # fmt: skip
    one, other = (scheduler_of(quiet, keep_days=800) for _ in range(2))
    following = one.look()
    while following is not None and following.year < 2028:
        to(clock, following)
        other.look()
        following = one.look()
    runs = one.reports.runs(limit=1000)
    times = {run.id: run.scheduled_at.astimezone(berlin) for run in runs}
    ends, sundays = (
        [times[run.id] for run in runs if run.schedule_name == name]
        for name in ("ends", "sundays")
    )

    assert Counter(queued=24 + 18) == Counter(run.state for run in runs)
    assert 24 + 18 == len(quiet.outbox.list(limit=1000))
    assert all((day + DAY).day == 1 and day.hour == 6 for day in ends)
    assert all(day.weekday() == 6 for day in sundays)
    # On these two there is no 02:30.
    odd = [f"{day:%Y-%m-%d %H:%M}" for day in sundays if day.hour != 2]
    assert ["2027-03-28 03:30", "2026-03-29 03:30"] == odd


def test_what_was_missed_is_made_good_once(
    quiet: EmailProfiles, clock: FakeClock
) -> None:
    """After days without a scheduler: the last firing, and how many were before it."""
    apply(quiet, cron="0 6 * * *", misfire_grace_s=86_400)
    scheduler_of(quiet).look()
    to(clock, BEGIN + 5 * DAY + timedelta(hours=10))
    again = scheduler_of(quiet)
    again.look()
    again.look()
    (run,) = again.reports.runs()

    assert ("queued", 5) == (run.state, run.missed)
    assert BEGIN + 5 * DAY + timedelta(hours=6) == run.scheduled_at


def test_what_is_too_late_is_said(
    quiet: EmailProfiles, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets yesterday's report today: that is recorded, and told."""
    apply(quiet, cron="0 6 * * *", misfire_grace_s=3600, timezone="Asia/Tokyo")
    scheduler_of(quiet).look()
    to(clock, BEGIN + 2 * DAY)
    late = scheduler_of(quiet)
    with caplog.at_level(logging.ERROR):
        late.look()
    (run,) = late.reports.runs()

    assert ("missed", None, 1) == (run.state, run.message_id, run.missed)
    assert "nobody made it in time, and it is 3 h 0 min late" == run.error
    assert "report daily-levels of 2026-01-03 06:00:00 JST: missed" in caplog.text


def test_a_clock_that_was_ahead(quiet: EmailProfiles, clock: FakeClock) -> None:
    """Once it is put back, what is due is made, and what was made is not made again."""
    apply(quiet, cron="0 6 * * *", misfire_grace_s=3600)
    scheduler = scheduler_of(quiet)
    scheduler.look()
    to(clock, BEGIN + 365 * DAY)
    scheduler.look()
    for hours in (1, 7, 1, 7, 31):
        to(clock, BEGIN + timedelta(hours=hours))
        scheduler.look()
    days = [run.scheduled_at.day for run in reversed(scheduler.reports.runs())]

    assert ["queued", "queued", "missed"] == states(scheduler)
    assert [1, 2, 31] == days


def test_edited_schedules(quiet: EmailProfiles, clock: FakeClock) -> None:
    """A new timetable holds from its edit on; a disabled or deleted one for nothing."""
    scheduler = scheduler_of(quiet)
    apply(quiet, cron="0 6 * * *")
    scheduler.look()
    to(clock, BEGIN + timedelta(hours=6))
    scheduler.look()
    to(clock, BEGIN + timedelta(hours=12))
    scheduler.look()
    assert ["queued"] == states(scheduler)

    apply(quiet, cron="0 11 * * *")  # an hour ago, which is not made up for
    assert BEGIN + DAY + timedelta(hours=11) == scheduler.look()
    quiet.report_schedules.rename("daily-levels", "levels", actor="test")
    to(clock, BEGIN + DAY + timedelta(hours=11))
    scheduler.look()
    assert ["queued", "queued"] == states(scheduler)
    assert "levels" == scheduler.reports.runs("levels")[0].schedule_name

    apply(quiet, name="levels", cron="0 11 * * *", enabled=False)
    assert scheduler.look() is None
    to(clock, BEGIN + 10 * DAY + timedelta(hours=12))
    apply(quiet, name="levels", cron="0 11 * * *", enabled=True)
    scheduler.look()
    quiet.report_schedules.delete("levels", actor="test")
    assert scheduler.look() is None
    assert ["queued", "queued"] == states(scheduler)


def test_a_schedule_that_fails_holds_up_no_other(
    quiet: EmailProfiles, clock: FakeClock
) -> None:
    """Its run says why; the other one's is made."""
    apply(quiet, name="a", cron="0 6 * * *", source={"callable": "nothing"})
    apply(quiet, name="b", cron="0 6 * * *")
    scheduler = scheduler_of(quiet)
    scheduler.look()
    to(clock, BEGIN + timedelta(hours=6))
    scheduler.look()

    assert ["failed", "queued"] == sorted(states(scheduler))


def test_a_zone_that_went(
    quiet: EmailProfiles, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """What a schedule can't be read for is said once, not at every look."""
    apply(quiet, name="a", cron="0 6 * * *")
    apply(quiet, name="b", cron="0 6 * * *", timezone="Europe/Berlin")

    def read(
        cls: object, cron: str, zone: str, real: Any = Timetable.read
    ) -> Timetable:
        if zone != "UTC":
            raise ValueError(f"there is no time zone {zone!r}")
        return real(cron, zone)

    monkeypatch.setattr(Timetable, "read", classmethod(read))
    scheduler = scheduler_of(quiet)

    assert BEGIN + timedelta(hours=6) == scheduler.look() == scheduler.look()
    assert 1 == caplog.text.count("report b: there is no time zone 'Europe/Berlin'")


def begun(profiles: EmailProfiles, scheduler: ReportScheduler, **changes: Any) -> Any:
    """A run that somebody who is dead by now began."""
    now = profiles.clock.now()
    run = evolve(
        scheduler.reports.asked("daily-levels", ""),
        asked_by="", owner="dead", key=now.isoformat(), **changes,
    )  # fmt: skip
    profiles.database.write(lambda c: report_runs.begin(c, run))
    return run


def test_a_dead_runner_is_replaced(quiet: EmailProfiles) -> None:
    """Its run is made by another; one that was queued already is not sent again."""
    apply(quiet)
    scheduler = scheduler_of(quiet)
    run = begun(quiet, scheduler)
    scheduler.look()
    first = scheduler.reports.run(run.id)
    done = scheduler.reports.carry_out(evolve(run, owner=first.owner))

    assert ("queued", 2) == (first.state, first.tries)
    assert done == first

    quiet.database.write(
        lambda c: c.execute(
            report_runs.report_run.update().values(
                state="running", owner="dead", tries=1
            )
        )
    )
    scheduler.look()
    again = scheduler.reports.run(run.id)

    assert ("queued", first.message_id) == (again.state, again.message_id)
    assert ("Whoever made it before had queued it already.",) == again.notes
    assert 1 == len(quiet.outbox.list())


def test_what_kills_its_runners_is_lost(
    quiet: EmailProfiles, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After two deaths, or when it is too late; that is recorded and told."""
    apply(quiet, errors_to=["operator@plant.example"])
    scheduler = scheduler_of(quiet)
    twice = begun(quiet, scheduler, tries=2)
    clock.forward(1)
    late = begun(quiet, scheduler)
    clock.forward(86_400)
    with caplog.at_level(logging.ERROR):
        scheduler.look()
    runs = [scheduler.reports.run(one.id) for one in (twice, late)]

    assert ["lost", "lost"] == [run.state for run in runs]
    assert "each process that began to make it died" == runs[0].error
    assert "the process that made it died, and it is too late now" == runs[1].error
    assert 2 == caplog.text.count("lost")
    told = [quiet.outbox.header(one.id) for one in quiet.outbox.list()]
    assert 2 == len(told)
    assert all("To: operator@plant.example" in one for one in told)


def test_whoever_asked_and_ended(quiet: EmailProfiles, clock: FakeClock) -> None:
    """A run that somebody waited for is lost only when its time is up."""
    apply(quiet, time_limit_s=60)
    scheduler = scheduler_of(quiet)
    run = scheduler.reports.asked("daily-levels", "cli:anna")
    quiet.database.write(lambda c: report_runs.begin(c, run))
    scheduler.look()
    before = scheduler.reports.run(run.id).state
    clock.forward(361)
    scheduler.look()

    assert ("running", "lost") == (before, scheduler.reports.run(run.id).state)


def test_runs_are_forgotten(quiet: EmailProfiles, clock: FakeClock) -> None:
    """After a year; its clock with the schedule."""
    apply(quiet, cron="0 0 1 1 *")
    scheduler = scheduler_of(quiet)
    scheduler.reports.run_now("daily-levels")
    clock.forward(366 * 86_400)
    scheduler.look()
    quiet.report_schedules.delete("daily-levels", actor="test")

    assert ["missed"] == states(scheduler)  # a day ago; what was asked for is gone
    with quiet.database.read() as connection:
        assert [] == connection.execute(report_runs.report_clock.select()).all()


def test_what_was_left_is_removed(quiet: EmailProfiles, clock: FakeClock) -> None:
    """A process that is killed leaves a folder with rows, for a day."""
    left = quiet.home / "reports" / "left"
    left.mkdir(parents=True)
    (left / "rows").write_bytes(b"")
    to(clock, datetime.now(UTC))
    scheduler_of(quiet).look()
    before = left.exists()
    clock.forward(26 * 3600)
    scheduler_of(quiet).look()

    assert (True, False) == (before, left.exists())


@pytest.fixture
def live(
    open_profiles: Open, profile_document: Document, smtp_server: Any
) -> Iterator[EmailProfiles]:
    """By the real clock, delivering; what is on its way arrives before the end."""
    with open_profiles() as profiles:
        profiles.profiles.apply(profile_document(smtp_server), actor="test")
        yield profiles


SECONDS = "{{ scheduled_at|date('%H:%M:%S') }}"


def test_by_the_real_clock(live: EmailProfiles, smtp_server: Any) -> None:
    """Every second, from a schedule that was applied while the scheduler ran."""
    with scheduler_of(live, look_s=0.2):
        apply(live, cron="* * * * * *", subject=SECONDS)
        smtp_server.wait_for(2, timeout=60)
    subjects = [one.message["Subject"] for one in smtp_server.messages]
    runs = live.outbox.list()

    assert len({*subjects}) == len(subjects)
    assert {"normal"} == {one.lane for one in runs}
    assert {"reports"} == {one.origin for one in runs}


def test_a_report_that_is_asked_for(live: EmailProfiles, smtp_server: Any) -> None:
    """`run_now` of a scheduler returns at once; the report is made in its threads."""
    release = threading.Event()

    def slow(occasion: Occasion) -> Table:
        release.wait(60)
        return levels(occasion)

    with scheduler_of(live, sources={"levels": slow}) as scheduler:
        apply(live)
        run = scheduler.run_now("daily-levels", actor="anna")
        before = scheduler.outcome(run.id).state
        release.set()
        after = scheduler.outcome(run.id, wait=60)

    assert ("running", "queued", "anna") == (before, after.state, after.asked_by)
    assert live.outcome(after.message_id or "", wait=60)


def test_a_scheduler_that_stops_gives_back(live: EmailProfiles) -> None:
    """What was not done is made by the next one, and not counted as a death."""
    begin, release = threading.Event(), threading.Event()

    def slow(occasion: Occasion) -> Table:
        begin.set()
        release.wait(60)
        return levels(occasion)

    apply(live)
    first = scheduler_of(live, sources={"levels": slow})
    first.start()
    run = first.run_now("daily-levels")
    assert begin.wait(60)
    first.stop()
    release.set()
    between = first.reports.run(run.id)
    with scheduler_of(live) as second:
        after = second.outcome(run.id, wait=60)

    assert ("running", None, 0) == (between.state, between.owner, between.tries)
    assert ("queued", 1) == (after.state, after.tries)
    assert live.outcome(after.message_id or "", wait=60)


CHILD = """
import sys, threading
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.reports import ReportScheduler
from report_bench import Inline, levels

def source(occasion):
    if sys.argv[2] == "hang":
        print("begun", flush=True)
        threading.Event().wait(60)
    return levels(occasion)

with EmailProfiles.open(sys.argv[1], only=(), deliver=False) as profiles:
    options = {"look_s": 0.2, "lease_s": 1.0}
    scheduler = ReportScheduler(profiles, sources={"levels": source}, **options)
    scheduler.reports.press = Inline()
    with scheduler:
        print("started", flush=True)
        if sys.argv[2] == "hang":
            scheduler.run_now("daily-levels")
        sys.stdin.read()
"""


@pytest.fixture
def child(live: EmailProfiles) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start another process with a scheduler on the same store."""
    running: list[subprocess.Popen[str]] = []
    tests = str(Path(__file__).parent)

    def start(how: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([tests, *filter(None, sys.path)])
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(live.home), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        running.append(process)
        assert process.stdout is not None
        assert "started\n" == process.stdout.readline()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_two_processes(
    live: EmailProfiles, smtp_server: Any, child: Callable[[str], Any]
) -> None:
    """Each firing is made by one of them."""
    process = child("work")
    with scheduler_of(live, look_s=0.2) as scheduler:
        apply(live, cron="* * * * * *", subject=SECONDS)
        smtp_server.wait_for(3, timeout=60)
        process.communicate("")
    runs = scheduler.reports.runs()
    subjects = [one.message["Subject"] for one in smtp_server.messages]

    assert {"queued"} == {run.state for run in runs} - {"running"}
    assert len({run.scheduled_at for run in runs}) == len(runs)
    assert len({*subjects}) == len(subjects)


def test_a_process_that_is_killed(
    live: EmailProfiles, smtp_server: Any, child: Callable[[str], Any]
) -> None:
    """Its report is made by another, once its heart is not heard any more."""
    apply(live)
    process = child("hang")
    assert "begun\n" == process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    with scheduler_of(live, look_s=0.2, lease_s=1.0) as scheduler:
        smtp_server.wait_for(1, timeout=60)
        (run,) = scheduler.reports.runs()
        done = scheduler.outcome(run.id, wait=60)

    assert ("queued", 2) == (done.state, done.tries)
    assert 1 == len(smtp_server.messages)
