"""A small storm of alarms: nobody is missing, and mails are as the document says."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from alarm_bench import START, Bench, SetClock, event

from email_profiles_plugin import EmailProfiles

PEOPLE = [f"operator{n}@plant.example" for n in range(20)]
DOCUMENT = {
    "recipients": PEOPLE,
    "consolidation": {"delay_s": 10, "frequency_s": 30},
    "consolidated_most": 20,
}


@pytest.fixture
def bench(open_profiles: Callable[..., EmailProfiles]) -> Bench:
    clock = SetClock()
    return Bench(open_profiles(deliver=False, clock=clock), clock)


def storm(bench: Bench, count: int) -> None:
    """So many events in a minute, ten at a time; each time, what is due is made."""
    for first in range(0, count, 10):
        bench.clock.seconds = 60 * first / count
        bench.notify(
            *(
                event(str(n), event_time=START + timedelta(seconds=60 * n / count))
                for n in range(first, first + 10)
            )
        )
        bench.alarms.due()
    bench.due(120)


def test_a_storm(bench: Bench) -> None:
    """300 events for 20 recipients: three mails each, which tell of all of them."""
    bench.apply(**DOCUMENT)
    storm(bench, 300)
    mails = Counter[str]()
    told = Counter[str]()
    for mail in bench.mails():
        mails[mail["to"][0]] += 1
        told[mail["to"][0]] += int(mail["subject"].partition(" ")[0])
    trail = bench.alarms.trail("night-shift", limit=10_000)

    assert dict.fromkeys(PEOPLE, 3) == mails
    assert dict.fromkeys(PEOPLE, 300) == told
    assert {"queued": 6000} == Counter(one.state for one in trail)
    assert 6000 == len({(one.alarm_id, one.who) for one in trail})


def test_memory_is_bounded(bench: Bench) -> None:
    """What making the mails takes does not grow with what they tell of."""
    bench.apply(**{**DOCUMENT, "recipients": PEOPLE[:2]})
    peaks = []
    for count, until in ((100, 100), (1000, 200)):
        bench.notify(*(event(str(until * 10_000 + n)) for n in range(count)))
        tracemalloc.start()
        bench.due(until)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert 4 == len(bench.mails())
    assert peaks[1] < 2 * peaks[0]
