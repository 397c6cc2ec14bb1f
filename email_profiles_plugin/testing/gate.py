"""
A gate at which a server holds its answers until a test lets them go.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future


class Gate:
    """
    Lets everyone pass while open, as at first; holds them while closed.

    Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._held: list[Future[None]] = []

    @property
    def held(self) -> int:
        """How many are being held now."""
        return len(self._held)

    def close(self) -> None:
        """Hold everyone who comes from now on."""
        with self._changed:
            self._closed = True

    def open(self) -> None:
        """Let everyone held go, and whoever comes later pass."""
        with self._changed:
            self._closed = False
            going, self._held = self._held, []
        for waiter in going:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)

    def dismiss(self) -> None:
        """Cancel everyone held: the server is going down."""
        for waiter in tuple(self._held):
            waiter.cancel()

    def pass_through(self) -> Future[None]:
        """What is done when the caller may pass; cancelling it gives the place up."""
        waiter: Future[None] = Future()
        with self._changed:
            if self._closed:
                self._held.append(waiter)
                self._changed.notify_all()
            else:
                waiter.set_result(None)
        waiter.add_done_callback(self._leave)
        return waiter

    def wait_held(self, count: int = 1, timeout: float = 10) -> None:
        """Return when *count* are held; TimeoutError after *timeout* seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.held >= count, timeout):
                raise TimeoutError(f"{self.held} held, not {count}, in {timeout} s")

    def _leave(self, waiter: Future[None]) -> None:
        with self._changed:
            if waiter in self._held:
                self._held.remove(waiter)
