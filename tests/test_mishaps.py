"""Mishaps: whatever goes wrong around a delivery, no row is lost, stuck or doubled."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pluggy
import pytest
from attrs import define
from sqlalchemy import update

from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Outcome,
    SendRequest,
    hookimpl,
)
from email_profiles_hookspecs.errors import (
    IdempotencyConflict,
    StoreUnavailable,
    TokenError,
    Unknown,
)
from email_profiles_hookspecs.sasl import Exchange
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemChance
from email_profiles_plugin.outbox import sending
from email_profiles_plugin.outbox.booking import Attempt
from email_profiles_plugin.outbox.delivery import Pace
from email_profiles_plugin.outbox.record import Record, Wanted
from email_profiles_plugin.outbox.worker import Worker
from email_profiles_plugin.smtp.mail import Mail, Submission
from email_profiles_plugin.store.tables import message
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer

Open = Callable[..., EmailProfiles]
Document = Callable[..., dict[str, Any]]


class Soon(SystemChance):
    def fraction(self) -> float:
        return 0


def request(**changes: Any) -> SendRequest:
    given = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        **changes,
    }
    return SendRequest(**given)


def states(profiles: EmailProfiles, id: str) -> dict[str, str]:
    return {one.address: one.state for one in profiles.outbox.show(id).recipients}


@define
class Broken:
    """A provider that fails where it is told to, with what no contract knows."""

    where: str

    @property
    def mechanism(self) -> str:
        return "PLAIN"

    def acquire(self, deadline: float) -> Credential:
        if self.where == "acquire":
            raise KeyError("acquire")
        if self.where == "exit":
            raise SystemExit(3)
        return Credential(offers=[self])

    def rejected(self, credential: Credential, reply: object) -> bool:
        raise ZeroDivisionError

    def respond(self) -> Exchange:
        if self.where == "respond":
            raise UnicodeError("respond")
        yield b"\0nobody\0wrong"


def with_broken_mode(open_profiles: Open, where: str, **options: Any) -> EmailProfiles:
    class Plugin:
        @hookimpl
        def email_profiles_auth_providers(self) -> Iterable[AuthProvider]:
            yield AuthProvider(
                mode="broken",
                title="Broken",
                schema={"type": "object"},
                build=lambda profile, services: Broken(where),
            )

    manager = pluggy.PluginManager("email_profiles")
    manager.register(Plugin(), "broken")
    return open_profiles(plugin_manager=manager, chance=Soon(), **options)


@pytest.mark.parametrize("where", ["acquire", "exit", "respond", "rejected"])
def test_a_broken_provider_stops_nobody_else(
    open_profiles: Open, smtp_server: Any, profile_document: Document, where: str
) -> None:
    """Its own messages wait, its profile is paused; the others go out."""
    profiles = with_broken_mode(open_profiles, where, pace=Pace(threads=1, look_s=0.05))
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    broken = profile_document(smtp_server, name="broken", auth={"mode": "broken"})
    profiles.profiles.apply(broken, actor="test")
    stuck = profiles.send(request(profile="broken", lane="alarm"))
    fine = profiles.send(request())
    outcome = profiles.outcome(fine.id, wait=10)

    assert outcome is not None
    assert "accepted" == outcome.state
    assert "queued" == profiles.outbox.show(stuck.id).state
    assert profiles.health("broken").failures
    profiles.outbox.cancel(stuck.id, actor="test")


def test_a_row_that_its_thread_let_go_of_is_given_back(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The heart finds it: owned by this process, in nobody's hand."""
    profiles = open_profiles(deliver=False, chance=Soon())
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = profiles.send(request())
    owner = profiles.outbox.worker.enlist()
    profile = profiles.resolve("plant")
    assert profile is not None
    (claimed,) = profiles.outbox.record.claim(profile, Wanted(owner=owner))

    profiles.outbox.heart.beat()
    assert "sending" == profiles.outbox.show(receipt.id).state
    profiles.outbox.worker.hold(claimed.id, claimed.attempt)
    profiles.outbox.heart.beat()
    profiles.outbox.heart.beat()
    assert "sending" == profiles.outbox.show(receipt.id).state
    profiles.outbox.worker.release(claimed.id, claimed.attempt)
    profiles.outbox.heart.beat()
    profiles.outbox.heart.beat()
    assert "queued" == profiles.outbox.show(receipt.id).state


def test_closing_gives_back_what_is_in_hand(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Also what a worker held that signed off without it."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    first, second = profiles.send(request()), profiles.send(request())
    profile = profiles.resolve("plant")
    assert profile is not None
    profiles.outbox.record.claim(profile, Wanted(owner=profiles.outbox.worker.enlist()))
    profiles.outbox.record.claim(profile, Wanted(owner="a worker that never was"))
    profiles.close()
    again = open_profiles(deliver=False)
    again.outbox.heart.beat()

    assert ["queued", "queued"] == [
        again.outbox.show(one.id).state for one in (first, second)
    ]


def test_a_result_waits_for_the_database(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's 250 is not thrown away because the store is locked for a while."""
    profiles = open_profiles(pace=Pace(look_s=0.05))
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    step, failures = Record.step, [StoreUnavailable("locked")] * 3

    def locked(record: Record, profile: Any, *, ended: Any = (), **more: Any) -> Any:
        if failures and ended:
            raise failures.pop()
        return step(record, profile, ended=ended, **more)

    monkeypatch.setattr(Record, "step", locked)
    monkeypatch.setattr(sending, "PATIENCE_S", 0)
    receipt = profiles.send(request())
    outcome = profiles.outcome(receipt.id, wait=10)

    assert outcome is not None
    assert ("accepted", 1) == (outcome.state, outcome.attempt)
    assert 1 == len(smtp_server.messages)


def test_our_own_hold_up_costs_no_try_and_pauses_nobody(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lapse: the last octet is held back, and the message goes with the next try."""
    profiles = open_profiles(chance=Soon(), pace=Pace(look_s=0.05))
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    answers = [False]
    monkeypatch.setattr(
        Worker, "fresh", lambda self, lapses: answers.pop() if answers else True
    )
    receipt = profiles.send(request(max_attempts=1))
    outcome = profiles.outcome(receipt.id, wait=10)

    assert outcome is not None
    assert "accepted" == outcome.state
    assert 0 == profiles.health("plant").failures
    assert 1 == len(smtp_server.messages)


def test_a_waiting_caller_gets_over_a_lapse(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it claims anew is its own again; it does not turn round till its timeout."""
    profiles = open_profiles(deliver=False, chance=Soon())
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    fresh, held_up = Worker.fresh, [1]

    def once(self: Worker, lapses: int) -> bool:
        if held_up:
            self.lapses += held_up.pop()
        return fresh(self, lapses)

    monkeypatch.setattr(Worker, "fresh", once)
    outcome = profiles.deliver(request(), timeout=10)

    assert ("accepted", 2) == (outcome.state, outcome.attempt)


@pytest.mark.parametrize("closed", [True, False])
def test_debug_mode_needs_no_standard_error(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
    closed: bool,
) -> None:
    """A service may have closed it, or have none: the mail goes out."""
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream if closed else None)
    profiles = open_profiles(deliver=False)
    document = profile_document(smtp_server, smtp={"debug": True})
    profiles.profiles.apply(document, actor="test")

    assert "accepted" == profiles.deliver(request(), timeout=10).state


def serve(line: Line, messages: int) -> None:
    line.greet()
    for _ in range(messages):
        line.accept()
        line.hear_content()
        line.say("250 ok")


@pytest.mark.parametrize("farewell", ["421 4.4.2 idle too long", ""])
def test_a_kept_connection_that_ended_costs_no_try(
    open_profiles: Open, profile_document: Document, farewell: str
) -> None:
    """The server hangs up at the next MAIL: once more, over a new one."""

    def script(line: Line) -> None:
        serve(line, 1)
        line.hear()
        if farewell:
            line.say(farewell)

    with ScriptedServer(script) as server:
        profiles = open_profiles(pace=Pace(threads=1))
        document = {
            "name": "plant",
            "smtp": {"hostname": "127.0.0.1", "port": server.port},
            "auth": {"mode": "basic"},
        }
        profiles.profiles.apply(document, actor="test")
        outcomes = [
            profiles.outcome(profiles.send(request(max_attempts=1)).id, wait=10)
            for _ in range(3)
        ]
        assert ["accepted"] * 3 == [one.state for one in outcomes if one is not None]
        assert 3 == len(server.heard)
        profiles.close()


def test_settling_the_unknown_leaves_those_who_still_wait(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """A decision on one recipient ends nothing for the other."""
    profiles = open_profiles(deliver=False, chance=Soon())
    document = profile_document(
        smtp_server,
        limits={"recipients_per_message": 1},
        policy={"on_unknown": "hold"},
    )
    profiles.profiles.apply(document, actor="test")
    smtp_server.refuse["b@plant.example"] = "450 4.2.1 later"
    smtp_server.before_reply = lambda verb, reply: None if verb == "." else reply
    receipt = profiles.send(request(to=["b@plant.example", "a@plant.example"]))
    profile = profiles.resolve("plant")
    assert profile is not None
    profiles.outbox.heart.start()
    owner = profiles.outbox.worker.enlist()
    (claimed,) = profiles.outbox.record.claim(profile, Wanted(owner=owner))
    credential = profiles.outbox.delivery.submitter.credential(profile)
    profiles.outbox.delivery.attempt(profile, credential, claimed, 0)
    assert {"b@plant.example": "deferred", "a@plant.example": "unknown"} == states(
        profiles, receipt.id
    )

    profiles.outbox.settle(receipt.id, "accepted", actor="ann")
    assert profiles.outcome(receipt.id) is None
    smtp_server.refuse.clear()
    smtp_server.before_reply = None
    profiles.start()
    outcome = profiles.outcome(receipt.id, wait=10)
    assert outcome is not None
    assert "accepted" == outcome.state
    assert {"b@plant.example": "accepted", "a@plant.example": "accepted"} == states(
        profiles, receipt.id
    )


def test_who_was_never_asked_is_not_in_doubt(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """A worker dies in the first of two transactions: the second's just wait."""
    profiles = open_profiles(deliver=False)
    document = profile_document(smtp_server, policy={"on_unknown": "hold"})
    profiles.profiles.apply(document, actor="test")
    receipt = profiles.send(request(to=["a@plant.example", "b@plant.example"]))
    profile = profiles.resolve("plant")
    assert profile is not None
    record = profiles.outbox.record
    wanted = Wanted(owner=profiles.outbox.worker.enlist())
    (claimed,) = record.claim(profile, wanted)
    mail = Mail(mail_from="", recipients=claimed.recipients, octets=b"")
    submission = Submission(mail=mail)
    submission.send(["a@plant.example"])
    handing = [Attempt(claimed=claimed, submission=submission)]
    assert {claimed.id} == record.step(profile, handing=handing).mine
    profiles.outbox.heart.recovery.bury(claimed.owner)

    assert {"a@plant.example": "unknown", "b@plant.example": "waiting"} == states(
        profiles, receipt.id
    )
    assert "queued" == profiles.outbox.show(receipt.id).state


def test_a_waiting_caller_that_loses_its_credential_cancels(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never "failed" now and delivered later."""
    profiles = open_profiles(deliver=False, chance=Soon())
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    smtp_server.data_reply = "451 4.3.0 later"
    submitter = profiles.outbox.delivery.submitter
    credential, calls = type(submitter).credential, []

    def once(*args: Any) -> Credential:
        calls.append(args)
        if len(calls) > 1:
            raise TokenError("the token is gone")
        return credential(*args)

    monkeypatch.setattr(type(submitter), "credential", once)
    outcome = profiles.deliver(request(), timeout=10)

    assert "cancelled" == outcome.state
    assert "451" in outcome.error


def test_a_repeat_cancels_nothing(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """What somebody else queued is not this caller's to cancel."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    first = profiles.send(request(idempotency_key="k"))
    with pytest.raises(Unknown):
        profiles.deliver(request(idempotency_key="k"), timeout=0.3)

    assert "queued" == profiles.outbox.show(first.id).state


def test_a_waiting_caller_stops_waiting_in_time(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Its message is being sent, and what becomes of it is known later."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    smtp_server.hold.close()
    with pytest.raises(Unknown) as caught:
        profiles.deliver(request(), timeout=0.5)
    smtp_server.hold.open()
    outcome = profiles.outcome(caught.value.id, wait=10)

    assert outcome is not None
    assert "accepted" == outcome.state


def test_limits_hold_for_waiting_callers_too(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """One a minute is one a minute."""
    profiles = open_profiles(deliver=False)
    document = profile_document(smtp_server, limits={"messages_per_minute": 1})
    profiles.profiles.apply(document, actor="test")

    assert "accepted" == profiles.deliver(request(), timeout=10).state
    assert "cancelled" == profiles.deliver(request(), timeout=0.2).state
    assert 1 == len(smtp_server.messages)


@define
class HandClock:
    """A clock that a test moves: the time of day, and the monotonic one."""

    moment: float = 2e9
    tick: float = 0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.moment, UTC)

    def monotonic(self) -> float:
        return self.tick


def test_who_slept_declares_nobody_dead(open_profiles: Open) -> None:
    """After a stall of everybody the first to wake up can't know how others fared."""
    database = open_profiles(deliver=False).database
    here, there = HandClock(), HandClock()
    watcher = Worker(database, here, SystemChance(), lease_s=10)
    other = Worker(database, there, SystemChance(), lease_s=10)
    watcher.enlist()
    other.enlist()
    assert [] == watcher.dead()
    here.tick = 60
    assert [] == watcher.dead()


class Observer:
    """Told of outcomes; may fail once, in a way of its own."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.told: list[str] = []

    @hookimpl
    def email_profiles_settled(self, outcome: Outcome) -> None:
        self.told.append(outcome.id)
        if self.error is not None:
            raise self.error


def test_an_observer_that_exits_ends_no_thread(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Delivery goes on."""
    profiles = open_profiles(pace=Pace(threads=1, look_s=0.05))
    profiles.plugins.manager.register(Observer(SystemExit(1)))
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    for _ in range(3):
        assert profiles.outcome(profiles.send(request()).id, wait=10) is not None


def test_an_announcement_that_failed_is_made_later(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the heart, whoever settled the message."""
    profiles = open_profiles(deliver=False, lease_s=0)
    observer = Observer()
    profiles.plugins.manager.register(observer)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    from email_profiles_plugin.store import views

    def locked(*args: Any) -> Any:
        raise StoreUnavailable("locked")

    with monkeypatch.context() as patch:
        patch.setattr(views, "to_announce", locked)
        profiles.outbox.cancel(profiles.send(request()).id, actor="test")
    assert [] == observer.told
    profiles.outbox.heart.beat()
    assert 1 == len(observer.told)
    profiles.outbox.heart.beat()
    assert 1 == len(observer.told)


def test_a_key_is_about_the_content(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Not about a moment computed anew, nor used up by a dry run."""
    profiles = open_profiles(deliver=False)
    document = profile_document(smtp_server)
    profiles.profiles.apply(document, actor="test")
    now = datetime.now(UTC)
    dry = profiles.send(request(idempotency_key="k", dry_run=True))
    first = profiles.send(
        request(idempotency_key="k", not_after=now + timedelta(minutes=1))
    )
    again = profiles.send(
        request(idempotency_key="k", not_after=now + timedelta(minutes=2))
    )
    assert dry.id != first.id
    assert (first.id, True) == (again.id, again.duplicate)
    with pytest.raises(IdempotencyConflict):
        profiles.send(request(idempotency_key="k", subject="other"))
    profiles.profiles.apply({**document, "enabled": False}, actor="test")
    assert profiles.send(request(idempotency_key="k")).duplicate


def test_a_clock_that_was_not_set_yet_loses_no_alarm(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Queued in 1970, sent after the clock was set."""
    clock = HandClock(moment=86_400)
    profiles = open_profiles(deliver=False, clock=clock)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = profiles.send(request())
    clock.moment = 2e9
    profiles.outbox.record.expire()

    assert "queued" == profiles.outbox.show(receipt.id).state
    clock.moment += 3 * 86_400
    profiles.outbox.record.expire()
    assert "expired" == profiles.outbox.show(receipt.id).state


def test_a_due_time_far_ahead_was_a_wrong_clock(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Nothing is put off for longer than the longest back-off."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = profiles.send(request())
    far = datetime.now(UTC).timestamp() + 10 * 365 * 86_400
    profiles.database.write(lambda c: c.execute(update(message).values(due_at=far)))
    profiles.start()

    assert profiles.outcome(receipt.id, wait=10) is not None


def test_outcomes_are_read_on_from_where_one_stopped(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Also where many were settled at the same moment."""
    clock = HandClock()
    profiles = open_profiles(deliver=False, clock=clock)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    sent = {profiles.send(request(subject=str(number))).id for number in range(5)}
    clock.moment += 10 * 86_400
    profiles.outbox.record.expire()
    read: list[str] = []
    since, after = datetime.fromtimestamp(0, UTC), ""
    while page := profiles.outbox.outcomes(since, after=after, limit=2):
        read += [one.id for one in page]
        since, after = page[-1].settled_at, page[-1].id

    assert sent == set(read)
    assert 5 == len(read)


def test_an_outcome_is_found_by_the_start_of_its_id(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """As everywhere else."""
    profiles = open_profiles()
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = profiles.send(request())

    assert profiles.outcome(receipt.id[:12], wait=10) is not None


def test_a_session_is_kept_up_to_a_limit(
    open_profiles: Open, profile_document: Document
) -> None:
    """A server that talks without end does not fill the database."""

    def script(line: Line) -> None:
        line.greet()
        line.hear()
        line.say("250 ok")
        while True:
            line.hear()
            line.say(b"".join(b"550-" + b"x" * 900 + b"\r\n" for _ in range(30)))
            line.say("550 no")

    with ScriptedServer(script) as server:
        profiles = open_profiles()
        document = {
            "name": "plant",
            "smtp": {"hostname": "127.0.0.1", "port": server.port},
            "auth": {"mode": "basic"},
        }
        profiles.profiles.apply(document, actor="test")
        people = [f"p{number}@plant.example" for number in range(20)]
        receipt = profiles.send(request(to=people))
        outcome = profiles.outcome(receipt.id, wait=20)
        profiles.close()
    assert outcome is not None
    assert "refused" == outcome.state
    again = open_profiles(deliver=False)
    entry = again.outbox.show(receipt.id)
    assert len(entry.history[0].transcript) < 100_000
    assert all(len(one.reply.text) <= 2000 for one in entry.recipients if one.reply)


def test_a_refusal_that_could_not_be_written_is_made_later(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The row is in nobody's hand meanwhile, so that it is found again."""
    profiles = open_profiles(deliver=False, pace=Pace(look_s=0.05), lease_s=1)
    document = profile_document(smtp_server)
    profiles.profiles.apply(document, actor="test")
    receipt = profiles.send(request())
    policy = {"from_addresses": ["other@plant.example"]}
    profiles.profiles.apply({**document, "policy": policy}, actor="test")
    refuse, failures = Record.refuse, [StoreUnavailable("busy")]

    def busy(*args: Any) -> None:
        if failures:
            raise failures.pop()
        refuse(*args)

    monkeypatch.setattr(Record, "refuse", busy)
    profiles.start()
    outcome = profiles.outcome(receipt.id, wait=20)

    assert outcome is not None
    assert "refused" == outcome.state
