"""
A storm of alarms: what it costs to take it in, and whether everybody is told.

    python benchmarks/alarm_storm.py

Ten thousand events in a simulated minute, ten in each call, to twenty recipients by a
document that gathers them (10 s delay, 30 s frequency). Each row is a fresh process.
Nothing is sent: what the server would get is counted in the outbox.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

from attrs import define, fields, frozen
from sqlalchemy import func, select

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import AlarmEvent, AlarmNotifier
from email_profiles_plugin.store.alarm_tables import alarm_mail, alarm_notice
from email_profiles_plugin.store.tables import message

MINUTE_S = 60
DELAY_S, FREQUENCY_S = 10, 30
MAILS = 3
"""To each recipient: 10, 40 and 70 seconds after the first event."""

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SAID = "Temperature of the reactor is above the limit of its operating range"


@define
class SetClock:
    """The storm's own time."""

    seconds: float = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@frozen
class Result:
    """What one storm came to; times in seconds, memory in MiB."""

    events: int
    accept: float
    worst_call: float
    make: float
    mails: int
    listed: int
    told: dict[str, int]
    memory: float
    growth: float


def document(recipients: int) -> dict[str, object]:
    return {
        "name": "storm",
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "recipients": [f"operator{n}@plant.example" for n in range(recipients)],
        "consolidation": {"delay_s": DELAY_S, "frequency_s": FREQUENCY_S},
    }


def events(first: int, count: int, total: int) -> list[AlarmEvent]:
    return [
        AlarmEvent(
            id=f"{n:08}",
            source=f"plant/unit{n % 40}/sensor{n}",
            name="High",
            display_path=f"Plant / Unit {n % 40} / Sensor {n}",
            label=SAID,
            active=True,
            transition="active",
            priority=("Low", "Medium", "High", "Critical")[n % 4],
            event_time=START + timedelta(seconds=MINUTE_S * n / total),
            event_value=n / 7,
            data={"unit": n % 40, "limit": 90},
        )
        for n in range(first, min(first + count, total))
    ]


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def storm(total: int, recipients: int, batch: int) -> Result:
    """One storm, in this process."""
    clock = SetClock()
    with (
        tempfile.TemporaryDirectory() as home,
        EmailProfiles.open(home, only=(), deliver=False, clock=clock) as profiles,
    ):
        smtp = {"hostname": "127.0.0.1", "port": 2525}
        plant = {"name": "plant", "smtp": smtp, "auth": {"mode": "basic"}}
        profiles.profiles.apply(plant, actor="benchmark")
        profiles.alarm_notifications.apply(document(recipients), actor="benchmark")
        alarms = AlarmNotifier(profiles=profiles)
        accept = worst = make = 0.0
        before = peak()
        for first in range(0, total, batch):
            some = events(first, batch, total)
            clock.seconds = MINUTE_S * first / total
            began = time.perf_counter()
            alarms.notify(some, "storm")
            took = time.perf_counter() - began
            accept, worst = accept + took, max(worst, took)
            make += due(alarms, profiles)
        clock.seconds = 2 * MINUTE_S
        make += due(alarms, profiles)
        mails, listed, told = count(profiles)
    return Result(
        total, accept, worst, make, mails, listed, told, peak(), peak() - before
    )


def due(alarms: AlarmNotifier, profiles: EmailProfiles) -> float:
    """What is due is made, as the notifier's thread would; how long that took."""
    moment = alarms.next_due()
    if moment is None or moment > profiles.clock.now():
        return 0
    began = time.perf_counter()
    alarms.due()
    return time.perf_counter() - began


def count(profiles: EmailProfiles) -> tuple[int, int, dict[str, int]]:
    """Mails in the outbox, events that their subjects count, events by recipient."""
    with profiles.database.read() as connection:
        requests = [
            json.loads(one) for one in connection.scalars(select(message.c.request))
        ]
        told = connection.execute(
            select(alarm_notice.c.who, func.count().label("number"))
            .join(alarm_mail, alarm_mail.c.id == alarm_notice.c.mail_id)
            .where(alarm_mail.c.state == "queued")
            .group_by(alarm_notice.c.who)
        )
        by_recipient = {row.who: row.number for row in told}
    listed = sum(int(one["subject"].partition(" ")[0]) for one in requests)
    return len(requests), listed, by_recipient


def fresh(total: int, recipients: int, batch: int) -> Result:
    """The same in a process of its own."""
    words = ["--one", "--events", total, "--recipients", recipients, "--batch", batch]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)], check=True, stdout=subprocess.PIPE
    )
    return Result(**json.loads(done.stdout))


def show(results: list[Result], recipients: int) -> None:
    print(f"{recipients} recipients, {DELAY_S} s delay, {FREQUENCY_S} s frequency\n")
    heads = "events/s notices/s  slowest call  mails   made in  peak memory   grew by"
    print(f"events {heads}")
    for one in results:
        print(
            f"{one.events:6} {one.events / one.accept:8.0f}"
            f" {one.events * recipients / one.accept:9.0f}"
            f" {one.worst_call * 1000:10.1f} ms {one.mails:6} {one.make:7.2f} s"
            f" {one.memory:8.0f} MiB {one.growth:5.1f} MiB"
        )
    print()


def judge(results: list[Result], recipients: int) -> None:
    last = results[-1]
    everybody = len(last.told) == recipients and set(last.told.values()) == {
        last.events
    }
    goal("everybody is told of every event", everybody)
    goal(
        "as many events in the mails as were told",
        last.listed == last.events * recipients,
    )
    goal(f"{MAILS} mails to each recipient", last.mails == MAILS * recipients)
    bounded = last.growth - results[0].growth < 64
    goal("ten times the events take less than 64 MiB more", bounded)
    goal("faster than they come", last.accept + last.make < MINUTE_S)


def goal(what: str, met: bool) -> None:
    print(f"{'met' if met else 'MISSED':7} {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--recipients", type=int, default=20)
    parser.add_argument("--batch", type=int, default=10, help="events in a call")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        found = storm(asked.events, asked.recipients, asked.batch)
        names = fields(Result)
        print(json.dumps({one.name: getattr(found, one.name) for one in names}))
        return
    sizes = (max(asked.events // 10, asked.batch), asked.events)
    results = [fresh(size, asked.recipients, asked.batch) for size in sizes]
    show(results, asked.recipients)
    judge(results, asked.recipients)


if __name__ == "__main__":
    main()
