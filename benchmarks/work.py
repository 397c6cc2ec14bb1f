"""
What a client is given to do, and what it took: the frame of submit.py and latency.py.

A client is a script that reads a job (JSON) and writes a result (JSON); each run has a
fresh process. Python's clients give `perform` a function that connects on its first
message and returns a function that sends messages by their numbers.
"""

from __future__ import annotations

import json
import pstats
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from cProfile import Profile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from attrs import asdict, frozen

HERE = Path(__file__).parent
MOST_S = 600
USER = "gateway@plant.example"
TOKEN = "ya29." + 35 * "token"
"""As long as Google's; with a long one AUTH takes a round trip more (512 octets)."""


@frozen(kw_only=True)
class Job:
    """
    *first* messages, then *further* ones, each to *recipients*, to a loopback *port*.

    *case* names a message of render.py. With *ca_file*, TLS 1.3 from the start and
    XOAUTH2. *together*: the further messages are given to the client at once. With
    *profiled*, a client in Python tells on stderr where its time for those went.
    """

    port: int
    case: str
    first: int = 1
    further: int = 0
    recipients: int = 1
    connections: int = 1
    together: bool = True
    ca_file: str | None = None
    profiled: bool = False

    def batches(self) -> Iterable[range]:
        """The numbers of the further messages, as they are given to the client."""
        numbers = range(self.first, self.first + self.further)
        if self.together:
            return [numbers]
        return [range(number, number + 1) for number in numbers]


@frozen(kw_only=True)
class Result:
    """Seconds for the first messages and the further ones, and CPU for the latter."""

    first: float
    further: float
    cpu: float


@frozen
class Client:
    """A name for the table, and the command that is given jobs."""

    name: str
    command: tuple[str, ...]

    def run(self, job: Job, **more: object) -> Result:
        """One run, in a process of its own; ends the benchmark where it fails."""
        done = subprocess.run(
            self.command,
            input=json.dumps(asdict(job) | more),
            stdout=subprocess.PIPE,
            text=True,
            timeout=MOST_S,
        )
        if done.returncode:
            raise SystemExit(f"{self.name} failed; it has said why above")
        return Result(**json.loads(done.stdout))


def script(name: str) -> tuple[str, ...]:
    """The command of one of our Python clients."""
    return sys.executable, str(HERE / name)


def perform(client: Callable[[Job], Callable[[range], None]]) -> None:
    """What a client's script does: read the job, do it, write the result."""
    job = Job(**json.load(sys.stdin))
    began = perf_counter()
    send = client(job)
    send(range(job.first))
    first = perf_counter() - began
    profile = Profile() if job.profiled else nullcontext()
    spent, began = process_time(), perf_counter()
    with profile:
        for numbers in job.batches():
            send(numbers)
    further, cpu = perf_counter() - began, process_time() - spent
    if isinstance(profile, Profile):
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    print(json.dumps(asdict(Result(first=first, further=further, cpu=cpu))))


def recipients(number: int, count: int) -> list[str]:
    """Who gets message *number*: others than those of the message before."""
    return [f"operator{number}-{one}@plant.example" for one in range(count)]


def message_id(number: int) -> str:
    return f"<m{number}@plant.example>"


def ratio(dividends: Iterable[float], divisors: Iterable[float]) -> float:
    """The median of the ratios within a round."""
    pairs = zip(dividends, divisors, strict=True)
    return median(dividend / divisor for dividend, divisor in pairs)


def goal(said: str, reached: float, met: bool, digits: int = 2) -> None:
    """One line below the table; a goal that is missed is told, not raised."""
    print(f"{said:62}{reached:9.{digits}f}   {'met' if met else 'MISSED'}")
