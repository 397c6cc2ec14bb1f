"""Authenticated connections, kept for the next message and bounded per profile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from time import monotonic

from attrs import define, field, frozen

from email_profiles_hookspecs.errors import TimedOut

from .dialogue import Extensions
from .wire import Wire


@define(eq=False)
class Connection:
    """A session that was greeted, secured and authenticated."""

    wire: Wire
    extensions: Extensions
    mechanism: str = ""
    opened_at: float = field(factory=monotonic)
    used_at: float = field(factory=monotonic)
    messages: int = 0
    reset: bool = False
    """RSET has to lead the next transaction."""
    reusable: bool = True


@frozen(kw_only=True)
class Keep:
    """How long a connection is kept: seconds idle, messages, seconds in all."""

    idle_s: float = 60
    messages: int = 100
    age_s: float = 600


@define
class Pool:
    """
    Connections of all profiles.

    `lease` lends one of *owner*'s, of which no more than a limit are out at a time,
    over all threads. One that was kept is looked at before it is lent again; a server
    that closes an idle connection is nothing unusual.
    """

    keep: Keep = field(factory=Keep)
    _changed: threading.Condition = field(factory=threading.Condition)
    _idle: dict[Hashable, list[Connection]] = field(factory=dict)
    _out: dict[Hashable, int] = field(factory=dict)
    _closed: bool = False

    @contextmanager
    def lease(
        self,
        owner: Hashable,
        key: Hashable,
        open: Callable[[], Connection],
        *,
        limit: int,
        deadline: float,
    ) -> Iterator[Connection]:
        """
        A connection for the time of a `with` block.

        *key* tells what makes two connections interchangeable. Waits until *deadline*
        (monotonic) while *limit* are out, then raises TimedOut. After an exception
        the connection is closed, else kept.
        """
        self._admit(owner, limit, deadline)
        connection: Connection | None = None
        try:
            connection = self._kept((owner, key)) or open()
            yield connection
        except BaseException:
            if connection is not None:
                connection.wire.close()
            raise
        else:
            self._return((owner, key), connection)
        finally:
            with self._changed:
                self._out[owner] -= 1
                self._changed.notify_all()

    def leased(self, owner: Hashable) -> int:
        """How many connections of *owner* are out."""
        with self._changed:
            return self._out.get(owner, 0)

    def sweep(self) -> None:
        """Close what was idle, or open, for too long."""
        with self._changed:
            stale = [
                (key, connection)
                for key, kept in self._idle.items()
                for connection in kept
                if not self._fresh(connection)
            ]
            for key, connection in stale:
                self._idle[key].remove(connection)
        for _, connection in stale:
            connection.wire.quit()

    def close(self) -> None:
        """Close all that is idle, and what is out when it comes back."""
        with self._changed:
            self._closed = True
            kept = [one for some in self._idle.values() for one in some]
            self._idle.clear()
        for connection in kept:
            connection.wire.quit()

    def _admit(self, owner: Hashable, limit: int, deadline: float) -> None:
        with self._changed:
            while self._out.get(owner, 0) >= limit:
                left = deadline - monotonic()
                if left <= 0:
                    raise TimedOut(
                        "connect",
                        f"all {limit} connections of the profile are busy",
                        "raise limits.max_connections if the server allows it",
                    )
                self._changed.wait(left)
            self._out[owner] = self._out.get(owner, 0) + 1

    def _kept(self, key: Hashable) -> Connection | None:
        while True:
            with self._changed:
                kept = self._idle.get(key)
                if not kept:
                    return None
                connection = kept.pop()
            if self._fresh(connection) and not connection.wire.readable():
                return connection
            connection.wire.close()

    def _return(self, key: Hashable, connection: Connection) -> None:
        connection.used_at = monotonic()
        with self._changed:
            good = connection.reusable and not self._closed and self._fresh(connection)
            if good:
                self._idle.setdefault(key, []).append(connection)
        if not good:
            connection.wire.quit()

    def _fresh(self, connection: Connection) -> bool:
        now = monotonic()
        return (
            now - connection.used_at < self.keep.idle_s
            and now - connection.opened_at < self.keep.age_s
            and connection.messages < self.keep.messages
        )
