"""
Round trips to accepted, over a line of 50 ms, against smtplib and Nodemailer.

The servers answer at once, so what is left is waiting, in round trips: seconds divided
by what a NOOP takes on that line. Measured are the first message, which has to connect
and say EHLO, and each further one on the kept connection when many wait, with 1, 10 and
100 recipients; and the way from cold to accepted with TLS 1.3 from the start and
XOAUTH2. The decimals above a whole number are what the client computed.

With DATA a message alone takes two round trips, as its content may not be sent before
the 354. Where others follow, the next envelope travels right behind it: n messages take
n + 1. The rows `one by one` have messages that are alone. Runs are fresh processes, in
shuffled order; the table gives medians.

Nodemailer joins in where node and npm are there: it is installed into the user's cache,
or where --node-modules says. A round takes about 70 seconds.

    python benchmarks/latency.py --rounds 3
    python benchmarks/latency.py --round-trip 200
"""

from __future__ import annotations

import argparse
import random
import smtplib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from attrs import evolve, frozen

from delay import Delay
from email_profiles_plugin.testing.certificates import CertificateAuthority
from loopback import HOST
from nodemailer import nodemailer
from sinks import Sink
from work import Client, Job, goal, script

CASE = "2 KB ASCII, text and HTML"
RECIPIENTS = 1, 10, 100
PLAIN = "PIPELINING", "8BITMIME"
CHUNKED = *PLAIN, "CHUNKING"


@frozen
class Row:
    """A line of the table: who sends, to which server, and how."""

    name: str
    client: Client
    extensions: Sequence[str]
    together: bool = True
    waits: bool = False
    """Every recipient costs a round trip, so that few messages have to do."""

    def further(self, recipients: int) -> int:
        """How many further messages; many only where many cost little."""
        if self.waits:
            return max(2, 20 // recipients)
        return 100 if self.together else 20


Lines = dict[tuple[Sequence[str], bool], int]
"""The ports of the delayed servers, by what they offer and whether TLS comes first."""


def rows(node_modules: Path | None) -> list[Row]:
    standard = Client("smtplib", script("peer_smtplib.py"))
    ours = Client("email profiles", script("ours.py"))
    return [
        Row("smtplib", standard, PLAIN, waits=True),
        *(Row("Nodemailer", one, PLAIN) for one in nodemailer(node_modules)),
        Row("email profiles, DATA, one by one", ours, PLAIN, together=False),
        Row("email profiles, BDAT, one by one", ours, CHUNKED, together=False),
        Row("email profiles, DATA", ours, PLAIN),
        Row("email profiles, BDAT, window 4", ours, CHUNKED),
    ]


@contextmanager
def lines(round_trip: float) -> Iterator[tuple[Lines, str]]:
    """The delayed servers, and the file with the authority that they are trusted by."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        authority = CertificateAuthority(Path(folder))
        ports: Lines = {}
        for extensions in (PLAIN, CHUNKED):
            secure = Sink(
                *extensions, "AUTH XOAUTH2", context=authority.server_context()
            )
            for tls, server in ((False, Sink(*extensions)), (True, secure)):
                sink = stack.enter_context(server)
                line = stack.enter_context(Delay(sink.port, round_trip))
                ports[extensions, tls] = line.port
        yield ports, str(authority.ca_file)


Found = dict[tuple[str, str], list[float]]
"""Round trips, by the row's name and the column's."""


def noop(port: int) -> float:
    """The seconds that a NOOP takes: the round trip as this machine makes it."""
    took = []
    with smtplib.SMTP(HOST, port, local_hostname="client.plant.example") as server:
        for _ in range(20):
            began = perf_counter()
            server.noop()
            took.append(perf_counter() - began)
    return median(took)


def measure(table: list[Row], rounds: int, asked: float) -> Found:
    found: Found = {}

    def note(row: Row, column: str, seconds: float) -> None:
        found.setdefault((row.name, column), []).append(seconds / round_trip)

    with lines(asked) as (ports, ca_file):
        round_trip = noop(ports[PLAIN, False])
        print(f"The line's round trip is {round_trip * 1000:.2f} ms, by NOOP.\n")
        runs = [(row, count) for row in table for count in (*RECIPIENTS, 0)]
        for _ in range(rounds):
            random.shuffle(runs)
            for row, count in runs:
                job = Job(port=ports[row.extensions, False], case=CASE)
                if not count:
                    port = ports[row.extensions, True]
                    cold = evolve(job, port=port, ca_file=ca_file)
                    note(row, "cold", row.client.run(cold).first)
                    continue
                job = evolve(
                    job,
                    further=row.further(count),
                    recipients=count,
                    together=row.together,
                )
                result = row.client.run(job)
                note(row, f"first {count}", result.first)
                note(row, f"further {count}", result.further / job.further)
    return found


def show(table: list[Row], found: Found) -> None:
    print("round trips to accepted, by the number of recipients\n")
    kinds = ("first", "further")
    print(f"{'':34}{'first message':>21}{'each further':>24}{'cold, TLS':>13}")
    counts = "".join(f"{count:7}" for count in RECIPIENTS)
    print(f"{'client':34}{counts}   {counts}{'and XOAUTH2':>13}")
    for row in table:
        cells = [
            "".join(
                f"{median(found[row.name, f'{kind} {count}']):7.2f}"
                for count in RECIPIENTS
            )
            for kind in kinds
        ]
        cold = median(found[row.name, "cold"])
        print(f"{row.name:34}{'   '.join(cells)}{cold:13.2f}")
    print()


def judge(table: list[Row], found: Found) -> None:
    data, bdat = table[-2:]

    def worst(row: Row) -> float:
        return max(median(found[row.name, f"further {count}"]) for count in RECIPIENTS)

    reached = worst(data)
    goal("each further message, DATA; goal: at most 1.05", reached, reached <= 1.05)
    reached = worst(bdat)
    goal("each further message, BDAT; goal: at most 0.3", reached, reached <= 0.3)
    reached = median(found[bdat.name, "cold"])
    goal("cold to accepted, in whole round trips; goal: 6", reached, reached < 7)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-trip", type=float, default=50, help="milliseconds")
    parser.add_argument("--node-modules", type=Path, metavar="FOLDER")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    table = rows(asked.node_modules)
    found = measure(table, max(1, asked.rounds), asked.round_trip / 1000)
    show(table, found)
    judge(table, found)


if __name__ == "__main__":
    main()
