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
    chunking: bool = False
    """The server has taken a BDAT."""
    reusable: bool = True


@frozen(kw_only=True)
class Keep:
    """How long a connection is kept: seconds idle, messages, seconds in all."""

    idle_s: float = 60
    messages: int = 100
    age_s: float = 600


@define
class _Share:
    """One owner's connections: how many are out, and those idle, all with one *key*."""

    key: Hashable
    out: int = 0
    waiting: int = 0
    idle: list[Connection] = field(factory=list)


@define
class Pool:
    """
    Connections of all profiles.

    `lease` lends one of *owner*'s, of which there are no more than a limit at a time,
    idle or out, over all threads. One that was kept is looked at before it is lent
    again; a server that closes an idle connection is nothing unusual.
    """

    keep: Keep = field(factory=Keep)
    _changed: threading.Condition = field(factory=threading.Condition)
    _shares: dict[Hashable, _Share] = field(factory=dict)
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

        *key* tells what makes two connections interchangeable; idle ones with another
        are closed. Waits until *deadline* (monotonic) while *limit* are out, then
        raises TimedOut. After an exception the connection is closed, else kept.
        """
        with self._changed:
            share = self._admit(owner, key, limit, deadline)
            connection = self._kept(share, key, limit)
        try:
            connection = connection or open()
            yield connection
        except BaseException:
            if connection is not None:
                connection.wire.close()
            self._return(share, owner, key, None)
            raise
        self._return(share, owner, key, connection)

    def leased(self, owner: Hashable) -> int:
        """How many connections of *owner* are out."""
        with self._changed:
            share = self._shares.get(owner)
            return share.out if share else 0

    def awaited(self, owner: Hashable) -> bool:
        """Somebody waits for a connection of *owner*."""
        with self._changed:
            share = self._shares.get(owner)
            return share is not None and share.waiting > 0

    def sweep(self) -> None:
        """Close what was idle, or open, for too long."""
        with self._changed:
            for owner, share in list(self._shares.items()):
                for one in [one for one in share.idle if not self._fresh(one)]:
                    share.idle.remove(one)
                    one.wire.quit()
                self._forget(owner)

    def close(self) -> None:
        """Close all that is idle, and what is out when it comes back."""
        with self._changed:
            self._closed = True
            kept = [one for share in self._shares.values() for one in share.idle]
            for share in self._shares.values():
                share.idle = []
        for connection in kept:
            connection.wire.quit()

    def _admit(
        self, owner: Hashable, key: Hashable, limit: int, deadline: float
    ) -> _Share:
        while (share := self._shares.setdefault(owner, _Share(key))).out >= limit:
            left = deadline - monotonic()
            if left <= 0:
                raise TimedOut(
                    "connect",
                    f"all {limit} connections of the profile are busy",
                    "raise limits.max_connections if the server allows it",
                )
            share.waiting += 1
            try:
                self._changed.wait(left)
            finally:
                share.waiting -= 1
        share.out += 1
        return share

    def _kept(self, share: _Share, key: Hashable, limit: int) -> Connection | None:
        """
        One to lend again, or None for a new one.

        What may not stay beside it is closed before anybody else is let in.
        """
        found = None
        if share.key != key:
            self._end(share.idle)
            share.idle, share.key = [], key
        while share.idle and found is None:
            one = share.idle.pop()
            if self._fresh(one) and not one.wire.readable():
                found = one
            else:
                one.wire.quit()
        surplus = len(share.idle) + share.out - limit
        self._end(share.idle[: max(surplus, 0)])
        del share.idle[: max(surplus, 0)]
        return found

    def _end(self, connections: list[Connection]) -> None:
        for one in connections:
            one.wire.quit()

    def _return(
        self,
        share: _Share,
        owner: Hashable,
        key: Hashable,
        connection: Connection | None,
    ) -> None:
        """One step from out to idle, or closed: nobody ever counts it twice."""
        with self._changed:
            if connection is not None:
                connection.used_at = monotonic()
                good = connection.reusable and self._fresh(connection)
                if good and not self._closed and share.key == key:
                    share.idle.append(connection)
                else:
                    connection.wire.quit()
            share.out -= 1
            self._forget(owner)
            self._changed.notify_all()

    def _forget(self, owner: Hashable) -> None:
        """Profiles come and go; nothing stays of one without connections."""
        share = self._shares[owner]
        if not share.out and not share.idle:
            del self._shares[owner]

    def _fresh(self, connection: Connection) -> bool:
        now = monotonic()
        return (
            now - connection.used_at < self.keep.idle_s
            and now - connection.opened_at < self.keep.age_s
            and connection.messages < self.keep.messages
        )
