"""Many alarms, small and in any order: nobody is missing, and nobody is told twice."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from alarm_bench import ANNA, START, Bench, SetClock, event
from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import (
    AlarmEvent,
    AlarmNotifier,
    NoticeEntry,
)

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


STEP = st.tuples(
    st.sampled_from(["active"] * 4 + ["clear", "ack", "wait", "due", "restart"]),
    st.integers(0, 2),
)
EVENT = "<{id} {eventTime|HH:mm:ss.SSS}>"
HOW = st.fixed_dictionaries(
    {
        "consolidation": st.sampled_from(
            [None, {}, {"delay_s": 10}, {"delay_s": 10, "frequency_s": 30}]
        ),
        "delay_between_messages_s": st.sampled_from([0, 20]),
        "throttle": st.sampled_from([None, {"most": 2, "per_s": 60}]),
        "dropouts": st.sampled_from([[], ["clear"], ["clear", "ack"]]),
    }
)


def test_everybody_is_told_once_or_left_out_for_a_reason(bench: Bench) -> None:
    """Whatever happens in which order, and whoever sees to it."""
    names = itertools.count()

    @settings(max_examples=20, deadline=None)
    @given(HOW, st.lists(STEP, min_size=5, max_size=30))
    def happens(how: dict[str, Any], steps: list[tuple[str, int]]) -> None:
        name, ids = f"n{next(names)}", itertools.count()
        roster = [{"name": who, "addresses": [f"{who}@x.example"]} for who in "abc"]
        words = {"message": EVENT, "consolidated_line": EVENT}
        bench.apply(**how, **words, name=name, roster=roster)
        told = []
        for what, number in [*steps, ("wait", 20), ("due", 0)]:
            moment = bench.clock.now() + timedelta(milliseconds=next(ids))
            if what == "wait":
                bench.clock.seconds += 10 * number
            elif what == "due":
                bench.alarms.due()
            elif what == "restart":
                bench.alarms = AlarmNotifier(profiles=bench.profiles)
            else:
                one = event(
                    str(number),
                    id=f"{name}/{number}",
                    source=f"{name}/{number}",
                    transition=what,
                    active=what == "active",
                    event_time=moment,
                )
                told += [one] if what == "active" else []
                bench.alarms.notify([one], name)
        check(bench, name, told)

    happens()


def check(bench: Bench, name: str, told: list[AlarmEvent]) -> None:
    """Each event, for each recipient, is in one mail, or has one reason."""
    mails = Counter(
        (mail["to"][0].partition("@")[0], found)
        for mail in bench.mails()
        for found in re.findall(r"<.*?>", mail["text"])
    )
    trail = [
        one
        for one in bench.alarms.trail(name, limit=1000)
        if one.transition == "active"
    ]
    queued = {(one.who, written(one)) for one in trail if one.state == "queued"}
    left_out = {(one.who, written(one)) for one in trail if one.state == "left out"}
    people, events = [*"abc", ANNA], map(written, told)

    assert {*queued, *left_out} == {*itertools.product(people, events)}
    assert len(trail) == len(queued) + len(left_out)
    assert dict.fromkeys(((who.partition("@")[0], n) for who, n in queued), 1) == mails


def written(one: AlarmEvent | NoticeEntry) -> str:
    """As EVENT has it."""
    id = one.id if isinstance(one, AlarmEvent) else one.alarm_id
    return f"<{id} {one.event_time:%H:%M:%S.%f}"[:-3] + ">"
