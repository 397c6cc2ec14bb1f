"""Alarm notification on a real store: who is told, when, once, and who is not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from alarm_bench import (
    ANNA,
    BERT,
    DOCUMENT,
    PROFILE,
    START,
    Bench,
    SetClock,
    event,
    later,
)

from email_profiles_hookspecs import SendRequest, hookimpl
from email_profiles_hookspecs.errors import (
    Disabled,
    InUse,
    NotFound,
    Vetoed,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import AlarmEvent, AlarmNotifier, Person
from email_profiles_plugin.store import alarm_mails, documents
from email_profiles_plugin.testing import SmtpServer

Open = Callable[..., EmailProfiles]
GATHER = {"consolidation": {"delay_s": 10, "frequency_s": 60}}


@pytest.fixture
def bench(open_profiles: Open) -> Bench:
    clock = SetClock()
    return Bench(open_profiles(deliver=False, clock=clock), clock)


def test_each_event_has_a_mail_to_each_recipient(bench: Bench) -> None:
    """Queued when notify returns, in the alarm lane, as urgent as the alarm."""
    bench.apply(recipients=[ANNA, BERT])
    receipts = bench.notify(event("1"), event("2", priority="Critical"))
    mails = bench.mails()

    assert 4 == len(receipts) == len({receipt.id for receipt in receipts})
    assert [
        ([ANNA], 'Alarm "High 1" at "plant/tank/1": Active', 2, "alarm"),
        ([ANNA], 'Alarm "High 2" at "plant/tank/2": Active', 1, "alarm"),
    ] == [
        (one["to"], one["subject"], one["priority"], one["lane"]) for one in mails[:2]
    ]
    assert {"queued"} == {one.state for one in bench.alarms.trail("night-shift")}
    assert {} == bench.reasons()


def test_the_same_event_twice_is_told_once(bench: Bench) -> None:
    """In one call or in two: the receipt is that of the first message."""
    bench.apply()
    (first,) = bench.notify(event("1"), event("1"))
    (again,) = bench.notify(event("1"))
    bench.notify(
        event("1", transition="active", event_time=later("1", "ack").event_time)
    )

    assert (first.id, False, True) == (again.id, first.duplicate, again.duplicate)
    assert 2 == len(bench.mails())


def test_events_are_gathered(bench: Bench) -> None:
    """The first waits for others; the next message keeps its distance."""
    bench.apply(**GATHER)
    assert [] == bench.notify(event("1"))
    bench.clock.seconds = 5
    bench.notify(event("2"), event("3", priority="Critical"))

    assert (0, 1, 0) == (bench.due(9.9), bench.due(10), bench.due(11))
    (mail,) = bench.mails()
    assert "3 alarm events, the most urgent Critical" == mail["subject"]
    lines = mail["text"].splitlines()[2:]
    assert ["High 3", "High 1", "High 2"] == [one.split('"')[1] for one in lines]

    bench.clock.seconds = 20
    bench.notify(event("4"))
    bench.notify(event("5"))
    assert (0, 1) == (bench.due(69), bench.due(70))
    assert [("anna", "2 alarm events, the most urgent High")] == bench.told()


def test_one_event_alone_is_told_in_its_own_words(bench: Bench) -> None:
    """Gathered or not, a message about one event is no list of one."""
    bench.apply(**GATHER)
    bench.notify(event("1"))
    bench.due(10)

    assert [("anna", 'Alarm "High 1" at "plant/tank/1": Active')] == bench.told()


def test_a_long_list_is_counted(bench: Bench) -> None:
    """The most urgent are listed; how many there are more is said."""
    bench.apply(consolidation={}, consolidated_most=2)
    bench.notify(*(event(str(id)) for id in range(5)))
    (mail,) = bench.mails()

    assert mail["text"].startswith("5 alarm events from 2026-11-24 12:00:00 to ")
    assert mail["text"].endswith('"plant/tank/1" Active\n... and 3 more\n')


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (later("1", "clear", active=False), "cleared meanwhile"),
        (later("1", "ack", acked=True), "acknowledged meanwhile"),
        (later("1", "shelve", shelved=True), "shelved meanwhile"),
        (later("1", "suppress", suppressed=True), "suppressed meanwhile"),
        (
            later("1", "out_of_service", out_of_service=True),
            "taken out of service meanwhile",
        ),
    ],
)
def test_what_is_over_meanwhile_is_dropped(
    bench: Bench, ending: AlarmEvent, reason: str
) -> None:
    """It is not told of, which is recorded at once; the others are."""
    bench.apply(**GATHER)
    bench.notify(event("1"), event("2"))
    bench.notify(ending)
    dropped = bench.reasons(alarm_id="1")

    assert reason == dropped["1", ANNA]
    assert 1 == bench.due(10)
    assert [("anna", 'Alarm "High 2" at "plant/tank/2": Active')] == bench.told()


def test_what_is_over_is_told_where_the_document_says_so(bench: Bench) -> None:
    """Without dropouts, and for an alarm that went active again since."""
    bench.apply(**GATHER, dropouts=["ack"])
    bench.notify(event("1"))
    bench.notify(later("1", "clear", active=False))
    assert 1 == bench.due(10)

    bench.apply(**GATHER)
    bench.notify(event("2", event_time=later("2", "clear").event_time.replace(hour=13)))
    bench.notify(later("2", "clear", active=False))
    assert 1 == bench.due(100)


def test_all_that_waited_is_over(bench: Bench) -> None:
    """No message is made of nothing, and the next event waits as the first did."""
    bench.apply(**GATHER)
    bench.notify(event("1"))
    bench.notify(later("1", "clear", active=False))
    bench.clock.seconds = 8
    bench.notify(event("2"))

    assert (0, 1) == (bench.due(10), bench.due(18))


def test_people_are_told_one_after_the_other(bench: Bench) -> None:
    """Whoever has not had their turn when the alarm is acknowledged is left out."""
    roster = [
        {"name": "Anna", "addresses": [ANNA]},
        {"name": "Bert", "addresses": [BERT]},
        {"name": "Cleo", "addresses": ["cleo@plant.example"]},
    ]
    bench.apply(recipients=[], roster=roster, delay_between_messages_s=300)
    assert 1 == len(bench.notify(event("1")))
    assert (0, 1) == (bench.due(299), bench.due(300))
    bench.notify(later("1", "ack", acked=True))

    assert 0 == bench.due(600)
    assert ["anna", "bert"] == [who for who, _ in bench.told()]
    assert "acknowledged meanwhile" == bench.reasons()["1", "Cleo"]


def test_whoever_is_not_told_is_recorded(bench: Bench) -> None:
    """With the reason, for each person, or for all; the trail finds it."""
    bench.apply(
        recipients=[],
        roster=[
            {"name": "Anna", "addresses": [ANNA]},
            {"name": "Bert", "addresses": [BERT], "schedule": "nights"},
            {"name": "Cleo"},
        ],
        schedules=[{"name": "nights", "hours": [{"from": "22:00", "to": "06:00"}]}],
        filter={"priorities": ["High"]},
        throttle={"most": 1},
    )
    bench.notify(event("1"), event("2", priority="Low"))
    bench.notify(event("3", source="plant/tank/1", name="High 1"))

    assert {
        ("1", "Bert"): "off schedule",
        ("1", "Cleo"): "no contact: has no mail address",
        ("2", ""): "filtered out: priority Low",
        ("3", "Anna"): "throttled",
        ("3", "Bert"): "off schedule",
        ("3", "Cleo"): "no contact: has no mail address",
    } == bench.reasons()
    assert {("3", "Anna"): "throttled"} == bench.reasons(alarm_id="3", who="Anna")
    assert 7 == len(bench.alarms.trail())
    assert 2 == len(bench.alarms.trail(limit=2))


def test_the_throttle_s_time_passes(bench: Bench) -> None:
    """An alarm that chatters is told of again after its time."""
    bench.apply(throttle={"most": 1, "per_s": 60})
    again = [
        event("1", event_time=later("1", "ack").event_time.replace(second=second))
        for second in range(3)
    ]
    counts = []
    for seconds, one in zip((0, 59, 61), again, strict=True):
        bench.clock.seconds = seconds
        counts.append(len(bench.notify(one)))

    assert [1, 0, 1] == counts


def test_the_throttle_counts_an_event_once(bench: Bench) -> None:
    """One that a host tells of again takes nothing from one that is new."""
    bench.apply(throttle={"most": 2})
    bench.notify(event("1"))
    new = event("1", event_time=later("1", "ack").event_time)

    assert [True, False] == [one.duplicate for one in bench.notify(event("1"), new)]
    assert {} == bench.reasons()


def test_a_calculated_roster(bench: Bench) -> None:
    """A host says who is on call; an address that is none silences nobody else."""
    bench.apply(recipients=[])
    zoe = Person(name="Zoe", addresses=(BERT,))
    bench.notify(event("1"), roster=[Person(name="Yan", addresses=("yan",)), zoe])

    assert ["bert"] == [who for who, _ in bench.told()]
    bench.notify(event("3"))
    assert {
        ("1", "Yan"): "no contact: has no address that mail can go to",
        ("3", ""): "there is nobody to notify",
    } == bench.reasons()


def test_names_that_no_database_holds(bench: Bench) -> None:
    """Half a character in an id or a name silences nothing."""
    bench.apply(recipients=[])
    zoe = Person(name="Zoe\ud800\0", addresses=(BERT,))
    bench.notify(event("1", id="4\ud800\0"), roster=[zoe])
    (entry,) = bench.alarms.trail(alarm_id="4??")

    assert ("queued", "Zoe??") == (entry.state, entry.who)


def test_test_mode(bench: Bench) -> None:
    """All is decided, rendered and stored; nothing is sent."""
    bench.apply(test_mode=True)
    (receipt,) = bench.notify(event("1"))
    (entry,) = bench.alarms.trail("night-shift")

    assert "dry run" == bench.profiles.outbox.show(receipt.id).state == entry.outcome
    assert "gateway@plant.example" == bench.mails()[0]["from_address"]


def test_events_are_looked_at(bench: Bench) -> None:
    """What is no list of events is refused before anything is stored."""
    bench.apply()
    with pytest.raises(TypeError, match="expected a list of alarm events, got one"):
        bench.alarms.notify(event("1"), "night-shift")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected alarm events, got a str"):
        bench.alarms.notify("ab", "night-shift")  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="there is no alarm notification 'other'"):
        bench.alarms.notify([event("1")], "other")

    assert [] == bench.notify() == bench.alarms.trail()


def test_a_document_that_is_given(bench: Bench) -> None:
    """It need not be stored by anybody, and what it has waiting is durable."""
    given = {**DOCUMENT, **GATHER, "name": "given"}
    bench.alarms.notify([event("1")], given)
    bench.alarms.notify([event("2")], given)
    other = AlarmNotifier(profiles=bench.profiles)
    bench.clock.seconds = 10

    assert [] == bench.profiles.alarm_notifications.list()
    assert 1 == other.due()
    assert [("anna", "2 alarm events, the most urgent High")] == bench.told()
    assert 2 == len(bench.alarms.trail("embedded/given"))


def test_documents_of_one_name_that_are_given(bench: Bench) -> None:
    """Each call goes by its own, also where another was given meanwhile."""
    for id, who in enumerate([ANNA, BERT, ANNA], 1):
        given = {**DOCUMENT, "name": "given", "recipients": [who]}
        bench.alarms.notify([event(str(id))], given)

    assert [("anna", "1"), ("anna", "3"), ("bert", "2")] == [
        (who, subject.split('"')[1].removeprefix("High "))
        for who, subject in bench.told()
    ]


OWN = {
    "profile": None,
    "smtp": {"hostname": "127.0.0.1"},
    "auth": {"mode": "basic", "username": "gateway", "password": "c4n4ry-pass"},
}


def test_settings_of_its_own(
    bench: Bench, smtp_server_factory: Callable[..., SmtpServer], open_profiles: Open
) -> None:
    """Sealed, never shown, and sent by; no host is needed where a profile is named."""
    server = smtp_server_factory(users={"gateway": "c4n4ry-pass"}, auth_before_tls=True)
    smtp = {"hostname": "127.0.0.1", "port": server.port}
    with open_profiles() as profiles:
        alarms = AlarmNotifier(profiles=profiles)
        profiles.alarm_notifications.apply({**DOCUMENT, **OWN, "smtp": smtp}, actor="t")
        (receipt,) = alarms.notify([event("1")], "night-shift")
        outcome = profiles.outcome(receipt.id, wait=20)
        exported = profiles.alarm_notifications.export("night-shift")
        trail = profiles.trail()

    assert outcome is not None
    assert ("accepted", "gateway") == (outcome.state, server.messages[0].identity)
    assert {"sealed"} == set(exported["auth"]["password"])
    assert "c4n4ry" not in repr((exported, trail))
    assert ["plant-alerts"] == [one.name for one in bench.profiles.profiles.list()]


def test_settings_of_its_own_are_kept_changed_and_gone(bench: Bench) -> None:
    """What is left out is kept, unless it would go elsewhere; with it, its profile."""
    bench.apply(**OWN)
    bench.notify(event("1"))
    (entry,) = bench.profiles.outbox.list()
    kept = {**OWN, "auth": {"mode": "basic", "username": "gateway"}}
    bench.apply(**kept, description="changed")
    stored = bench.profiles.alarm_notifications
    assert "password" in stored.export("night-shift")["auth"]
    moved = {**kept, "smtp": {"hostname": "localhost"}}
    bench.apply(**moved)
    assert "password" not in stored.export("night-shift")["auth"]

    bench.notify(event("2"))
    profile = bench.profiles.resolve(entry.profile)
    assert profile is not None
    assert ("localhost", None) == (profile.smtp.hostname, profile.auth.get("password"))
    for one in bench.profiles.outbox.list():
        bench.profiles.outbox.cancel(one.id, actor="test")
    bench.profiles.alarm_notifications.delete("night-shift", actor="test")
    assert bench.profiles.resolve(entry.profile) is None


def test_a_profile_that_is_renamed_deleted_or_disabled(bench: Bench) -> None:
    """A rename is followed, a deletion refused; what can't be sent is said at once."""
    bench.apply()
    bench.profiles.profiles.rename("plant-alerts", "alerts", actor="test")
    assert 1 == len(bench.notify(event("1")))
    with pytest.raises(InUse, match="is used by alarm notification 'night-shift'"):
        bench.profiles.profiles.delete("alerts", actor="test")
    profile = bench.profiles.profiles.export("alerts")
    bench.profiles.profiles.apply({**profile, "enabled": False}, actor="test")
    with pytest.raises(Disabled, match="the email profile 'alerts' is disabled"):
        bench.notify(event("2"), later("1", "clear", active=False))
    assert [] == bench.notify(later("2", "clear", active=False))

    assert [
        ("1", "", "filtered out: transition clear"),
        ("2", "", "filtered out: transition clear"),
        ("2", "", "the email profile 'alerts' is disabled"),
    ] == sorted(
        (one.alarm_id, one.who, one.reason)
        for one in bench.alarms.trail("night-shift", left_out=True)
    )


def test_a_profile_that_is_disabled_while_something_waits(bench: Bench) -> None:
    """It is tried again, says why meanwhile, and goes out once it can."""
    bench.apply(**GATHER)
    bench.notify(event("1"))
    profile = bench.profiles.profiles.export("plant-alerts")
    bench.profiles.profiles.apply({**profile, "enabled": False}, actor="test")
    assert 0 == bench.due(10)
    (entry,) = bench.alarms.trail("night-shift")
    assert ("waiting", "the email profile 'plant-alerts' is disabled") == (
        entry.state,
        entry.reason,
    )
    bench.profiles.profiles.apply(profile, actor="test")

    assert (0, 1) == (bench.due(40), bench.due(140))
    assert "queued" == bench.alarms.trail("night-shift")[0].state


def test_what_is_over_while_its_profile_is_disabled(bench: Bench) -> None:
    """It is dropped all the same, whether or not people would be told of its end."""
    for transitions in (["active"], ["active", "clear"]):
        bench.apply(**GATHER, filter={"transitions": transitions})
        id = str(len(transitions))
        bench.notify(event(id))
        profile = bench.profiles.profiles.export("plant-alerts")
        bench.profiles.profiles.apply({**profile, "enabled": False}, actor="test")
        with suppress(Disabled):
            bench.notify(later(id, "clear", active=False))
        bench.profiles.profiles.apply(profile, actor="test")

        assert "cleared meanwhile" == bench.reasons(who=ANNA)[id, ANNA]


def test_what_is_over_while_its_mail_can_t_be_made(bench: Bench) -> None:
    """It is dropped, though the mail that was to tell of it is begun already."""
    bench.apply(**GATHER)
    bench.notify(event("1"), event("2"))
    bench.profiles.profiles.apply({**PROFILE, "enabled": False}, actor="test")
    assert 0 == bench.due(10)
    bench.notify(later("1", "clear", active=False))
    bench.profiles.profiles.apply(PROFILE, actor="test")

    assert "cleared meanwhile" == bench.reasons(who=ANNA)["1", ANNA]
    assert 1 == bench.due(200)
    assert [("anna", 'Alarm "High 2" at "plant/tank/2": Active')] == bench.told()


def test_a_message_that_a_plugin_forbids(bench: Bench) -> None:
    """What can never be sent is raised, and stays on record."""

    class Site:
        @hookimpl(tryfirst=True)
        def email_profiles_send(self, request: SendRequest) -> None:
            raise Vetoed("maintenance")

    bench.apply()
    bench.profiles.plugins.manager.register(Site())
    with pytest.raises(Vetoed, match="maintenance"):
        bench.notify(event("1"))
    (entry,) = bench.alarms.trail("night-shift", left_out=True)

    assert ("failed", "maintenance") == (entry.state, entry.reason)


def test_a_notification_that_is_disabled_or_deleted(bench: Bench) -> None:
    """Nobody is told, and why is on record, by the alarm, when it is gone too."""
    bench.apply(enabled=False)
    assert [] == bench.notify(event("1"))
    bench.apply(**GATHER)
    bench.notify(event("2"))
    bench.apply(**GATHER, enabled=False)
    assert 0 == bench.due(10)
    bench.apply(**GATHER)
    bench.clock.seconds = 100
    bench.notify(event("3"))
    bench.profiles.alarm_notifications.delete("night-shift", actor="test")

    assert 0 == bench.due(200)
    assert [
        ("1", "", "the alarm notification is disabled"),
        ("2", ANNA, "the alarm notification is disabled"),
        ("3", ANNA, "the alarm notification was deleted"),
    ] == sorted((one.alarm_id, one.who, one.reason) for one in bench.alarms.trail())


def test_several_notifiers_send_once(bench: Bench, open_profiles: Open) -> None:
    """Whoever looks first makes a mail; in threads and processes there is one."""
    bench.apply(recipients=[f"r{n}@plant.example" for n in range(20)], **GATHER)
    bench.notify(*(event(str(id)) for id in range(30)))
    bench.clock.seconds = 10
    others = [bench.profiles, open_profiles(deliver=False, clock=bench.clock)]
    made: list[int] = []
    threads = [
        threading.Thread(
            target=lambda one=one: made.append(AlarmNotifier(profiles=one).due())
        )
        for one in others * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 20 == sum(made) == len(bench.mails())


def test_the_thread_sees_to_what_is_due(
    smtp_server_factory: Callable[..., SmtpServer],
    open_profiles: Open,
    profile_document: Callable[..., dict[str, Any]],
) -> None:
    """Between start and close nobody has to call `due`."""
    server = smtp_server_factory()
    profiles = open_profiles()
    profiles.profiles.apply(profile_document(server, "plant-alerts"), actor="test")
    document = {**DOCUMENT, "consolidation": {"delay_s": 1}}
    with AlarmNotifier(profiles=profiles) as alarms:
        assert [] == alarms.notify([event("1"), event("2")], document)
        (mail,) = server.wait_for(1, timeout=30)

    assert "2 alarm events, the most urgent High" == mail.message["Subject"]


def test_a_stalled_server_delays_no_notify(open_profiles: Open) -> None:
    """Every event is taken and queued while the server says nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        smtp = {"hostname": "127.0.0.1", "port": silent.getsockname()[1]}
        profile = {"name": "plant-alerts", "smtp": smtp, "auth": {"mode": "basic"}}
        profiles = open_profiles()
        profiles.profiles.apply(profile, actor="test")
        alarms = AlarmNotifier(profiles=profiles)
        first = alarms.notify([event("1")], DOCUMENT)
        connection, _ = silent.accept()  # it is being sent, and nothing is answered
        receipts = [alarms.notify([event(str(id))], DOCUMENT) for id in range(2, 20)]
        states = {profiles.outcome(one.id) for [one] in [first, *receipts]}
        connection.close()

    assert (18, {None}) == (len(receipts), states)


@pytest.mark.parametrize(
    ("moment", "made"), [("events", [0, 1, 0]), ("mail", [0, 0, 0])]
)
def test_a_host_that_is_killed(
    open_profiles: Open, tmp_path: Path, moment: str, made: list[int]
) -> None:
    """
    What it took is told by whoever comes next, in one message.

    Killed before that was made, or when it was in the outbox and nobody knew: once.
    """
    program = Path(__file__).with_name("alarm_host.py")
    command = [sys.executable, str(program), str(tmp_path / "home"), moment]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, check=False, timeout=60, env=environment)
    clock = SetClock()
    next_one = Bench(open_profiles(deliver=False, clock=clock), clock)

    assert -signal.SIGKILL == done.returncode
    assert made == [next_one.due(seconds) for seconds in (9, 10, 100)]
    (mail,) = next_one.mails()
    assert "5 alarm events, the most urgent High" == mail["subject"]
    (message,) = next_one.profiles.outbox.list()
    trail = next_one.alarms.trail("night-shift")
    assert [("queued", message.id)] * 5 == [
        (one.state, one.message_id) for one in trail
    ]


def test_what_is_old_is_forgotten(bench: Bench) -> None:
    """After the retention; not what somebody still waits for."""
    bench.apply(consolidation={"delay_s": 86_400})
    bench.notify(event("1"))
    bench.apply()
    bench.notify(event("2"))
    bench.clock.seconds = 31 * 86_400
    keeper = AlarmNotifier(profiles=bench.profiles)
    keeper._sweep()

    assert ["1"] == [one.alarm_id for one in bench.alarms.trail()]
    assert bench.alarms.next_due() == START.replace(day=25)


def test_a_message_that_is_refused_is_in_the_trail(
    open_profiles: Open,
    smtp_server_factory: Callable[..., SmtpServer],
    profile_document: Callable[..., dict[str, Any]],
) -> None:
    """Whoever did not get it is among those who were not told, with the reason."""
    server = smtp_server_factory(refuse={ANNA: "550 5.1.1 no such user"})
    profiles = open_profiles()
    profiles.profiles.apply(profile_document(server, "plant-alerts"), actor="test")
    profiles.alarm_notifications.apply(
        {**DOCUMENT, "recipients": [ANNA, BERT]}, actor="test"
    )
    alarms = AlarmNotifier(profiles=profiles)
    for receipt in alarms.notify([event("1")], "night-shift"):
        assert profiles.outcome(receipt.id, wait=20)
    (entry,) = alarms.trail("night-shift", left_out=True)

    assert (ANNA, "queued", "refused") == (entry.who, entry.state, entry.outcome)
    assert "no such user" in entry.reason


def test_a_mail_that_two_make_at_once(bench: Bench) -> None:
    """Whoever is later, and has other words by then, finds it in the outbox."""
    bench.apply(consolidation={"delay_s": 10})
    bench.notify(event("1"))
    bench.clock.seconds = 10
    (mail,) = bench.alarms._claim()
    late = AlarmNotifier(profiles=bench.profiles)
    (made,) = bench.alarms._dispatch.make([mail])
    bench.profiles.profiles.apply({**PROFILE, "name": "other"}, actor="test")
    changes = {"subject": "in other words", "profile": "other"}
    bench.apply(consolidation={"delay_s": 10}, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alarm_mails, "queued_as", Forgetful(alarm_mails.queued_as))
        (again,) = late._dispatch.make([mail])

    assert made.message_id == again.message_id is not None
    assert 1 == len(bench.mails())
    assert "queued" == bench.alarms.trail("night-shift")[0].state


class Forgetful:
    """Does not find a message the first time that it looks."""

    def __init__(self, look: Callable[..., str | None]) -> None:
        self.look, self.looked = look, False

    def __call__(self, *of: Any) -> str | None:
        looked, self.looked = self.looked, True
        return self.look(*of) if looked else None


def test_settings_of_its_own_outlive_a_quiet_time(bench: Bench) -> None:
    """A plant without alarms for a month loses no grant; without its document, yes."""
    bench.apply(**OWN)
    bench.notify(event("1"))
    (entry,) = bench.profiles.outbox.list()
    bench.profiles.outbox.cancel(entry.id, actor="test")
    own = bench.profiles.profiles.get(entry.profile)
    later_on = START.timestamp() + 90 * 86_400
    owner = bench.profiles.alarm_notifications.get("night-shift")
    with bench.profiles.database.read() as connection:
        assert [] == documents.unneeded(connection, later_on)
    bench.profiles.database.write(lambda c: documents.remove(c, owner.id))

    with bench.profiles.database.read() as connection:
        assert [own.id] == documents.unneeded(connection, later_on)
