"""The rules of alarm notification as tables of cases: who, when, how often, or not."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import email_profiles_schemas
from email_profiles_plugin.consumers.alarms.events import (
    PRIORITIES,
    TRANSITIONS,
    AlarmEvent,
)
from email_profiles_plugin.consumers.alarms.notification import (
    Notification,
    Person,
    from_document,
    matches,
)
from email_profiles_plugin.consumers.alarms.planning import (
    NO_CONTACT,
    NO_MAILBOX,
    OFF_SCHEDULE,
    SAME_ADDRESS,
    audience,
    due_at,
    plan,
    reason_to_filter,
)
from email_profiles_plugin.consumers.alarms.schedules import on_duty
from email_profiles_plugin.documents import with_defaults

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""A Tuesday."""

Cases = pytest.mark.parametrize


def event(id: str = "4711", **changes: Any) -> AlarmEvent:
    given = {
        "id": id,
        "source": "plant/boiler/1",
        "name": "High",
        "active": True,
        "transition": "active",
        "priority": "High",
        "event_time": NOON,
        **changes,
    }
    return AlarmEvent(**given)


def notification(**changes: Any) -> Notification:
    document = {
        "name": "night-shift",
        "profile": "plant-alerts",
        "from_address": "gateway@plant.example",
        **changes,
    }
    schema = email_profiles_schemas.load("alarm_notification")
    return from_document(with_defaults(document, schema), id="1", revision=1)


def hours(*ranges: dict[str, Any], zone: str = "UTC", **more: Any) -> Any:
    """The schedule of those hours."""
    schedule = {"name": "s", "time_zone": zone, "hours": list(ranges), **more}
    return notification(schedules=[schedule]).schedules["s"]


WORK = {
    "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "from": "08:00",
    "to": "16:30",
}
NIGHT = {"from": "22:00", "to": "06:00"}
FRIDAY_NIGHT = {"days": ["friday"], "from": "22:00", "to": "06:00"}
ALL_DAY = {"days": ["saturday", "sunday"], "from": "00:00", "to": "24:00"}
ROUND_THE_CLOCK = {"days": ["monday"], "from": "07:00", "to": "07:00"}
NEW_YEAR = {"holidays": ["2027-01-01"]}


@Cases(
    ("schedule", "moment", "expected"),
    [
        # a working day: its start is in it, its end is not
        (hours(WORK), "2026-11-24T07:59:59+00:00", False),
        (hours(WORK), "2026-11-24T08:00:00+00:00", True),
        (hours(WORK), "2026-11-24T16:29:59+00:00", True),
        (hours(WORK), "2026-11-24T16:30:00+00:00", False),
        (hours(WORK), "2026-11-28T12:00:00+00:00", False),  # a Saturday
        (hours(WORK), "2026-11-30T08:00:00+00:00", True),  # Monday is Monday
        # overnight
        (hours(NIGHT), "2026-11-24T21:59:00+00:00", False),
        (hours(NIGHT), "2026-11-24T22:00:00+00:00", True),
        (hours(NIGHT), "2026-11-25T00:00:00+00:00", True),
        (hours(NIGHT), "2026-11-25T05:59:59+00:00", True),
        (hours(NIGHT), "2026-11-25T06:00:00+00:00", False),
        # a night belongs to the day on which it begins
        (hours(FRIDAY_NIGHT), "2026-11-27T05:00:00+00:00", False),
        (hours(FRIDAY_NIGHT), "2026-11-27T23:00:00+00:00", True),
        (hours(FRIDAY_NIGHT), "2026-11-28T05:00:00+00:00", True),
        (hours(FRIDAY_NIGHT), "2026-11-28T23:00:00+00:00", False),
        # whole days, and one that begins at seven
        (hours(ALL_DAY), "2026-11-27T23:59:59+00:00", False),
        (hours(ALL_DAY), "2026-11-28T00:00:00+00:00", True),
        (hours(ALL_DAY), "2026-11-29T23:59:59+00:00", True),
        (hours(ALL_DAY), "2026-11-30T00:00:00+00:00", False),
        (hours(ROUND_THE_CLOCK), "2026-11-23T07:00:00+00:00", True),
        (hours(ROUND_THE_CLOCK), "2026-11-24T06:59:00+00:00", True),
        (hours(ROUND_THE_CLOCK), "2026-11-24T07:00:00+00:00", False),
        # several ranges
        (hours(WORK, NIGHT), "2026-11-24T18:00:00+00:00", False),
        (hours(WORK, NIGHT), "2026-11-24T12:00:00+00:00", True),
        (hours(WORK, NIGHT), "2026-11-24T23:00:00+00:00", True),
        # by the clock on the wall of the place, wherever the moment is written
        (hours(WORK, zone="America/New_York"), "2026-11-24T12:30:00+00:00", False),
        (hours(WORK, zone="America/New_York"), "2026-11-24T13:30:00+00:00", True),
        (hours(WORK, zone="Asia/Kolkata"), "2026-11-24T02:30:00+00:00", True),
        (hours(WORK, zone="Asia/Kolkata"), "2026-11-24T02:29:00+00:00", False),
        (hours(WORK, zone="Pacific/Auckland"), "2026-11-22T20:00:00+00:00", True),
        (hours(WORK, zone="Europe/Berlin"), "2026-11-24T03:00:00-04:00", True),
        # summer time: 8 in Berlin is 6 in UTC, in winter 7
        (hours(WORK, zone="Europe/Berlin"), "2026-07-21T06:00:00+00:00", True),
        (hours(WORK, zone="Europe/Berlin"), "2026-11-24T06:00:00+00:00", False),
        # the night in which clocks go forward at 2: it ends at 6 all the same
        (hours(NIGHT, zone="Europe/Berlin"), "2026-03-29T00:59:00+00:00", True),
        (hours(NIGHT, zone="Europe/Berlin"), "2026-03-29T01:00:00+00:00", True),
        (hours(NIGHT, zone="Europe/Berlin"), "2026-03-29T03:59:00+00:00", True),
        (hours(NIGHT, zone="Europe/Berlin"), "2026-03-29T04:00:00+00:00", False),
        # the night in which they go back at 3: both hours from 2 to 3 are in it
        (hours(NIGHT, zone="Europe/Berlin"), "2026-10-25T00:30:00+00:00", True),
        (hours(NIGHT, zone="Europe/Berlin"), "2026-10-25T01:30:00+00:00", True),
        (hours(NIGHT, zone="Europe/Berlin"), "2026-10-25T04:59:00+00:00", True),
        (hours(NIGHT, zone="Europe/Berlin"), "2026-10-25T05:00:00+00:00", False),
        # holidays: what begins on one is not worked, what began before is
        (hours(NIGHT, **NEW_YEAR), "2026-12-31T23:00:00+00:00", True),
        (hours(NIGHT, **NEW_YEAR), "2027-01-01T05:00:00+00:00", True),
        (hours(NIGHT, **NEW_YEAR), "2027-01-01T23:00:00+00:00", False),
        (hours(NIGHT, **NEW_YEAR), "2027-01-02T05:00:00+00:00", False),
        (hours(NIGHT, **NEW_YEAR), "2027-01-02T23:00:00+00:00", True),
    ],
)
def test_schedule(schedule: Any, moment: str, expected: bool) -> None:
    """Who is on call, by weekdays, nights, time zones, clock changes and holidays."""
    assert expected == on_duty(schedule, datetime.fromisoformat(moment))


@given(st.datetimes(timezones=st.timezones()))
def test_round_the_clock_has_no_gap(moment: datetime) -> None:
    """Whoever is always on call is so in any zone at any time, clock changes too."""
    always = hours({"from": "00:00", "to": "24:00"}, zone="Europe/Berlin")
    split = hours(
        {"from": "06:00", "to": "22:00"},
        {"from": "22:00", "to": "06:00"},
        zone="Australia/Lord_Howe",
    )

    assert (True, True) == (on_duty(always, moment), on_duty(split, moment))


A, B, CHIEF = "a@x.example", "b@x.example", "chief@x.example"
DAY = {"name": "day", "hours": [{"from": "08:00", "to": "20:00"}]}
LATE = {"name": "late", "hours": [{"from": "20:00", "to": "08:00"}]}
ANNA = {"name": "Anna", "addresses": ["anna@plant.example"], "schedule": "day"}
BERT = {"name": "Bert", "addresses": ["bert@plant.example"], "schedule": "late"}
CLEO = {"name": "Cleo", "addresses": ["cleo@plant.example", "cleo@home.example"]}
DORA = {"name": "Dora"}
ECHO = {"name": "Echo", "addresses": ["Anna A. <anna@PLANT.example>"]}


@Cases(
    ("document", "told", "left_out"),
    [
        ({}, {}, {}),
        ({"recipients": [A, B]}, {A: 0, B: 0}, {}),
        (
            {"roster": [ANNA, BERT, CLEO]},
            {"Anna": 0, "Cleo": 0},
            {"Bert": OFF_SCHEDULE},
        ),
        (
            {"roster": [BERT, CLEO, ANNA], "delay_between_messages_s": 60},
            {"Cleo": 0, "Anna": 60},
            {"Bert": OFF_SCHEDULE},
        ),
        (
            {"recipients": [A], "roster": [ANNA, CLEO], "delay_between_messages_s": 60},
            {A: 0, "Anna": 0, "Cleo": 60},
            {},
        ),
        ({"roster": [DORA, CLEO]}, {"Cleo": 0}, {"Dora": NO_CONTACT}),
        (
            {"roster": [BERT, DORA], "fallback": [CHIEF]},
            {CHIEF: 0},
            {"Bert": OFF_SCHEDULE, "Dora": NO_CONTACT},
        ),
        ({"roster": [ANNA], "fallback": [CHIEF]}, {"Anna": 0}, {}),
        (
            {"roster": [ANNA, ECHO]},
            {"Anna": 0},
            {"Echo": SAME_ADDRESS},
        ),
        (
            {"recipients": ["anna@plant.example"], "roster": [ANNA]},
            {"anna@plant.example": 0},
            {"Anna": SAME_ADDRESS},
        ),
        (
            {"recipients": [A, "A <a@X.example>", B], "roster": [DORA, DORA]},
            {A: 0, B: 0},
            {"A <a@X.example>": SAME_ADDRESS, "Dora": NO_CONTACT},
        ),
        (
            {"fallback": [A, "A <a@X.example>"]},
            {A: 0},
            {"A <a@X.example>": SAME_ADDRESS},
        ),
    ],
)
def test_roster(
    document: dict[str, Any], told: dict[str, int], left_out: dict[str, str]
) -> None:
    """Who is told of an alarm at noon, in which order, how much later; who is not."""
    found = audience(notification(schedules=[DAY, LATE], **document), NOON)

    assert told == {turn.who: turn.wait_s for turn in found.turns}
    assert left_out == dict(found.left_out)


def test_people_of_one_name_are_one_recipient() -> None:
    """No address of theirs is lost, none is told twice, nor is anybody left out."""
    roster = [
        Person(name="Kim", schedule="late", addresses=("kim.c@plant.example",)),
        Person(name="Kim", addresses=("kim.a@plant.example", "no address", A)),
        Person(name="Kim", addresses=("kim.b@plant.example", "kim.a@PLANT.example")),
        Person(name="Bob", addresses=("bob at plant",)),
        Person(name="Lee", addresses=("lee@plant.example",)),
    ]
    document = notification(
        recipients=[A], schedules=[LATE], delay_between_messages_s=60
    )
    found = audience(document, NOON, roster)

    assert [
        (A, (A,), 0),
        ("Kim", ("kim.a@plant.example", "kim.b@plant.example"), 0),
        ("Lee", ("lee@plant.example",), 60),
    ] == [(one.who, one.addresses, one.wait_s) for one in found.turns]
    assert (("Bob", NO_MAILBOX),) == found.left_out


@Cases("name", ["", None])
def test_a_person_has_a_name(name: Any) -> None:
    """An empty one would stand for everybody in the trail."""
    with pytest.raises((TypeError, ValueError), match="name"):
        Person(name=name)


def test_a_calculated_roster_replaces_the_document_s() -> None:
    """A host may say who is on call; schedules hold for those who name one."""
    roster = [
        Person(name="Zoe", addresses=("zoe@plant.example",)),
        Person(name="Yan", addresses=("yan@plant.example",), schedule="late"),
        Person(name="Xia", addresses=("xia@plant.example",), schedule="other"),
    ]
    found = audience(notification(schedules=[LATE], roster=[CLEO]), NOON, roster)

    assert ["Zoe"] == [turn.who for turn in found.turns]
    assert {
        "Yan": OFF_SCHEDULE,
        "Xia": "there is no schedule of that name",
    } == dict(found.left_out)


BY_TRANSITION = "filtered out: transition clear"
BY_SOURCE = "filtered out: source path"
BOILERS = {"sources": ["plant/boiler/*"]}


@Cases(
    ("document", "changes", "reason"),
    [
        ({}, {}, ""),
        ({"enabled": False}, {}, "the alarm notification is disabled"),
        (
            {},
            {"transition": "clear", "active": False},
            BY_TRANSITION,
        ),
        ({"filter": {"transitions": ["clear"]}}, {"transition": "clear"}, ""),
        ({"filter": {"priorities": ["Critical"]}}, {}, "filtered out: priority High"),
        ({"filter": {"priorities": ["Critical"]}}, {"priority": "Critical"}, ""),
        ({"filter": BOILERS}, {}, ""),
        ({"filter": BOILERS}, {"source": "plant/boiler/1/inlet"}, ""),
        ({"filter": BOILERS}, {"source": "Plant/Boiler/1"}, BY_SOURCE),
        ({"filter": BOILERS}, {"source": "plant/pump/1"}, BY_SOURCE),
        ({"filter": BOILERS}, {"source": ""}, BY_SOURCE),
        ({}, {"source": ""}, ""),
        ({"filter": {"excluded_sources": ["*/1"]}}, {}, BY_SOURCE),
        ({"filter": {"excluded_sources": ["*/?2"]}}, {}, ""),
        ({}, {"shelved": True}, "the alarm is shelved"),
        ({}, {"suppressed": True}, "the alarm is suppressed by design"),
        ({}, {"out_of_service": True, "shelved": True}, "the alarm is out of service"),
        (
            {"filter": {"transitions": ["shelve"]}},
            {"transition": "shelve", "shelved": True},
            "",
        ),
    ],
)
def test_filter(document: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    """Which events people are told of, and why not of the others."""
    assert reason == reason_to_filter(notification(**document), event(**changes))


@Cases(
    ("delay", "frequency", "last", "due"),
    [
        (0, 0, None, 0),
        (30, 0, None, 30),
        (0, 60, None, 0),
        (0, 60, -10, 50),  # the last message was ten seconds ago
        (0, 60, -60, 0),
        (0, 60, -3600, 0),
        (30, 60, None, 30),
        (30, 60, -10, 50),
        (30, 60, -40, 30),
        (30, 60, 500, 30),  # by a clock that was set back since
    ],
)
def test_consolidation(
    delay: int, frequency: int, last: float | None, due: float
) -> None:
    """When what comes in now is told, in seconds from now."""
    gathers = notification(consolidation={"delay_s": delay, "frequency_s": frequency})
    now = NOON.timestamp()
    mailed = None if last is None else now + last

    assert now + due == due_at(gathers, now, mailed)


@Cases(
    ("document", "expected"),
    [
        ({}, [("1", 0, True), ("2", 0, True)]),
        ({"consolidation": {"delay_s": 9}}, [("1", 9, False), ("2", 9, False)]),
        (
            {
                "consolidation": {"delay_s": 9},
                "overrides": [{"priorities": ["Critical"], "consolidate": False}],
            },
            [("1", 9, False), ("2", 0, True)],
        ),
        (
            {
                "consolidation": {"delay_s": 9},
                "overrides": [
                    {"names": ["High"], "sources": ["*/1"]},
                    {"consolidate": False},
                ],
            },
            [("1", 9, False), ("2", 0, True)],
        ),
    ],
)
def test_overrides_of_consolidation(
    document: dict[str, Any], expected: list[tuple[str, float, bool]]
) -> None:
    """The first override that fits decides whether an event waits for others."""
    some = notification(recipients=[A], **document)
    events = [event("1"), event("2", source="plant/boiler/2", priority="Critical")]
    made = planned(some, events)

    assert expected == [
        (one.event.id, one.due_at - NOON.timestamp(), one.alone) for one in made.notices
    ]


def planned(
    some: Notification,
    events: list[AlarmEvent],
    told: Counter[tuple[str, str]] | None = None,
) -> Any:
    return plan(
        some,
        events,
        audience(some, NOON),
        now=NOON.timestamp(),
        mailed_at={},
        told=Counter() if told is None else told,
    )


@Cases(
    ("most", "before", "ids", "told"),
    [
        (1, 0, "1 2 3", "1"),
        (2, 0, "1 2 3", "1 2"),
        (2, 1, "1 2 3", "1"),
        (2, 2, "1 2 3", ""),
        (2, 5, "1", ""),
        (5, 0, "1 2 3", "1 2 3"),
    ],
)
def test_throttle(most: int, before: int, ids: str, told: str) -> None:
    """One alarm is told of so often; the rest is left out, and says so."""
    throttled = notification(recipients=[A], throttle={"most": most})
    events = [event(id) for id in ids.split()]
    made = planned(throttled, events, Counter({(events[0].alarm_key, A): before}))

    assert told.split() == [one.event.id for one in made.notices]
    assert {"throttled"} >= {one.reason for one in made.left_out}
    assert len(events) == len(made.notices) + len(made.left_out)


def test_the_throttle_is_by_alarm_and_by_recipient() -> None:
    """Another alarm, or another recipient, has a count of its own."""
    throttled = notification(recipients=[A, B], throttle={"most": 1})
    events = [event("1"), event("2", name="Low")]
    made = planned(throttled, events, Counter({(events[0].alarm_key, A): 1}))

    assert [("1", B), ("2", A), ("2", B)] == [
        (one.event.id, one.who) for one in made.notices
    ]


PEOPLE = [ANNA, BERT, CLEO, DORA, ECHO]
EVENTS = st.builds(
    event,
    id=st.uuids().map(str),
    source=st.sampled_from(["plant/boiler/1", "plant/pump/1", ""]),
    transition=st.sampled_from(TRANSITIONS),
    priority=st.sampled_from(PRIORITIES),
    active=st.booleans(),
    acked=st.booleans(),
    shelved=st.booleans(),
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "recipients": st.sampled_from([[], [A], [A, B]]),
        "roster": st.lists(
            st.sampled_from([ANNA, BERT, CLEO, DORA, ECHO]), unique_by=str
        ),
        "fallback": st.sampled_from([[], [CHIEF]]),
        "throttle": st.sampled_from([None, {"most": 1}, {"most": 2}]),
        "consolidation": st.sampled_from([None, {"delay_s": 5, "frequency_s": 30}]),
        "filter": st.sampled_from([{}, BOILERS, {"transitions": list(TRANSITIONS)}]),
    },
)


@given(DOCUMENTS, st.lists(EVENTS, max_size=8, unique_by=lambda one: one.id))
def test_silence_is_impossible(
    document: dict[str, Any], events: list[AlarmEvent]
) -> None:
    """Every event comes to a notice or a reason for each who is concerned."""
    some = notification(schedules=[DAY, LATE], **document)
    people = audience(some, NOON)
    made = planned(some, events)
    concerned = {turn.who for turn in people.turns} | {
        who for who, _ in people.left_out
    }

    for one in events:
        told = [notice.who for notice in made.notices if notice.event is one]
        not_told = [left.who for left in made.left_out if left.event is one]
        assert len({*told, *not_told}) == len(told) + len(not_told) > 0
        assert all(left.reason for left in made.left_out)
        assert "" in not_told or concerned == {*told, *not_told}


@Cases(
    ("changes", "state"),
    [
        ({"active": True, "acked": False}, "UNACK"),
        ({"active": True, "acked": True}, "ACKED"),
        ({"active": False, "acked": False}, "RTNUN"),
        ({"active": False, "acked": True}, "NORM"),
        ({"active": False, "acked": False, "latched": True}, "UNACK"),
        ({"active": False, "acked": True, "latched": True}, "ACKED"),
        ({"active": True, "shelved": True}, "SHLVD"),
        ({"active": True, "shelved": True, "suppressed": True}, "DSUPR"),
        ({"active": True, "suppressed": True, "out_of_service": True}, "OOSRV"),
    ],
)
def test_isa_state(changes: dict[str, Any], state: str) -> None:
    """The state of ISA-18.2 follows from two booleans and the modifiers."""
    assert state == event(**changes).isa_state


@Cases(
    ("changes", "error", "said"),
    [
        ({"id": ""}, ValueError, "id is empty"),
        ({"event_time": datetime(2026, 1, 1)}, ValueError, "needs a time zone"),
        ({"event_time": "now"}, TypeError, "has to be a datetime"),
        ({"active": 1}, TypeError, "has to be True or False"),
        ({"priority": "high"}, ValueError, "one of Diagnostic, Low"),
        ({"transition": "Active"}, ValueError, "one of active, clear"),
        ({"severity": 1001}, ValueError, "1 to 1000"),
        ({"name": None}, TypeError, "has to be text, not NoneType"),
        ({"data": [1]}, TypeError, "data has to be an object, not list"),
        ({"notes": "x" * 70_000}, ValueError, "more than 65536 octets"),
    ],
)
def test_a_wrong_event_says_what_is_wrong(
    changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    """An event that nobody could be told of is refused at once."""
    with pytest.raises(error, match=said):
        _ = event(**changes).text


def test_what_a_host_leaves_empty() -> None:
    """No data is an empty object; a time that no clock shows is kept within reach."""
    assert {} == event(data=None).data
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"):
        moment = datetime.fromisoformat(text)
        seconds = event(event_time=moment).event_time.timestamp()
        assert moment.year == datetime.fromtimestamp(seconds, UTC).year


@Cases(
    ("source", "pattern", "expected"),
    [
        ("[default]Tank/1", "[default]Tank/*", True),
        ("dTank/1", "[default]Tank/*", False),
        ("[default]Tank/12", "[*]Tank/1?", True),
        ("a]b", "a]b", True),
    ],
)
def test_source_patterns(source: str, pattern: str, expected: bool) -> None:
    """A star and a question mark are special; a bracket, as in tag paths, is not."""
    assert expected == matches(source, [pattern])


def test_an_event_s_key() -> None:
    """It is the same for the same id, transition and time, however that is written."""
    later = NOON + timedelta(microseconds=1)
    elsewhere = NOON.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:30").tzinfo)
    keys = [
        event(event_time=elsewhere, notes="other").key,
        event(event_time=later).key,
        event("4712").key,
        event(transition="clear").key,
    ]

    assert [True, False, False, False] == [key == event().key for key in keys]


@given(
    st.builds(
        event,
        name=st.text(),
        event_value=st.none() | st.integers() | st.floats() | st.text(),
        data=st.dictionaries(st.text(), st.text() | st.floats() | st.lists(st.text())),
    )
)
def test_an_event_survives_the_store(one: AlarmEvent) -> None:
    """From its JSON it is the same again; half a character becomes a question mark."""
    again = AlarmEvent.from_document(json.loads(one.text))

    assert again.text == one.text
    assert (one.key, one.rank, one.event_time) == (
        again.key,
        again.rank,
        again.event_time,
    )
