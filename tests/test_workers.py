"""Workers that die or sleep too long: nothing is lost, nothing settled twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from email_profiles_hookspecs import Outcome, SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemChance
from email_profiles_plugin.outbox.delivery import Pace
from email_profiles_plugin.outbox.worker import Worker
from email_profiles_plugin.store import workers
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer

Open = Callable[..., EmailProfiles]

LEASE_S = 1.0

CHILD = f"""
import sys, threading
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.outbox.delivery import Pace

pace = Pace(threads=1, look_s=0.05)
with EmailProfiles.open(sys.argv[1], only=(), pace=pace, lease_s={LEASE_S}):
    threading.Event().wait(60)
"""


class Soon(SystemChance):
    def fraction(self) -> float:
        return 0


@define(eq=False)
class Stalling:
    """A script that keeps the first client waiting at a stage; it serves the others."""

    stage: str
    reached: threading.Event = field(factory=threading.Event)
    release: threading.Event = field(factory=threading.Event)
    served: list[str] = field(factory=list)
    """Message-IDs, in the order in which they were accepted."""
    _first: bool = True

    def __call__(self, line: Line) -> None:
        first, self._first = self._first, False
        line.greet()
        while True:
            verb = line.hear().split(b" ")[0].decode()
            if verb == "QUIT":
                return
            self._stall(first, verb)
            if verb != "DATA":
                line.say("250 ok")
                continue
            line.say("354 go")
            before = len(line.heard)
            line.hear_content()
            self._stall(first, "end of data")
            self.served.append(_message_id(line.heard[before:]))
            line.say("250 ok queued as 1234")

    def _stall(self, first: bool, stage: str) -> None:
        if first and stage == self.stage:
            self.reached.set()
            self.release.wait(30)


def _message_id(content: list[bytes]) -> str:
    (found,) = (one for one in content if one.lower().startswith(b"message-id:"))
    return found.split(b":", 1)[1].strip().decode()


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a process that delivers from the same store; ended at teardown."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "home")],
            env={**os.environ, "PYTHONPATH": paths},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def held_up(
    open_profiles: Open, child: Any, script: Stalling, port: int, policy: dict[str, Any]
) -> tuple[EmailProfiles, str, subprocess.Popen[bytes]]:
    """A message queued, and a child that is being kept waiting with it."""
    profiles = open_profiles(
        deliver=False, lease_s=LEASE_S, chance=Soon(), pace=Pace(look_s=0.05)
    )
    document = {
        "name": "plant",
        "smtp": {"hostname": "localhost", "port": port, "timeout_ms": 60_000},
        "auth": {"mode": "basic"},
        "policy": policy,
    }
    profiles.profiles.apply(document, actor="test")
    receipt = profiles.send(
        SendRequest(
            profile="plant",
            from_address="gateway@plant.example",
            to=["operator@plant.example"],
        )
    )
    process = child()
    assert script.reached.wait(30)
    return profiles, receipt.id, process


def settled(profiles: EmailProfiles, id: str) -> Outcome:
    outcome = profiles.outcome(id, wait=30)
    assert outcome is not None
    return outcome


def story(profiles: EmailProfiles, id: str) -> list[tuple[int, bool, str, bool]]:
    """Each attempt: number, late, verdict, handed over."""
    return [
        (one.number, one.late, one.verdict, one.handed_at is not None)
        for one in profiles.outbox.show(id).history
    ]


@pytest.mark.parametrize("on_unknown", ["hold", "retry"])
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
def test_killed_before_it_handed_over(
    open_profiles: Open, child: Any, stage: str, on_unknown: str
) -> None:
    """The row goes back to the queue, and is sent once."""
    script = Stalling(stage)
    with ScriptedServer(script) as server:
        profiles, id, process = held_up(
            open_profiles, child, script, server.port, {"on_unknown": on_unknown}
        )
        process.kill()
        process.wait()
        script.release.set()
        profiles.start()
        outcome = settled(profiles, id)

    assert "accepted" == outcome.state
    assert [outcome.message_id] == script.served
    assert [(1, False, "died", False), (2, False, "accepted", True)] == story(
        profiles, id
    )


@pytest.mark.parametrize(
    ("on_unknown", "state", "times"), [("hold", "unknown", 1), ("retry", "accepted", 2)]
)
def test_killed_after_it_handed_over(
    open_profiles: Open, child: Any, on_unknown: str, state: str, times: int
) -> None:
    """Nobody can say what it came to: held for a person, or sent again as it was."""
    script = Stalling("end of data")
    with ScriptedServer(script) as server:
        profiles, id, process = held_up(
            open_profiles, child, script, server.port, {"on_unknown": on_unknown}
        )
        process.kill()
        process.wait()
        script.release.set()
        profiles.start()
        outcome = settled(profiles, id)

    assert state == outcome.state
    assert [outcome.message_id] * times == script.served
    first, *rest = story(profiles, id)
    assert (1, False, "unknown", True) == first
    assert [(2, False, "accepted", True)][: times - 1] == rest


def late(profiles: EmailProfiles, id: str) -> bool:
    """The sleeper's own result was kept beside its attempt."""
    return any(one.late for one in profiles.outbox.show(id).history)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come true in time")


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
def test_stopped_before_it_handed_over_and_continued(
    open_profiles: Open, child: Any, stage: str
) -> None:
    """Its claim is somebody else's: it closes without its last octet."""
    script = Stalling(stage)
    with ScriptedServer(script) as server:
        profiles, id, process = held_up(
            open_profiles, child, script, server.port, {"on_unknown": "retry"}
        )
        process.send_signal(signal.SIGSTOP)
        profiles.start()
        outcome = settled(profiles, id)
        script.release.set()
        process.send_signal(signal.SIGCONT)
        until(lambda: late(profiles, id))

    assert "accepted" == outcome.state
    assert [outcome.message_id] == script.served
    assert outcome == profiles.outcome(id)
    assert [
        (1, False, "died", False),
        (1, True, "ours", False),
        (2, False, "accepted", True),
    ] == story(profiles, id)


def test_stopped_after_it_handed_over_and_continued(
    open_profiles: Open, child: Any
) -> None:
    """It settles nothing that is no longer its own; its result is kept as late."""
    script = Stalling("end of data")
    with ScriptedServer(script) as server:
        profiles, id, process = held_up(
            open_profiles, child, script, server.port, {"on_unknown": "hold"}
        )
        process.send_signal(signal.SIGSTOP)
        profiles.start()
        outcome = settled(profiles, id)
        script.release.set()
        process.send_signal(signal.SIGCONT)
        until(lambda: late(profiles, id))

    assert "unknown" == outcome.state
    assert outcome == profiles.outcome(id)
    assert [(1, False, "unknown", True), (1, True, "accepted", True)] == story(
        profiles, id
    )


@define
class HandClock:
    """A clock that a test moves."""

    moment: float = 0

    def now(self) -> Any:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.moment, UTC)

    def monotonic(self) -> float:
        return self.moment


def test_a_worker_that_was_held_up_has_lapsed(open_profiles: Open) -> None:
    """For longer than half its lease, also when it beat again since."""
    database = open_profiles(deliver=False).database
    clock = HandClock()
    worker = Worker(database, clock, SystemChance(), lease_s=10)
    first = worker.enlist()
    clock.moment = 4
    worker.beat()
    assert worker.fresh(0)
    clock.moment = 9.5
    worker.beat()
    assert not worker.fresh(0)
    assert worker.fresh(1)
    assert first == worker.id


def test_a_worker_that_others_took_for_dead_goes_on_as_another(
    open_profiles: Open,
) -> None:
    """Its old claims are fenced off by the new id."""
    database = open_profiles(deliver=False).database
    clock = HandClock()
    worker = Worker(database, clock, SystemChance(), lease_s=10)
    first = worker.enlist()
    database.write(lambda connection: workers.end(connection, first, 1))
    worker.beat()

    assert first != worker.id
    assert 1 == worker.lapses


def test_death_is_seen_on_the_observers_own_clock(open_profiles: Open) -> None:
    """No beat for a whole lease while it was watched; not what the rows' times say."""
    database = open_profiles(deliver=False).database
    here, there = HandClock(), HandClock(moment=1e6)
    watcher = Worker(database, here, SystemChance(), lease_s=10)
    other = Worker(database, there, SystemChance(), lease_s=10)
    watcher.enlist()
    id = other.enlist()

    for moment, beats in ((0, False), (4, False), (8, True), (12, False), (17, False)):
        here.moment = moment
        if beats:
            other.beat()
        assert [] == watcher.dead()
    here.moment = 19
    assert [id] == watcher.dead()


def test_what_a_dead_worker_did_not_announce_is_announced(
    open_profiles: Open, smtp_server: Any, profile_document: Any
) -> None:
    """A crash between commit and announcement announces again."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    request = SendRequest(profile="plant", from_address="a@x.test", to=["b@x.test"])
    id = profiles.deliver(request, timeout=10).id
    owner = profiles.outbox.worker.id
    database = profiles.database
    from sqlalchemy import update

    from email_profiles_plugin.store.tables import message

    database.write(lambda c: c.execute(update(message).values(announced_at=None)))
    told: list[str] = []

    class Observer:
        from email_profiles_hookspecs import hookimpl

        @hookimpl
        def email_profiles_settled(self, outcome: Outcome) -> None:
            told.append(outcome.id)

    profiles.plugins.manager.register(Observer())
    profiles.outbox.heart.recovery.bury(owner)

    assert [id] == told
