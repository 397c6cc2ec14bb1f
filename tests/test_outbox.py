"""The outbox, end to end over a real server: every message has one honest outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import define, evolve

from email_profiles_hookspecs import Attachment, Outcome, SendRequest
from email_profiles_hookspecs.errors import (
    Closed,
    Conflict,
    Disabled,
    FromNotAllowed,
    IdempotencyConflict,
    Invalid,
    NotFound,
    OutboxUnavailable,
    SecretError,
    Unknown,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemChance, SystemClock
from email_profiles_plugin.outbox.delivery import Pace
from email_profiles_plugin.outbox.record import Wanted

Open = Callable[..., EmailProfiles]
Document = Callable[..., dict[str, Any]]


@define
class Soon(SystemChance):
    """No jitter: what is tried again is tried at once."""

    def fraction(self) -> float:
        return 0


class MovingClock(SystemClock):
    """The time of day, moved by a test."""

    def __init__(self) -> None:
        object.__setattr__(self, "shift", [timedelta()])

    def advance(self, ahead: timedelta) -> None:
        """From now on the time is so much ahead."""
        self.shift[0] = ahead  # type: ignore[attr-defined]

    def now(self) -> datetime:
        ahead: timedelta = self.shift[0]  # type: ignore[attr-defined]
        return datetime.now(UTC) + ahead


def request(**changes: Any) -> SendRequest:
    given = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        "subject": "Tank 4 high",
        "text": "Level is 92 %.",
        **changes,
    }
    return SendRequest(**given)


@pytest.fixture
def plant(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> EmailProfiles:
    """A store with one profile for the server; tries again at once."""
    profiles = open_profiles(chance=Soon(), pace=Pace(look_s=0.05))
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    return profiles


def settled(profiles: EmailProfiles, sent: SendRequest) -> Outcome:
    outcome = profiles.outcome(profiles.send(sent).id, wait=20)
    assert outcome is not None, "it did not settle in time"
    return outcome


def test_a_whole_message_arrives_as_it_was_rendered(
    plant: EmailProfiles, smtp_server: Any
) -> None:
    """Text, HTML, two attachments, To, Cc, Bcc and Reply-To; no Bcc in the octets."""
    outcome = settled(
        plant,
        request(
            from_address="Gateway Nord <gateway@plant.example>",
            to=["Óperator <operator@plant.example>"],
            cc=["shift@plant.example"],
            bcc=["boss@plant.example"],
            reply_to=["answers@plant.example"],
            html="<p>Level is <b>92 %</b>.</p>",
            attachments=[
                Attachment(name="trend.csv", data=b"t,v\r\n1,92\r\n"),
                Attachment(name="Schichtübersicht.pdf", data=bytes(range(256))),
            ],
        ),
    )
    (delivered,) = smtp_server.messages
    message = delivered.message
    entry = plant.outbox.show(outcome.id)

    assert ("accepted", delivered.queue_id) == (outcome.state, outcome.queue_id)
    assert (
        (
            "operator@plant.example",
            "shift@plant.example",
            "boss@plant.example",
        )
        == delivered.recipients
        == outcome.accepted
    )
    assert "gateway@plant.example" == delivered.mail_from
    assert entry.size == len(delivered.octets)
    assert outcome.message_id == message["Message-ID"]
    assert b"boss@" not in delivered.octets
    assert "answers@plant.example" == message["Reply-To"]
    assert {
        "trend.csv": b"t,v\r\n1,92\r\n",
        "Schichtübersicht.pdf": bytes(range(256)),
    } == {
        part.get_filename(): part.get_payload(decode=True)
        for part in message.iter_attachments()
    }


def test_bcc_alone_is_enough(plant: EmailProfiles, smtp_server: Any) -> None:
    """The message says so, without a name."""
    outcome = settled(plant, request(to=[], bcc=["boss@plant.example"]))

    assert ("boss@plant.example",) == outcome.accepted
    assert "undisclosed-recipients:;" == smtp_server.messages[0].message["To"]


def test_the_refused_are_named_and_the_others_served(
    plant: EmailProfiles, smtp_server: Any
) -> None:
    """Two of three, each with the server's reply."""
    smtp_server.refuse["b@plant.example"] = "550 5.1.1 no such user"
    smtp_server.refuse["c@plant.example"] = "553 5.7.1 not here"
    outcome = settled(
        plant,
        request(to=["a@plant.example"], cc=["b@plant.example", "c@plant.example"]),
    )

    assert "partly accepted" == outcome.state
    assert ("a@plant.example",) == outcome.accepted
    assert {
        "b@plant.example": "550 5.1.1 no such user",
        "c@plant.example": "553 5.7.1 not here",
    } == {who: str(reply) for who, reply in outcome.refused.items()}


def test_the_deferred_alone_are_tried_again(
    plant: EmailProfiles, smtp_server: Any
) -> None:
    """Whoever was served gets it once, with the same Message-ID for the other."""
    tries: list[str] = []
    smtp_server.refuse["late@plant.example"] = "451 4.7.1 come back later"

    def count(verb: str, reply: str) -> str:
        if reply.startswith("451"):
            tries.append(reply)
            if len(tries) == 2:
                smtp_server.refuse.clear()
        return reply

    smtp_server.before_reply = count
    outcome = settled(
        plant, request(to=["soon@plant.example"], cc=["late@plant.example"])
    )
    served = [one.recipients for one in smtp_server.messages]

    assert "accepted" == outcome.state
    assert [("soon@plant.example",), ("late@plant.example",)] == served
    assert 3 == outcome.attempt
    assert 1 == len({one.octets for one in smtp_server.messages})


def test_tries_are_bounded(plant: EmailProfiles, smtp_server: Any) -> None:
    """What is deferred to the end expires, and says why."""
    smtp_server.refuse["operator@plant.example"] = "450 4.2.0 mailbox busy"
    outcome = settled(plant, request(max_attempts=3))

    assert ("expired", 3) == (outcome.state, outcome.attempt)
    assert "RCPT: 450 4.2.0 mailbox busy" == outcome.error


def test_a_message_has_its_time(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """After not_after, or the profile's max_age_s, it expires instead of being sent."""
    clock = MovingClock()
    idle = open_profiles(deliver=False, clock=clock)
    idle.profiles.apply(profile_document(smtp_server), actor="test")
    soon = idle.send(request(not_after=clock.now() + timedelta(minutes=5)))
    late = idle.send(request())
    clock.advance(timedelta(minutes=6))
    idle.outbox.record.expire()
    first = idle.outcome(soon.id)
    assert first is not None
    assert "expired" == first.state
    assert idle.outcome(late.id) is None

    clock.advance(timedelta(days=3))
    idle.outbox.record.expire()
    second = idle.outcome(late.id)
    assert second is not None
    assert "expired" == second.state
    assert [] == smtp_server.messages


def test_a_mistyped_password_refuses_no_mail(
    plant: EmailProfiles, smtp_server: Any
) -> None:
    """Fifty messages wait while the profile is paused; corrected, all go out."""
    right = smtp_server.users["gateway"]
    plant.profiles.set_secret("plant", "password", "mistyped", actor="test")
    ids = [plant.send(request(text=str(number))).id for number in range(50)]
    smtp_server.wait_until(lambda server: "AUTH" in server.commands)
    health = wait_for_pause(plant)

    assert "535" in health.reason
    assert {"queued": 50} == plant.outbox.stats()
    plant.profiles.set_secret("plant", "password", right, actor="test")
    outcomes = [plant.outcome(id, wait=30) for id in ids]
    assert ["accepted"] * 50 == [one.state for one in outcomes if one is not None]
    assert 50 == len(smtp_server.messages)
    assert 0 == plant.health("plant").failures


def wait_for_pause(profiles: EmailProfiles) -> Any:
    for _ in range(200):
        health = profiles.health("plant")
        if health.failures and not profiles.outbox.list(state="sending"):
            return health
        threading.Event().wait(0.05)
    raise AssertionError("the profile was not paused")


def test_a_secret_that_is_missing_pauses_the_profile(
    plant: EmailProfiles, smtp_server: Any, profile_document: Document
) -> None:
    """The message waits; the reason names the variable."""
    document = profile_document(smtp_server)
    document["auth"]["password"] = {"env": "NO_SUCH_VARIABLE_HERE"}
    plant.profiles.apply(document, actor="test")
    receipt = plant.send(request())

    assert "NO_SUCH_VARIABLE_HERE" in wait_for_pause(plant).reason
    assert plant.outcome(receipt.id) is None


def test_a_disabled_profile_refuses_new_mail_and_holds_the_old(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Until it is enabled again."""
    profiles = open_profiles(deliver=False, pace=Pace(look_s=0.05))
    document = profile_document(smtp_server)
    profiles.profiles.apply(document, actor="test")
    receipt = profiles.send(request())
    profiles.profiles.apply({**document, "enabled": False}, actor="test")
    with pytest.raises(Disabled):
        profiles.send(request())
    profiles.start()
    assert profiles.outcome(receipt.id, wait=0.5) is None

    profiles.profiles.apply({**document, "enabled": True}, actor="test")
    assert profiles.outcome(receipt.id, wait=10) is not None


def test_a_key_queues_once(plant: EmailProfiles, smtp_server: Any) -> None:
    """The same content gives the same receipt; other content is a conflict."""
    first = plant.send(request(idempotency_key="k", origin="alarms"))
    again = plant.send(request(idempotency_key="k", origin="alarms"))
    other = plant.send(request(idempotency_key="k", origin="reports"))
    plant.outcome(first.id, wait=10)
    plant.outcome(other.id, wait=10)

    assert (first.id, False, True) == (again.id, first.duplicate, again.duplicate)
    assert first.message_id == again.message_id
    assert other.id != first.id
    with pytest.raises(IdempotencyConflict):
        plant.send(request(idempotency_key="k", origin="alarms", text="other"))
    assert 2 == len(smtp_server.messages)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"profile": "nobody"}, NotFound),
        ({"to": []}, Invalid),
        ({"to": ["no address"]}, Invalid),
        ({"subject": "a\r\nBcc: x@y"}, Invalid),
        ({"lane": "express"}, Invalid),
        ({"priority": 9}, Invalid),
        ({"max_attempts": 0}, Invalid),
        ({"origin": "x" * 201}, Invalid),
        ({"headers": {"From": "x@y"}}, Invalid),
    ],
)
def test_what_can_never_be_sent_is_refused_at_once(
    plant: EmailProfiles, changes: dict[str, Any], error: type[Exception]
) -> None:
    """And nothing of it is queued."""
    with pytest.raises(error):
        plant.send(request(**changes))
    assert {} == plant.outbox.stats()


def test_a_profile_binds_whom_it_sends_as(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """When a message is queued, and again when it is sent."""
    profiles = open_profiles(deliver=False)
    document = profile_document(
        smtp_server, policy={"from_addresses": ["plant.example"]}
    )
    profiles.profiles.apply(document, actor="test")
    with pytest.raises(FromNotAllowed, match=r"may send as plant\.example"):
        profiles.send(request(from_address="boss@other.example"))
    with pytest.raises(FromNotAllowed):
        profiles.send(request(sender="boss@other.example"))
    receipt = profiles.send(request(from_address="Name <a@PLANT.example>"))
    narrower = {**document, "policy": {"from_addresses": ["b@plant.example"]}}
    profiles.profiles.apply(narrower, actor="test")
    profiles.start()
    outcome = profiles.outcome(receipt.id, wait=10)

    assert outcome is not None
    assert "refused" == outcome.state
    assert "may not send as a@PLANT.example" in outcome.error
    assert [] == smtp_server.messages


def test_a_dry_run_is_rendered_stored_and_not_sent(
    plant: EmailProfiles, smtp_server: Any
) -> None:
    """With an outcome that says so."""
    outcome = settled(plant, request(dry_run=True))

    assert ("dry run", ()) == (outcome.state, outcome.accepted)
    assert [] == smtp_server.messages


def test_an_urgent_message_overtakes(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Alarm before normal before bulk, whatever was queued first."""
    profiles = open_profiles(deliver=False, pace=Pace(threads=1))
    document = profile_document(smtp_server, limits={"max_connections": 1})
    profiles.profiles.apply(document, actor="test")
    ids = [
        profiles.send(request(subject=lane, lane=lane)).id
        for lane in ("bulk", "normal", "bulk", "alarm")
    ]
    profiles.start()
    for id in ids:
        profiles.outcome(id, wait=10)

    arrived = [one.message["Subject"] for one in smtp_server.messages]
    assert ["alarm", "normal", "bulk", "bulk"] == arrived


def test_no_more_connections_than_the_limit(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Over all threads, while many messages go out."""
    profiles = open_profiles(pace=Pace(threads=8, look_s=0.05))
    document = profile_document(smtp_server, limits={"max_connections": 2})
    profiles.profiles.apply(document, actor="test")
    ids = [profiles.send(request(text=str(number))).id for number in range(40)]
    for id in ids:
        assert profiles.outcome(id, wait=30) is not None

    assert smtp_server.peak_sessions <= 2
    assert 40 == len(smtp_server.messages)


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"messages_per_minute": 2}, 2),
        ({"recipients_per_day": 3}, 2),
        ({"recipients_per_day": 1}, 0),
        ({}, 10),
    ],
)
def test_limits_of_the_provider_are_kept(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    limits: dict[str, int],
    left: int,
) -> None:
    """So many messages a minute, so many recipients a day; the rest waits."""
    profiles = open_profiles(deliver=False)
    document = profile_document(smtp_server)
    profiles.profiles.apply(document, actor="test")
    profiles.deliver(request(), timeout=10)
    limits = {
        **limits,
        "messages_per_minute": limits.get("messages_per_minute", 99) + 1,
    }
    profiles.profiles.apply({**document, "limits": limits}, actor="test")
    for number in range(10):
        profiles.send(request(text=str(number)))
    profile = profiles.resolve("plant")
    assert profile is not None
    owner = profiles.outbox.worker.enlist()

    claimed = profiles.outbox.record.claim(profile, Wanted(owner=owner, limit=100))
    assert left == len(claimed)
    more = profiles.outbox.record.claim(profile, Wanted(owner=owner, limit=100))
    assert () == more


def test_many_recipients_are_split_over_transactions(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Each gets it once; the outcome is one."""
    profiles = open_profiles()
    document = profile_document(smtp_server, limits={"recipients_per_message": 2})
    profiles.profiles.apply(document, actor="test")
    people = [f"r{number}@plant.example" for number in range(5)]
    outcome = settled(profiles, request(to=people))

    assert tuple(people) == outcome.accepted
    assert [2, 2, 1] == [len(one.recipients) for one in smtp_server.messages]


def test_what_waits_can_be_cancelled(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """By hand, with the actor's name; what is settled can not."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = profiles.send(request())
    profiles.outbox.cancel(receipt.id[:8], actor="ann")
    outcome = profiles.outcome(receipt.id)

    assert outcome is not None
    assert "cancelled" == outcome.state
    with pytest.raises(Conflict):
        profiles.outbox.cancel(receipt.id, actor="ann")
    (entry,) = profiles.trail(subject_id=receipt.id)
    assert ("ann", "cancel") == (entry.actor, entry.action)


def test_what_failed_can_be_sent_again(plant: EmailProfiles, smtp_server: Any) -> None:
    """To all that did not get it, with the same Message-ID."""
    smtp_server.refuse["operator@plant.example"] = "550 5.1.1 no such user"
    outcome = settled(plant, request(cc=["shift@plant.example"]))
    assert "partly accepted" == outcome.state
    smtp_server.refuse.clear()
    plant.outbox.retry(outcome.id, actor="ann")
    again = plant.outcome(outcome.id, wait=10)

    assert again is not None
    assert "accepted" == again.state
    assert [("shift@plant.example",), ("operator@plant.example",)] == [
        one.recipients for one in smtp_server.messages
    ]
    with pytest.raises(Conflict, match="nothing to retry"):
        plant.outbox.retry(outcome.id, actor="ann")


def lose_the_reply(server: Any) -> None:
    """The server takes the message, and hangs up instead of saying so."""

    def cut(verb: str, reply: str) -> str | None:
        return None if verb == "." else reply

    server.before_reply = cut


@pytest.mark.parametrize(
    ("lane", "on_unknown", "state"),
    [
        ("normal", "auto", "unknown"),
        ("alarm", "auto", "accepted"),
        ("alarm", "hold", "unknown"),
        ("bulk", "retry", "accepted"),
    ],
)
def test_a_lost_reply_is_unknown_and_the_policy_decides(
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    lane: str,
    on_unknown: str,
    state: str,
) -> None:
    """Held for a person, or sent again with the same Message-ID."""
    profiles = open_profiles(chance=Soon(), pace=Pace(look_s=0.05))
    document = profile_document(smtp_server, policy={"on_unknown": on_unknown})
    profiles.profiles.apply(document, actor="test")
    lose_the_reply(smtp_server)
    receipt = profiles.send(request(lane=lane))
    smtp_server.wait_for(1)
    if state == "accepted":
        smtp_server.before_reply = None
    outcome = profiles.outcome(receipt.id, wait=20)

    assert outcome is not None
    assert state == outcome.state
    ids = {one.message["Message-ID"] for one in smtp_server.messages}
    assert {receipt.message_id} == ids


@pytest.mark.parametrize(
    ("decision", "state"),
    [("accepted", "accepted"), ("not sent", "cancelled"), ("retry", "accepted")],
)
def test_a_person_decides_on_what_is_unknown(
    plant: EmailProfiles, smtp_server: Any, decision: Any, state: str
) -> None:
    """After looking at the server; observers are told again."""
    lose_the_reply(smtp_server)
    outcome = settled(plant, request())
    assert "unknown" == outcome.state
    smtp_server.before_reply = None
    plant.outbox.settle(outcome.id, decision, actor="ann")
    decided = plant.outcome(outcome.id, wait=10)

    assert decided is not None
    assert state == decided.state
    assert (2 if decision == "retry" else 1) == len(smtp_server.messages)
    with pytest.raises(Conflict):
        plant.outbox.settle(outcome.id, "accepted", actor="ann")


def test_a_caller_that_waits_sends_its_own_row(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """With nobody else delivering."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    outcome = profiles.deliver(request(), timeout=10)

    assert ("accepted", 1) == (outcome.state, outcome.attempt)


def test_a_waiting_caller_is_never_told_failed_and_served_later(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """At its timeout the row is cancelled, with the reason of the last failure."""
    profiles = open_profiles(deliver=False, chance=Soon())
    document = profile_document(smtp_server)
    document["auth"]["password"] = "wrong"
    profiles.profiles.apply(document, actor="test")
    outcome = profiles.deliver(request(), timeout=10)

    assert "cancelled" == outcome.state
    assert "535" in outcome.error
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    profiles.start()
    profiles.deliver(request(subject="second"), timeout=10)
    assert ["second"] == [one.message["Subject"] for one in smtp_server.messages]


def test_a_waiting_caller_tries_again_within_its_time(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """A temporary failure is no reason to give up."""
    profiles = open_profiles(deliver=False, chance=Soon())
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    smtp_server.data_reply = "451 4.3.0 try again"

    def calm(verb: str, reply: str) -> str:
        if verb == ".":
            smtp_server.data_reply = None
        return reply

    smtp_server.before_reply = calm
    outcome = profiles.deliver(request(), timeout=10)

    assert ("accepted", 2) == (outcome.state, outcome.attempt)


def test_a_waiting_caller_learns_that_nobody_knows_yet(
    plant: EmailProfiles, smtp_server: Any
) -> None:
    """Somebody else is sending it when its time is over: Unknown, with the id."""
    smtp_server.hold.close()
    queued = plant.send(request(idempotency_key="k"))
    smtp_server.hold.wait_held()
    with pytest.raises(Unknown) as caught:
        plant.deliver(request(idempotency_key="k"), timeout=0.3)
    smtp_server.hold.open()

    assert queued.id == caught.value.id
    assert plant.outcome(queued.id, wait=10) is not None


def test_a_secret_that_can_not_be_read_queues_nothing_for_a_waiting_caller(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """It is told at once."""
    profiles = open_profiles(deliver=False)
    document = profile_document(smtp_server)
    document["auth"]["password"] = {"file": "/nowhere/at/all"}
    profiles.profiles.apply(document, actor="test")

    with pytest.raises(SecretError, match="/nowhere/at/all"):
        profiles.deliver(request(), timeout=5)
    assert {} == profiles.outbox.stats()


def test_a_store_that_can_not_be_written_says_so(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """OutboxUnavailable: the caller still has its message."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    other = profiles.database.engine.raw_connection()
    other.cursor().execute("BEGIN EXCLUSIVE")
    busy = profiles.database.engine.pool
    try:
        with pytest.MonkeyPatch.context() as patch:
            from email_profiles_plugin.store import database

            patch.setattr(database, "BUSY_MS", 0)
            with profiles.database.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout = 50")
            with pytest.raises(OutboxUnavailable, match="locked"):
                profiles.send(request())
    finally:
        other.cursor().execute("ROLLBACK")
        other.close()
        del busy


def test_after_close_nothing_is_sent(plant: EmailProfiles) -> None:
    """It says that it was closed."""
    plant.close()

    with pytest.raises(Closed):
        plant.send(request())


def test_outcomes_are_listed_since_a_moment(plant: EmailProfiles) -> None:
    """For hosts whose workers run elsewhere."""
    before = datetime.now(UTC)
    first = settled(plant, request())
    second = settled(plant, request())

    assert [first.id, second.id] == [one.id for one in plant.outcomes(before)]
    assert [] == plant.outcomes(datetime.now(UTC))


def test_old_messages_are_forgotten(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """After the retention, and never while their key could still be used."""
    clock = MovingClock()
    profiles = open_profiles(deliver=False, clock=clock, retention_days=1)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    profiles.deliver(request(), timeout=10)
    clock.advance(timedelta(days=8))
    profiles.outbox.heart._sweep()
    assert 1 == len(profiles.outbox.list())

    clock.advance(timedelta(days=10))
    profiles.outbox.heart._swept_at = None
    profiles.outbox.heart._sweep()
    assert [] == profiles.outbox.list()


def test_a_message_tells_its_story(plant: EmailProfiles, smtp_server: Any) -> None:
    """Every attempt, with its replies and its redacted session."""
    smtp_server.data_reply = "451 4.3.0 try again"

    def calm(verb: str, reply: str) -> str:
        if verb == ".":
            smtp_server.data_reply = None
        return reply

    smtp_server.before_reply = calm
    outcome = settled(plant, request())
    entry = plant.outbox.show(outcome.id)
    first, second = entry.history

    assert ["retry", "accepted"] == [first.verdict, second.verdict]
    assert "end of data: 451 4.3.0 try again" == first.error
    assert first.handed_at is not None
    assert "C: MAIL FROM:<gateway@plant.example>" in first.transcript
    password = smtp_server.users["gateway"]
    assert password not in first.transcript + second.transcript
    assert evolve(entry, history=()).queue_id == second.queue_id


class StoppedClock(SystemClock):
    """It is noon, and stays so."""

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_the_list_is_read_page_by_page(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """The newest first, those queued at the same moment too; by recipient, or id."""
    profiles = open_profiles(deliver=False, clock=StoppedClock())
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    ids = [profiles.send(request(to=[f"op{n}@plant.example"])).id for n in range(5)]

    def read_on() -> list[str]:
        found: list[str] = []
        while True:
            after = found[-1] if found else None
            page = profiles.outbox.list(limit=2, after=after)
            found += [one.id for one in page]
            if not page:
                return found

    assert sorted(ids, reverse=True) == read_on()
    assert [ids[3]] == [one.id for one in profiles.outbox.list(text="OP3@plant")]
    assert [ids[2]] == [one.id for one in profiles.outbox.list(text=ids[2][:20])]
    assert [] == profiles.outbox.list(text="op%")
    assert [] == profiles.outbox.list(text="\ud800")
    assert [] == profiles.outbox.list(after="gone")


def test_the_header_is_shown_without_the_body(plant: EmailProfiles) -> None:
    """As it went out; nothing of a message that is not there."""
    sent = settled(plant, request(subject="Tank 4 high", text="Level is 92 %."))
    header = plant.outbox.header(sent.id)

    assert "Subject: Tank 4 high\r\n" in header
    assert "Level" not in header
    assert "" == plant.outbox.header("nothing")


def test_the_trail_is_read_page_by_page(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """By the entry before; by a word of who did it, or to what."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    for actor in ("anna", "bert"):
        profiles.outbox.cancel(profiles.send(request()).id, actor)
    first, second, third = profiles.trail()

    assert [second, third] == profiles.trail(after=first.id)
    assert [second] == profiles.trail(text="ANN")
    assert [third] == profiles.trail(text="plant", subject_id=third.subject_id)
    assert [] == profiles.trail(text="\ud800")
