"""
Strings to accepted: rendering and submitting, against smtplib and Nodemailer.

Every client builds each message anew and hands it over on loopback: messages a second,
and the client's CPU time a message. All but one talk to Postfix's smtp-sink, which has
no CHUNKING; ours is measured with BDAT (a window of 4) against a small sink of
our own. Each run is a fresh process that sends some messages before those that count,
so no start-up and no connecting is in the numbers. Rounds are interleaved in shuffled
order, since machines are shared; the table gives medians, and medians of the ratios
within a round.

Needs smtp-sink (Debian: package postfix); Nodemailer joins in where node and npm are
there: it is installed into the user's cache, or where --node-modules says.

    python benchmarks/submit.py --rounds 9
    python benchmarks/submit.py --size 100 --messages 200
    python benchmarks/submit.py --profile
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from statistics import median

from attrs import evolve

from nodemailer import nodemailer
from sinks import Sink, postfix_sink
from work import Client, Job, Result, goal, ratio, script

SIZES = {2: "2 KB ASCII, text and HTML", 100: "100 KB attachment"}
WARM_UP = 100

SMTPLIB = Client("smtplib and EmailMessage, one connection", script("peer_smtplib.py"))
DATA = Client("email profiles, DATA, one connection", script("ours.py"))
BDAT = Client("email profiles, BDAT, one connection", script("ours.py"))
POOL_OF_FIVE = "Nodemailer, pool of five"

Results = dict[Client, list[Result]]


def measure(jobs: dict[Client, Job], rounds: int) -> Results:
    found: Results = {client: [] for client in jobs}
    order = list(jobs)
    for _ in range(rounds):
        random.shuffle(order)
        for client in order:
            found[client].append(client.run(jobs[client]))
    return found


def show(found: Results, messages: int) -> None:
    print(f"{'':42}{'':12}{'us of CPU':>12}{'times smtplib':>22}")
    columns = f"{'messages/s':>12}{'a message':>12}{'rate':>12}{'CPU saved':>10}"
    print(f"{'client':42}{columns}")
    for client, results in found.items():
        rate = median(messages / one.further for one in results)
        cpu = median(one.cpu / messages for one in results) * 1e6
        print(
            f"{client.name:42}{rate:12.0f}{cpu:12.1f}"
            f"{faster(found, client, SMTPLIB):11.2f}x{cheaper(found, client):9.2f}x"
        )
    print()


def faster(found: Results, client: Client, peer: Client) -> float:
    """How many times the messages a second of *peer*."""
    return ratio(
        [one.further for one in found[peer]], [one.further for one in found[client]]
    )


def cheaper(found: Results, client: Client) -> float:
    """How many times smtplib's CPU a message is this client's."""
    return ratio(
        [one.cpu for one in found[SMTPLIB]], [one.cpu for one in found[client]]
    )


def judge(found: Results, peers: list[Client]) -> None:
    """The goals are for 2 KB, over smtp-sink."""
    gain = faster(found, DATA, SMTPLIB)
    goal("messages a second, times smtplib's; goal: at least 8", gain, gain >= 8)
    saved = cheaper(found, DATA)
    goal("smtplib's CPU a message, times ours; goal: at least 12", saved, saved >= 12)
    for peer in peers:
        gain = faster(found, DATA, peer)
        goal("messages a second, times Nodemailer's; goal: at least 4", gain, gain >= 4)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=2000, help="in each run")
    parser.add_argument("--size", type=int, choices=SIZES, default=2, help="in KB")
    parser.add_argument("--node-modules", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--profile", action="store_true", help="run ours alone, under cProfile"
    )
    asked = parser.parse_args()
    asked.rounds, asked.messages = max(1, asked.rounds), max(1, asked.messages)
    return asked


def main() -> None:
    asked = arguments()
    case, messages = SIZES[asked.size], asked.messages
    with postfix_sink() as postfix, Sink("PIPELINING", "8BITMIME", "CHUNKING") as own:
        data = Job(port=postfix, case=case, first=WARM_UP, further=messages)
        bdat = Job(port=own.port, case=case, first=WARM_UP, further=messages)
        if asked.profile:
            for client, job in ((DATA, data), (BDAT, bdat)):
                print(client.name, flush=True)
                client.run(evolve(job, profiled=True))
            return
        peers = nodemailer(asked.node_modules, POOL_OF_FIVE)
        five = Job(
            port=postfix, case=case, first=WARM_UP, further=messages, connections=5
        )
        jobs = {SMTPLIB: data, **dict.fromkeys(peers, five), DATA: data, BDAT: bdat}
        found = measure(jobs, asked.rounds)
        if own.messages != asked.rounds * (WARM_UP + messages):
            raise SystemExit(f"our own sink has only {own.messages} messages")
    print(f"{case}; {messages} messages a run, {asked.rounds} rounds\n")
    show(found, messages)
    if asked.size == 2:
        judge(found, peers)


if __name__ == "__main__":
    main()
