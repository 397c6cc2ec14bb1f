"""What tests of alarm notification stand on: a clock that is set, events, mails."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field
from sqlalchemy import select

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import AlarmEvent, AlarmNotifier
from email_profiles_plugin.store.tables import message

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""A Tuesday."""

PROFILE: dict[str, Any] = {
    "name": "plant-alerts",
    "smtp": {"hostname": "127.0.0.1", "port": 2525},
    "auth": {"mode": "basic"},
}
ANNA, BERT = "anna@plant.example", "bert@plant.example"
DOCUMENT: dict[str, Any] = {
    "name": "night-shift",
    "profile": "plant-alerts",
    "from_address": "gateway@plant.example",
    "recipients": [ANNA],
}


@define
class SetClock:
    """Both clocks, as a test sets them."""

    seconds: float = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def event(number: str = "1", **changes: Any) -> AlarmEvent:
    """A tank's alarm goes active, *number* seconds after START unless it says when."""
    given = {
        "id": number,
        "source": f"plant/tank/{number}",
        "name": f"High {number}",
        "active": True,
        "transition": "active",
        "priority": "High",
        "event_time": START + timedelta(seconds=int(number)),
        **changes,
    }
    return AlarmEvent(**given)


def later(id: str, transition: str, **changes: Any) -> AlarmEvent:
    """What becomes of that alarm a minute after."""
    moment = START + timedelta(seconds=int(id) + 60)
    given = {"transition": transition, "event_time": moment, **changes}
    return event(id, **given)


@define(eq=False)
class Bench:
    """A store with the profile `plant-alerts`; nothing is sent, mails are looked at."""

    profiles: EmailProfiles
    clock: SetClock
    alarms: AlarmNotifier = field(init=False)
    seen: set[str] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.alarms = AlarmNotifier(profiles=self.profiles)
        self.profiles.profiles.apply(PROFILE, actor="test")

    def apply(self, **changes: Any) -> None:
        self.profiles.alarm_notifications.apply({**DOCUMENT, **changes}, actor="test")

    def notify(self, *events: AlarmEvent, **options: Any) -> Any:
        return self.alarms.notify(events, "night-shift", **options)

    def due(self, seconds: float) -> int:
        """It is so many seconds after START; how many mails were made."""
        self.clock.seconds = seconds
        return self.alarms.due()

    def mails(self) -> list[dict[str, Any]]:
        """The requests in the outbox that were not looked at yet, by recipient."""
        with self.profiles.database.read() as connection:
            rows = connection.execute(
                select(message.c.id, message.c.request).order_by(message.c.queued_at)
            ).all()
        new = [json.loads(row.request) for row in rows if row.id not in self.seen]
        self.seen |= {row.id for row in rows}
        return sorted(new, key=lambda one: (one["to"], one["subject"]))

    def told(self) -> list[tuple[str, str]]:
        """Recipient and subject of each mail that is new."""
        return [(one["to"][0].split("@")[0], one["subject"]) for one in self.mails()]

    def reasons(self, **options: Any) -> dict[tuple[str, str], str]:
        """Why whom was not told, by alarm and recipient."""
        found = self.alarms.trail("night-shift", left_out=True, **options)
        return {(one.alarm_id, one.who): one.reason for one in found}
