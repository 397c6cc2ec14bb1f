"""Announcement: observers are told what became of a message, each on its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pluggy
from attrs import define, field

from email_profiles_hookspecs.errors import StoreUnavailable
from email_profiles_hookspecs.services import Clock

from .store import settling, views
from .store.database import Database

log = logging.getLogger(__name__)


@define(kw_only=True, eq=False)
class Announcer:
    """Calls `email_profiles_settled` after the commit, then notes that it did."""

    database: Database
    clock: Clock
    manager: pluggy.PluginManager
    settled: threading.Condition = field(factory=threading.Condition)
    """Notified whenever something was settled in this process."""

    def observed(self) -> bool:
        """Somebody implements the hook."""
        return bool(self._observers())

    def announce(self, ids: Sequence[str], *, silent: bool = False) -> None:
        """
        Tell the observers of each of these messages that nobody was told of.

        *silent*: they were settled when nobody observed, and say so. Raises nothing:
        what was not announced is found again later.
        """
        if not ids:
            return
        with self.settled:
            self.settled.notify_all()
        if silent:
            return
        try:
            told = [id for id in ids if self._tell(id)]
            if told:
                now = self.clock.now().timestamp()
                self.database.write(lambda c: settling.announced(c, told, now))
        except StoreUnavailable as error:
            log.warning("an announcement has to wait: %s", error)

    def _observers(self) -> list[pluggy.HookImpl]:
        """In the order in which pluggy would call them."""
        found = self.manager.hook.email_profiles_settled.get_hookimpls()
        return [one for one in reversed(found) if not (one.wrapper or one.hookwrapper)]

    def _tell(self, id: str) -> bool:
        """True if the message was to be announced, and now is."""
        with self.database.read() as connection:
            outcome = views.to_announce(connection, id)
        if outcome is None:
            return False
        for observer in self._observers():
            given = {"outcome": outcome} if "outcome" in observer.argnames else {}
            try:
                observer.function(**given)
            except (Exception, SystemExit):
                name = observer.plugin_name
                log.exception("observer %s failed on %s", name, outcome.id)
        return True
