"""
A host that tells of five alarms, and dies at a given moment.

    python alarm_host.py HOME events|mail

`events`: when they are taken, and wait for their message; `mail`: when that message is
in the outbox, and nobody noted it yet.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from typing import Any

from alarm_bench import DOCUMENT, PROFILE, SetClock, event

from email_profiles_hookspecs import Receipt, SendRequest, hookimpl
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.consumers.alarms import AlarmNotifier


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DiesWhenSent:
    """A plugin by which the process ends once a message is in the outbox."""

    @hookimpl(wrapper=True, tryfirst=True)
    def email_profiles_send(
        self, request: SendRequest
    ) -> Generator[None, Any, Receipt | None]:
        yield
        die()
        return None


def main(home: str, moment: str) -> None:
    clock = SetClock()
    profiles = EmailProfiles.open(home, only=(), deliver=False, clock=clock)
    profiles.profiles.apply(PROFILE, actor="host")
    document = {**DOCUMENT, "consolidation": {"delay_s": 10}}
    profiles.alarm_notifications.apply(document, actor="host")
    alarms = AlarmNotifier(profiles=profiles)
    for id in range(1, 6):
        alarms.notify([event(str(id))], "night-shift")
    if moment == "mail":
        profiles.plugins.manager.register(DiesWhenSent())
        clock.seconds = 10
        alarms.due()
    die()


if __name__ == "__main__":
    main(*sys.argv[1:])
