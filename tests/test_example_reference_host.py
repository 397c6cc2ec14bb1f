"""The example host: run as a user would, and beside a mail server that is stuck."""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from email_profiles_hookspecs import SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.reports import ReportScheduler
from email_profiles_plugin.consumers.scripting import SendEmail
from email_profiles_plugin.testing import SmtpServer

MODULE = Path(__file__).parents[1] / "examples" / "reference-host" / "plant_host.py"

DAY = """\
An alarm goes active; who is not told is on record
  alarm tank4-3: active, UNACK
  observer: alarm, by plant-alerts: accepted
  mail to anna@plant.example: Level high Active
  not told: Cleo: no contact: has no mail address
It is acknowledged from the mail: by the form, not by opening the page
  the page was opened, by a person or a scanner
  acknowledged by Anna: 'Valve closed'
  alarm tank4-3: ack, ACKED
It clears
  alarm tank4-3: clear, NORM
  observer: alarm, by plant-alerts: accepted
A report of the levels goes out on its schedule
  observer: reports, by plant-alerts: accepted
  mail to manager@plant.example: tank-levels DAY.csv, tank-levels DAY.pdf, \
tank-levels DAY.xlsx
Maintenance: a plugin of the host's holds back all but alarms
  script: Vetoed: the plant is in maintenance: send it again afterwards
  alarm tank4-5: active, UNACK
  alarm tank4-5: clear, RTNUN
  observer: alarm, by plant-alerts: accepted
  observer: alarm, by plant-alerts: accepted
The profile is renamed, and everything goes on
  alarm tank4-7: active, UNACK
  alarm tank4-7: clear, RTNUN
  observer: alarm, by site-mail: accepted
  observer: alarm, by site-mail: accepted
  observer: reports, by site-mail: accepted
  script: NotFound: there is no email profile 'plant-alerts': it is called \
'site-mail' now
  observer: script, by site-mail: accepted
The profile is deleted: refused, while documents use it
  delete: InUse: email profile 'site-mail' is used by alarm notification \
'tank-alarms', report schedule 'tank-levels': change or delete those first
Its users are deleted first, and each of them says so
  alarm tank4-9: active, UNACK
  alarms: NotFound: there is no alarm notification 'tank-alarms': it was deleted
  reports: NotFound: there is no report schedule 'tank-levels': it was deleted
  script: NotFound: there is no email profile 'site-mail': it was deleted
Nor can any document name it again
  apply: Invalid: alarm notification 'tank-alarms': $.profile: there is no email \
profile 'site-mail' (it was deleted)
  apply: Invalid: report schedule 'tank-levels': $.profile: there is no email \
profile 'site-mail' (it was deleted)
"""


def test_a_day_at_the_plant() -> None:
    """Raised, acknowledged from the mail, cleared; reported; renamed; deleted."""
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, str(MODULE)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    said = re.sub(r"\d{4}-\d\d-\d\d", "DAY", done.stdout)
    lines = [one for one in said.splitlines() if "tank 4 is at" not in one]

    assert DAY.splitlines() == lines, done.stderr
    assert (0, "") == (done.returncode, done.stderr)


def test_a_stalled_server_delays_no_hook_call(
    open_profiles: Callable[..., EmailProfiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alarms, reports and scripts are queued while the server answers nobody."""
    monkeypatch.syspath_prepend(str(MODULE.parent))
    import plant_host as host

    manager = host.PlantManager("plant_host")
    manager.register(journal := host.Journal())
    profiles = open_profiles(plugin_manager=manager)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        smtp = {"hostname": "127.0.0.1", "port": silent.getsockname()[1]}
        profile = {"name": "plant-alerts", "smtp": smtp, "auth": {"mode": "basic"}}
        profiles.profiles.apply(profile, actor="test")
        profiles.alarm_notifications.apply(host.NOTIFICATION, actor="test")
        report = {**host.REPORT, "formats": ["csv"], "cron": "@yearly"}
        profiles.report_schedules.apply(report, actor="test")
        plant = host.Plant(profiles, SmtpServer(), journal, host.Maintenance())
        request = SendRequest(
            profile="plant-alerts", from_address=host.GATEWAY, to=["a@x.example"],
            text="It is late.", origin="test",
        )  # fmt: skip

        plant.tank.fill(95.0)
        connection, _ = silent.accept()  # it is being sent; nothing is ever answered
        plant.tank.fill(70.0)
        manager.hook.email_profiles_send(request=request)
        manager.hook.email_profiles_resolve(name="plant-alerts")
        SendEmail(profiles).later(
            smtpProfile="plant-alerts", fromAddr=host.GATEWAY, to="a@x.example", body=""
        )
        sources = {"levels": plant.tank.levels}
        with ReportScheduler(profiles, sources=sources) as scheduler:
            run = scheduler.outcome(scheduler.run_now("tank-levels").id, wait=30)
        queued = profiles.outbox.list()
        settled = {profiles.outcome(one.id) for one in queued}
        heard = dict(journal.settled)
        connection.close()

    assert ("queued", "") == (run.state, run.error)
    assert ["alarm", "alarm", "reports", "script", "test"] == sorted(
        one.origin.split()[0] for one in queued
    )
    assert ({None}, {}) == (settled, heard)


def test_what_it_imports() -> None:
    """What any host may: the contract, the facade, the consumers, the servers."""
    tree = ast.parse(MODULE.read_text("utf-8"))
    modules = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }

    assert {
        "email_profiles_hookspecs",
        "email_profiles_hookspecs.errors",
        "email_profiles_plugin",
        "email_profiles_plugin.consumers.alarms",
        "email_profiles_plugin.consumers.reports",
        "email_profiles_plugin.consumers.scripting",
        "email_profiles_plugin.testing",
    } == {one for one in modules if one and one.startswith("email_profiles")}
