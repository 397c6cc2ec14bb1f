"""The pool: connections are lent, kept, bounded, and looked at before reuse."""

from __future__ import annotations

import sys
import threading
from collections.abc import Hashable
from time import monotonic
from typing import Any

import pytest

from email_profiles_hookspecs.errors import TimedOut
from email_profiles_plugin.smtp.dialogue import Extensions
from email_profiles_plugin.smtp.pool import Connection, Keep, Pool


class FakeWire:
    """As much of a wire as the pool asks of one."""

    def __init__(self) -> None:
        self.closed = False
        self.said_something = False

    def readable(self) -> bool:
        return self.said_something

    def close(self) -> None:
        self.closed = True

    quit = close


def connection() -> Connection:
    wire: Any = FakeWire()
    return Connection(wire, Extensions())


def lease(pool: Pool, limit: int = 1, wait: float = 0, key: Hashable = "k") -> Any:
    return pool.lease("p", key, connection, limit=limit, deadline=monotonic() + wait)


def test_a_connection_is_lent_again() -> None:
    """To the next message of the same profile and revision."""
    pool = Pool()
    with lease(pool) as first:
        pass
    with lease(pool) as second:
        pass

    assert first is second


@pytest.mark.parametrize(
    ("keep", "messages"),
    [(Keep(messages=3), 3), (Keep(idle_s=0), 0), (Keep(age_s=0), 0)],
)
def test_a_connection_is_not_kept_for_ever(keep: Keep, messages: int) -> None:
    """Messages, idle time and age are bounded."""
    pool = Pool(keep)
    with lease(pool) as first:
        first.messages = messages

    assert first.wire.closed


def test_a_connection_that_said_something_unasked_is_not_lent() -> None:
    """A server that closed an idle connection costs no message."""
    pool = Pool()
    with lease(pool) as first:
        pass
    first.wire.said_something = True
    with lease(pool) as second:
        pass

    assert first is not second
    assert first.wire.closed


def test_a_connection_that_failed_is_closed() -> None:
    """After anything but an SMTP reply nobody knows what it would say next."""
    pool = Pool()
    with pytest.raises(RuntimeError), lease(pool) as first:
        raise RuntimeError
    with lease(pool) as second:
        pass

    assert first.wire.closed
    assert first is not second


def test_no_more_connections_than_the_profile_may_have() -> None:
    """Over all threads; who waits too long is told."""
    pool = Pool()
    with lease(pool), pytest.raises(TimedOut, match="busy"), lease(pool):
        pass
    with lease(pool, limit=2), lease(pool, limit=2):
        assert 2 == pool.leased("p")


def test_threads_share_what_there_is() -> None:
    """Sixteen threads, three connections, never a fourth, nobody starved."""
    pool, peak, done = Pool(), [0], threading.Barrier(17)

    def work() -> None:
        for _ in range(20):
            with lease(pool, limit=3, wait=20):
                peak[0] = max(peak[0], pool.leased("p"))
        done.wait(20)

    for _ in range(16):
        threading.Thread(target=work, daemon=True).start()
    done.wait(20)

    assert 1 <= peak[0] <= 3


def test_nothing_idle_stays_beside_another_revision() -> None:
    """The server would count it, and refuse the new connection."""
    pool = Pool()
    with lease(pool) as old:
        pass
    with lease(pool, key="k2") as new:
        assert old.wire.closed
    with lease(pool, key="k2") as again:
        assert again is new


def test_what_comes_back_from_an_older_revision_is_closed() -> None:
    """Nobody would ask for it again."""
    pool = Pool()
    with lease(pool, limit=2) as old, lease(pool, limit=2, key="k2") as new:
        pass

    assert (True, False) == (old.wire.closed, new.wire.closed)


def test_idle_ones_count_towards_the_limit() -> None:
    """One that was lowered ends those that are too many, oldest first."""
    pool = Pool()
    with (
        lease(pool, limit=3) as a,
        lease(pool, limit=3) as b,
        lease(pool, limit=3) as c,
    ):
        pass
    with lease(pool, limit=2) as lent:
        kept = [one for one in (a, b, c) if not one.wire.closed]

        assert 2 == len(kept)
        assert lent in kept


def test_a_profile_without_connections_leaves_nothing_behind() -> None:
    """Neither after a failure, nor when what was idle has gone stale."""
    pool = Pool(Keep(idle_s=0))
    with pytest.raises(RuntimeError), lease(pool):
        raise RuntimeError
    assert not pool._shares

    pool = Pool()
    with lease(pool):
        pass
    pool.keep = Keep(idle_s=0)
    pool.sweep()
    assert not pool._shares


def test_no_more_are_open_than_the_limit_however_threads_meet() -> None:
    """Idle, out, or on their way from one to the other: none is counted twice."""
    pool, guard = Pool(), threading.Lock()
    alive = peak = made = 0

    class Counted(FakeWire):
        def close(self) -> None:
            nonlocal alive
            with guard:
                alive -= not self.closed
            super().close()

        quit = close

    def open_one() -> Connection:
        nonlocal alive, peak, made
        with guard:
            made += 1
            alive += 1
            peak = max(peak, alive)
        wire: Any = Counted()
        return Connection(wire, Extensions())

    def work() -> None:
        for _ in range(300):
            deadline = monotonic() + 30
            with pool.lease("p", "k", open_one, limit=3, deadline=deadline) as one:
                one.reusable = True

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert peak <= 3
    assert made <= 3
