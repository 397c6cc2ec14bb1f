"""A host of email profiles: a plant with one tank, its alarms and its daily report."""

from __future__ import annotations

import logging
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from urllib.parse import urlencode
from urllib.request import urlopen

import pluggy
import uvicorn
from attrs import define, evolve, field

from email_profiles_hookspecs import (
    AcceptsEmailProfiles,
    Outcome,
    SendRequest,
    hookimpl,
)
from email_profiles_hookspecs.errors import EmailProfilesError, Vetoed
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import (
    Acknowledgement,
    AlarmEvent,
    AlarmNotifier,
    acknowledgement_app,
)
from email_profiles_plugin.consumers.reports import Occasion, ReportScheduler, Table
from email_profiles_plugin.consumers.scripting import SendEmail
from email_profiles_plugin.testing import SmtpServer

GATEWAY, HIGH = "gateway@plant.example", 90
NOTIFICATION = {
    "name": "tank-alarms",
    "profile": "plant-alerts",
    "from_address": f"Gateway <{GATEWAY}>",
    "subject": "{name} {eventState}",
    "message": "{source} is at {eventValue|0.0} %.",
    "roster": [{"name": "Anna", "addresses": ["anna@plant.example"]}, {"name": "Cleo"}],
    "filter": {"transitions": ["active", "clear"]},
}
REPORT = {
    "name": "tank-levels",
    "title": "Tank levels",
    "profile": "plant-alerts",
    "from_address": f"Reports <{GATEWAY}>",
    "to": ["manager@plant.example"],
    "source": {"callable": "levels"},
    "formats": ["csv", "xlsx", "pdf"],
    "cron": "*/3 * * * * *",  # six fields begin with seconds; a plant has "0 6 * * *"
}


class PlantManager(AcceptsEmailProfiles, pluggy.PluginManager):
    """The host's own plugin manager, which takes the hooks of email profiles too."""


@define
class Journal:
    """A plugin of the host's: it observes, and must not block."""

    settled: dict[str, SimpleQueue[Outcome]] = field(
        factory=lambda: defaultdict(SimpleQueue)
    )

    @hookimpl
    def email_profiles_settled(self, outcome: Outcome) -> None:
        self.settled[outcome.origin.split()[0]].put(outcome)

    def next(self, origin: str, profile: str) -> Outcome:
        """What became of the next message that *origin* sent by *profile*."""
        while (outcome := self.settled[origin].get(timeout=60)).profile != profile:
            continue
        print(f"  observer: {origin}, by {profile}: {outcome.state}")
        return outcome


@define
class Maintenance:
    """Another plugin: asked first, it lets nothing but alarms out during the works."""

    on: bool = False

    @hookimpl(tryfirst=True)
    def email_profiles_send(self, request: SendRequest) -> None:
        if self.on and request.lane != "alarm":
            raise Vetoed("the plant is in maintenance", "send it again afterwards")


@define
class Tank:
    """A tank: who raises its level may raise an alarm."""

    tell: Callable[[AlarmEvent], None]
    readings: list[tuple[datetime, float]] = field(factory=list)
    alarm: AlarmEvent | None = None
    acknowledged: threading.Event = field(factory=threading.Event)

    def fill(self, *levels: float) -> None:
        """The level rises and falls."""
        for level in levels:
            now = datetime.now(UTC)
            self.readings.append((now, level))
            print(f"  tank 4 is at {level} %")
            if level >= HIGH and self.alarm is None:
                event = AlarmEvent(id=f"tank4-{len(self.readings)}", event_time=now,
                                   source="plant/tank/4", name="Level high",
                                   active=True, transition="active", priority="High",
                                   event_value=level)  # fmt: skip
                self.happens(event)
            elif level < HIGH and self.alarm is not None:
                self.happens(evolve(self.alarm, active=False, transition="clear",
                                    event_time=now, event_value=level))  # fmt: skip
                self.alarm = None

    def happens(self, event: AlarmEvent) -> None:
        self.alarm = event
        print(f"  alarm {event.id}: {event.transition}, {event.isa_state}")
        self.tell(event)

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """The notifier calls this, in a thread of its own; twice does no harm."""
        print(f"  acknowledged by {acknowledgement.who}: {acknowledgement.note!r}")
        known = {event.id for event in acknowledgement.events}
        if self.alarm is not None and self.alarm.id in known and not self.alarm.acked:
            self.happens(evolve(self.alarm, acked=True, transition="ack",
                                ack_user=acknowledgement.who,
                                event_time=datetime.now(UTC)))  # fmt: skip
        self.acknowledged.set()

    def levels(self, occasion: Occasion) -> Table:
        """The source of the report; it is called in a thread of the scheduler's."""
        return Table(["at", "level"], list(self.readings))


@contextmanager
def served(alarms: AlarmNotifier) -> Iterator[str]:
    """The acknowledgement pages on loopback; yields their address."""
    config = uvicorn.Config(acknowledgement_app(alarms), port=0, log_config=None)
    server, listener = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@define
class Plant:
    """The host: its parts, and what happens to it."""

    profiles: EmailProfiles
    server: SmtpServer
    journal: Journal
    maintenance: Maintenance
    tank: Tank = field(init=False)
    alarms: AlarmNotifier = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tank = Tank(self.tell)
        self.alarms = AlarmNotifier(
            profiles=self.profiles, acknowledged=self.tank.acknowledge
        )

    def tell(self, event: AlarmEvent) -> None:
        """The alarm pipeline: returns when the mail is queued, and waits for nobody."""
        self.tried("alarms", lambda: self.alarms.notify([event], "tank-alarms"))

    def tried(self, who: str, what: Callable[[], object]) -> None:
        """Do *what*, or say why not: every error of the contract is one sentence."""
        try:
            what()
        except EmailProfilesError as error:
            print(f"  {who}: {type(error).__name__}: {error}")

    def arrived(self, origin: str, profile: str) -> EmailMessage:
        """The mail of the next message by *profile*, as the mail server has it."""
        id = self.journal.next(origin, profile).message_id
        got = [one.message for one in self.server.messages]
        return next(mail for mail in got if mail["Message-ID"] == id)

    def raises_an_alarm(self) -> None:
        """It goes active, is acknowledged from the mail, and clears."""
        print("An alarm goes active; who is not told is on record")
        self.tank.fill(71.5, 84.0, 92.4)
        mail = self.arrived("alarm", "plant-alerts")
        print(f"  mail to {mail['To']}: {mail['Subject']}")
        for entry in self.alarms.trail("tank-alarms", left_out=True):
            print(f"  not told: {entry.who}: {entry.reason}")
        print("It is acknowledged from the mail: by the form, not by opening the page")
        (link,) = re.findall(r"http://\S+", mail.get_content())
        urlopen(link).close()
        print("  the page was opened, by a person or a scanner")
        urlopen(link, urlencode({"note": "Valve closed"}).encode()).close()
        self.tank.acknowledged.wait(30)
        print("It clears")
        self.tank.fill(88.0)
        self.arrived("alarm", "plant-alerts")

    def reports(self) -> None:
        """A report goes out on its schedule."""
        print("A report of the levels goes out on its schedule")
        self.profiles.report_schedules.apply(REPORT, actor="engineer")
        mail = self.arrived("reports", "plant-alerts")
        files = sorted(str(part.get_filename()) for part in mail.iter_attachments())
        print(f"  mail to {mail['To']}: {', '.join(files)}")

    def is_maintained(self) -> None:
        """Alarms go out; scripts are told why they don't."""
        print("Maintenance: a plugin of the host's holds back all but alarms")
        self.maintenance.on = True
        self.script("plant-alerts")
        self.tank.fill(91.0, 80.0)
        self.arrived("alarm", "plant-alerts")
        self.arrived("alarm", "plant-alerts")
        self.maintenance.on = False

    def renames(self) -> None:
        """Documents follow; code that has the old name is told the new one."""
        print("The profile is renamed, and everything goes on")
        self.profiles.profiles.rename("plant-alerts", "site-mail", actor="engineer")
        self.tank.fill(95.0, 70.0)
        self.arrived("alarm", "site-mail")
        self.arrived("alarm", "site-mail")
        self.arrived("reports", "site-mail")
        self.script("plant-alerts")
        self.script("site-mail")

    def deletes(self, scheduler: ReportScheduler) -> None:
        """Refused while it is used; when it is gone, whoever wants it is told."""
        profiles = self.profiles
        print("The profile is deleted: refused, while documents use it")
        delete = partial(profiles.profiles.delete, "site-mail", actor="engineer")
        self.tried("delete", delete)
        print("Its users are deleted first, and each of them says so")
        profiles.alarm_notifications.delete("tank-alarms", actor="engineer")
        profiles.report_schedules.delete("tank-levels", actor="engineer")
        for run in scheduler.reports.runs():  # what was begun may end
            ended = scheduler.outcome(run.id, wait=30)
            if ended.message_id is not None:
                profiles.outcome(ended.message_id, wait=10)
        delete()
        self.tank.fill(93.0)
        self.tried("reports", lambda: scheduler.run_now("tank-levels"))
        self.script("site-mail")
        print("Nor can any document name it again")
        for documents, one in (
            (profiles.alarm_notifications, NOTIFICATION),
            (profiles.report_schedules, REPORT),
        ):
            again = {**one, "profile": "site-mail"}
            self.tried("apply", partial(documents.apply, again, actor="engineer"))

    def script(self, name: str) -> None:
        """As `system.net.sendEmail` is called."""
        send_email = SendEmail(self.profiles)

        def call() -> None:
            send_email(smtpProfile=name, fromAddr=GATEWAY, to="shift@plant.example",
                       subject="Shift", body="All is quiet.")  # fmt: skip
            self.arrived("script", name)

        self.tried("script", call)


def main() -> None:
    """A day at the plant, in less than a minute."""
    logging.disable()  # what the parts log is printed here
    manager = PlantManager("plant_host")
    manager.register(journal := Journal())
    manager.register(maintenance := Maintenance())
    with (
        TemporaryDirectory() as home,
        SmtpServer() as server,
        EmailProfiles.open(home, plugin_manager=manager) as profiles,
    ):
        smtp = {"hostname": server.host, "port": server.port}
        profile = {"name": "plant-alerts", "smtp": smtp, "auth": {"mode": "basic"}}
        profiles.profiles.apply(profile, actor="engineer")
        plant = Plant(profiles, server, journal, maintenance)
        sources = {"levels": plant.tank.levels}
        with (
            plant.alarms,
            served(plant.alarms) as url,
            ReportScheduler(profiles, sources=sources, look_s=1) as scheduler,
        ):
            link = {"acknowledgement": {"url": url}}
            profiles.alarm_notifications.apply({**NOTIFICATION, **link}, actor="main")
            plant.raises_an_alarm()
            plant.reports()
            plant.is_maintained()
            plant.renames()
            plant.deletes(scheduler)


if __name__ == "__main__":
    main()
