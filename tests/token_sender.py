"""
A process that sends mail, or needs tokens as a sender does; it can be killed.

    python token_sender.py HOME FOLDER

Takes commands as lines of JSON, and answers each by a line. FOLDER holds the time of
day (`clock`), who asked the token endpoint last (`asking`), and, where somebody is to
die, at which stage (`die`).
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from attrs import define, field

from email_profiles_hookspecs import Profile, SendRequest
from email_profiles_hookspecs.errors import EmailProfilesError, TokenTimeout
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.http import HttpClient
from email_profiles_plugin.store.database import Database

LIFE_S = 600
"""Seconds after which a process that nobody ends ends by itself."""

SEND_S = 120
"""Seconds that a mail may take."""

PAUSE_S = 0.01
"""What a pause takes, however long it counts."""


@define(eq=False)
class SharedClock:
    """
    The time of day as all the processes have it, which one of them sets.

    A pause is short, and counts in full.
    """

    path: Path
    _paused: float = 0
    _seconds: mmap.mmap = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not self.path.exists():
            self.path.write_bytes(struct.pack("d", 1.9e9))
        with self.path.open("r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), 8)

    def timestamp(self) -> float:
        found: float = struct.unpack_from("d", self._seconds)[0]
        return found

    def forward(self, seconds: float) -> None:
        struct.pack_into("d", self._seconds, 0, self.timestamp() + seconds)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self._paused

    def pause(self, seconds: float) -> None:
        self._paused += seconds
        time.sleep(PAUSE_S)


@define(eq=False)
class Mortality:
    """Who asks the token endpoint leaves word, and dies where a file says so."""

    folder: Path
    _here: threading.local = field(factory=threading.local)

    def install(self) -> None:
        """For the whole process: nothing but the process's end is changed."""
        ask, write = HttpClient.request, Database.write

        def request(http: HttpClient, method: str, url: str, **options: Any) -> Any:
            if method != "POST":
                return ask(http, method, url, **options)
            (self.folder / "asking").write_text(str(os.getpid()))
            self.reach("asking")
            reply = ask(http, method, url, **options)
            self.reach("answered")
            self._here.answered = True
            return reply

        def written(database: Database, do: Callable[..., Any]) -> Any:
            result = write(database, do)
            if getattr(self._here, "answered", False):
                self._here.answered = False
                self.reach("saved")
            return result

        HttpClient.request = request  # type: ignore[method-assign,assignment]
        Database.write = written  # type: ignore[method-assign]

    def reach(self, stage: str) -> None:
        """The end, where this is the stage, and nobody else was first."""
        order = self.folder / "die"
        try:
            if order.read_text() != stage:
                return
            order.rename(self.folder / "died")
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


@define(eq=False)
class Sender:
    """Does what it is told."""

    profiles: EmailProfiles
    _numbers: Iterator[int] = field(factory=count)

    def work(
        self, what: str, profile: str, threads: int, count: int, stages: list[str]
    ) -> dict[str, Any]:
        """
        *count* credentials, or whole mails, in each of *threads*.

        Answers by the tokens' generations (0 for mails), and what failed. Before each
        of as many parts as there are *stages*, all wait for a line of input.
        """
        found = self.profiles.resolve(profile)
        assert found is not None
        one = {"credentials": self._acquired, "mails": self._sent}[what]
        names = iter(stages)
        barrier = threading.Barrier(threads, action=lambda: say_and_wait(next(names)))
        got: list[tuple[int, str]] = []

        def run() -> None:
            for stage in stages or [""]:
                if stage:
                    barrier.wait()
                part = range(count // max(len(stages), 1))
                got.extend(one(found) for _ in part)

        workers = [threading.Thread(target=run) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        generations = sorted({one for one, failure in got if not failure})
        failures = sorted({failure for _, failure in got if failure})
        return {"count": len(got), "generations": generations, "failures": failures}

    def _sent(self, profile: Profile) -> tuple[int, str]:
        number = next(self._numbers)
        request = SendRequest(
            profile=profile.name,
            from_address="gateway@plant.example",
            to=[f"operator-{os.getpid()}-{number}@plant.example"],
            text=f"Level is {number} %.",
        )
        try:
            outcome = self.profiles.deliver(request, SEND_S)
        except EmailProfilesError as error:
            return 0, f"{type(error).__name__}: {error}"
        return 0, "" if outcome.state == "accepted" else outcome.error

    def _acquired(self, profile: Profile) -> tuple[int, str]:
        authenticator = self.profiles.outbox.delivery.submitter.authenticator(profile)
        failure = ""
        for _ in range(20):
            try:
                return authenticator.acquire(float("inf")).generation, ""
            except TokenTimeout as error:  # as long as another's lease lasts
                failure = f"{type(error).__name__}: {error}"
            except EmailProfilesError as error:
                return 0, f"{type(error).__name__}: {error}"
        return 0, failure


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def say_and_wait(stage: str) -> None:
    say({"at": stage})
    sys.stdin.readline()


def main(home: str, folder: str) -> None:
    faulthandler.dump_traceback_later(LIFE_S, exit=True)
    clock = SharedClock(Path(folder, "clock"))
    Mortality(Path(folder)).install()
    with EmailProfiles.open(home, only=(), deliver=False, clock=clock) as profiles:
        profiles._keeper.pause = clock.pause
        sender = Sender(profiles)
        say({"at": "open"})
        for line in sys.stdin:
            say(sender.work(**json.loads(line)))


if __name__ == "__main__":
    main(*sys.argv[1:])
