"""Sending: many rows down one connection, and who may come between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import define

from email_profiles_hookspecs import SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemChance
from email_profiles_plugin.outbox.delivery import Delivery, Pace
from email_profiles_plugin.outbox.record import Record
from email_profiles_plugin.store.database import Database

Open = Callable[..., EmailProfiles]
Document = Callable[..., dict[str, Any]]
ONE_THREAD = Pace(threads=1, look_s=0.05, turn_s=60)


@define
class Soon(SystemChance):
    """No jitter: what is tried again is tried at once."""

    def fraction(self) -> float:
        return 0


def request(**changes: Any) -> SendRequest:
    given = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        "text": "Level is 92 %.",
        **changes,
    }
    return SendRequest(**given)


def queue(profiles: EmailProfiles, count: int, **changes: Any) -> list[str]:
    return [
        profiles.send(request(subject=f"{number}", **changes)).id
        for number in range(count)
    ]


def states(profiles: EmailProfiles, ids: Sequence[str]) -> list[str]:
    outcomes = [profiles.outcome(id, wait=20) for id in ids]
    return [one.state if one else "waits" for one in outcomes]


def subjects(server: Any) -> list[str]:
    return [one.message["Subject"] for one in server.messages]


@pytest.fixture(params=[False, True], ids=["DATA", "BDAT"])
def server(smtp_server: Any, request: pytest.FixtureRequest) -> Any:
    smtp_server.chunking = request.param
    return smtp_server


@pytest.fixture
def plant(
    open_profiles: Open, server: Any, profile_document: Document
) -> EmailProfiles:
    """Delivers nothing yet, then by one thread over one connection."""
    profiles = open_profiles(deliver=False, pace=ONE_THREAD, chance=Soon())
    document = profile_document(server, limits={"max_connections": 1})
    profiles.profiles.apply(document, actor="test")
    return profiles


def test_a_queue_goes_down_one_connection(plant: EmailProfiles, server: Any) -> None:
    """In order; each with an attempt, a session and an outcome of its own."""
    ids = queue(plant, 12)
    plant.start()

    assert ["accepted"] * 12 == states(plant, ids)
    assert [str(number) for number in range(12)] == subjects(server)
    assert 1 == server.sessions
    for id, arrived in zip(ids, server.messages, strict=True):
        (attempt,) = plant.outbox.show(id).history
        assert arrived.queue_id == plant.outbox.show(id).queue_id
        assert "accepted" == attempt.verdict
        assert 1 == attempt.transcript.count("C: MAIL FROM")


def test_a_flush_is_one_transaction_and_a_claim(
    plant: EmailProfiles, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a message costs on disk: booked, handed over and claimed together."""
    ids = queue(plant, 40)
    writes: list[object] = []
    write = Database.write

    def counting(self: Database, do: Callable[..., Any]) -> Any:
        writes.append(do)
        return write(self, do)

    monkeypatch.setattr(Database, "write", counting)
    plant.start()

    assert ["accepted"] * 40 == states(plant, ids)
    assert len(writes) <= 40 + 20


def test_an_alarm_overtakes_a_flight(plant: EmailProfiles, server: Any) -> None:
    """It waits for what is on its way, and for nothing else."""
    ids = queue(plant, 12, lane="bulk")
    server.hold.close()
    plant.start()
    server.wait_for(1)
    ids += [plant.send(request(subject="alarm", lane="alarm")).id]
    server.hold.open()

    assert ["accepted"] * 13 == states(plant, ids)
    assert "alarm" in subjects(server)[:3]


def test_another_profiles_alarm_ends_a_flight(
    plant: EmailProfiles, server: Any, profile_document: Document
) -> None:
    """One thread, two profiles: the urgent one is not kept waiting."""
    other = profile_document(server, "other", limits={"max_connections": 1})
    plant.profiles.apply(other, actor="test")
    ids = queue(plant, 12)
    server.hold.close()
    plant.start()
    server.wait_for(1)
    alarm = request(profile="other", subject="alarm", lane="alarm")
    ids += [plant.send(alarm).id]
    server.hold.open()

    assert ["accepted"] * 13 == states(plant, ids)
    assert "alarm" in subjects(server)[:3]


def test_a_profile_that_rests_ends_no_flight(
    plant: EmailProfiles, server: Any, profile_document: Document
) -> None:
    """Its alarms could not go now; others need not wait for them."""
    broken = profile_document(server, "broken")
    broken["auth"]["password"] = "mistyped"
    plant.profiles.apply(broken, actor="test")
    waiting = plant.send(request(profile="broken", lane="alarm")).id
    ids = queue(plant, 6)
    plant.start()

    assert ["accepted"] * 6 == states(plant, ids)
    assert plant.outcome(waiting) is None
    assert 2 == server.sessions


def test_what_is_the_profiles_fault_ends_a_flight(
    plant: EmailProfiles, server: Any
) -> None:
    """Nothing more is claimed; what was on its way has its result."""
    ids = queue(plant, 12)
    count = 0

    def tires(verb: str, reply: str) -> str:
        nonlocal count
        count += verb == "."
        return "550 5.7.30 no more basic authentication" if count > 3 else reply

    server.before_reply = lambda verb, reply: (
        tires(verb, reply) if verb in (".", "MAIL") else reply
    )
    plant.start()

    assert ["accepted"] * 3 == states(plant, ids[:3])
    plant.outbox.delivery.stop()
    left = [plant.outbox.show(id) for id in ids[4:]]
    assert {"queued"} == {one.state for one in left}
    assert {0} == {one.tries for one in left}
    assert "5.7.30" in plant.health("plant").reason


def test_each_message_of_a_flight_has_its_own_result(
    plant: EmailProfiles, server: Any
) -> None:
    """Refused senders and recipients among them cost the others nothing."""
    server.refuse_sender["bad@plant.example"] = "553 5.1.8 no such sender"
    server.refuse["nobody@plant.example"] = "550 5.1.1 no such user"
    both = ["operator@plant.example", "nobody@plant.example"]
    plans: list[dict[str, Any]] = [
        {},
        {"from_address": "bad@plant.example"},
        {"to": both},
        {"to": ["nobody@plant.example"]},
        {"text": ".\n..\n.QUIT"},
        {},
    ]
    ids = [plant.send(request(**plan)).id for plan in plans]
    plant.start()

    wanted = ["accepted", "refused", "partly accepted", "refused", "accepted"]
    assert [*wanted, "accepted"] == states(plant, ids)
    assert 4 == len(server.messages)


def test_only_what_was_under_way_is_in_doubt(plant: EmailProfiles, server: Any) -> None:
    """The connection breaks in a flight: at most a window of messages is unknown."""
    ids = queue(plant, 12)
    replies = 0

    def breaks(verb: str, reply: str) -> str | None:
        nonlocal replies
        replies += verb == "."
        return None if verb == "." and replies == 3 else reply

    server.before_reply = breaks
    plant.start()
    found = states(plant, ids)

    assert ["accepted", "accepted", "unknown"] == found[:3]
    assert found.count("unknown") <= (4 if server.chunking else 1)
    assert {"accepted", "unknown"} == set(found)
    arrived = subjects(server)
    assert len(arrived) == len(set(arrived)), "a message went out twice"


def handed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each step hands over, as they come."""
    sizes: list[int] = []
    step = Record.step

    def counting(self: Record, profile: Any, **what: Any) -> Any:
        sizes.append(len(what.get("handing", ())))
        return step(self, profile, **what)

    monkeypatch.setattr(Record, "step", counting)
    return sizes


def test_alarms_do_not_travel_together(
    plant: EmailProfiles, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is on its way alone, so that one lost reply is one message in doubt."""
    sizes = handed(monkeypatch)
    ids = queue(plant, 9, lane="alarm")
    plant.start()

    assert ["accepted"] * 9 == states(plant, ids)
    assert {1} == {size for size in sizes if size}


def test_an_alarm_does_not_wait_for_what_is_only_claimed(
    plant: EmailProfiles, server: Any
) -> None:
    """Long messages travel alone, and the lanes are looked at between them."""
    text = ("x" * 70 + "\n") * 20_000
    ids = queue(plant, 6, lane="bulk", text=text)
    server.hold.close()
    plant.start()
    server.wait_for(1)
    server.hold.open()
    server.wait_for(2)
    server.hold.close()
    before = len(server.messages)
    ids.append(plant.send(request(subject="alarm", lane="alarm")).id)
    server.hold.open()

    assert ["accepted"] * 7 == states(plant, ids)
    assert subjects(server).index("alarm") <= before + 2


def test_a_refused_content_costs_the_others_nothing(
    plant: EmailProfiles, server: Any
) -> None:
    """501 to one BDAT, of a server that has taken others, is about that message."""
    contents = 0

    def refuses(verb: str, reply: str) -> str:
        nonlocal contents
        contents += verb == "."
        return "501 5.6.0 bad header" if verb == "." and contents == 3 else reply

    server.before_reply = refuses
    ids = queue(plant, 8)
    plant.start()

    assert [*["accepted"] * 2, "refused", *["accepted"] * 5] == states(plant, ids)


def test_messages_that_travel_together_are_one_failure(
    plant: EmailProfiles, server: Any
) -> None:
    """And so do those of one flight: the profile rests as after one."""
    contents = 0

    def limits(verb: str, reply: str) -> str:
        nonlocal contents
        contents += verb == "."
        return "554 5.2.0 limit exceeded" if verb == "." and contents > 1 else reply

    server.before_reply = limits
    ids = queue(plant, 8)
    plant.start()
    assert ["accepted"] == states(plant, ids[:1])
    server.wait_until(lambda one: contents > (4 if one.chunking else 1))
    plant.outbox.delivery.stop()

    assert 1 == plant.health("plant").failures


def test_who_has_too_many_recipients_holds_nobody_up(
    plant: EmailProfiles, server: Any, profile_document: Document
) -> None:
    """Of ten recipients a day nine are left: who has ten waits, who has one goes."""
    limits = {"max_connections": 1, "recipients_per_day": 10}
    plant.profiles.apply(profile_document(server, limits=limits), actor="test")
    plant.start()
    assert ["accepted"] == states(plant, queue(plant, 1))
    people = [f"{number}@plant.example" for number in range(10)]
    waits = plant.send(request(to=people, lane="alarm")).id
    goes = plant.send(request(lane="alarm")).id

    assert ["accepted"] == states(plant, [goes])
    assert plant.outcome(waits) is None


def test_a_profile_at_its_limit_slows_nobody_down(
    open_profiles: Open,
    server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its alarms can't go now, so flights of others are not ended for them."""
    turns: list[str] = []
    serve = Delivery._serve

    def noting(self: Delivery, profile: Any, below_lane: int) -> bool:
        turns.append(profile.name)
        return serve(self, profile, below_lane)

    monkeypatch.setattr(Delivery, "_serve", noting)
    pace = Pace(threads=1, look_s=5, turn_s=60)
    plant = open_profiles(deliver=False, pace=pace, chance=Soon())
    document = profile_document(server, limits={"max_connections": 1})
    plant.profiles.apply(document, actor="test")
    limits = {"messages_per_minute": 1}
    plant.profiles.apply(profile_document(server, "other", limits=limits), actor="test")
    queue(plant, 2, profile="other", lane="alarm")
    ids = queue(plant, 20)
    plant.start()

    assert ["accepted"] * 20 == states(plant, ids)
    assert turns.count("plant") < 10


def test_a_caller_gets_the_connection_next(plant: EmailProfiles, server: Any) -> None:
    """A flight ends when somebody waits for its connection."""
    queue(plant, 300, lane="bulk")
    plant.start()
    server.wait_for(3)
    outcome = plant.deliver(request(lane="alarm", subject="alarm"), timeout=20)

    assert "accepted" == outcome.state
    assert subjects(server).index("alarm") < 250
