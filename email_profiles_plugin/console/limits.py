"""Limits: how often anybody may try to sign in, from one address and in all."""

from __future__ import annotations

import threading
from collections import OrderedDict
from ipaddress import ip_address, ip_network

from attrs import define, field

from email_profiles_hookspecs.services import Clock

WINDOW_S = 300
"""Seconds after which a failed attempt counts no more."""

MOST = 10
"""Failed attempts from one address within a window."""

MOST_IN_ALL = 200
"""Failed attempts within a window, wherever they come from."""

REMEMBERED = 10_000
"""Addresses that are remembered; the one that was quiet for longest is forgotten."""


@define
class Attempts:
    """The failed ones, in memory; thread-safe."""

    clock: Clock
    _by_address: OrderedDict[str, list[float]] = field(factory=OrderedDict, init=False)
    _all: list[float] = field(factory=list, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def wait_s(self, address: str) -> int:
        """Seconds until *address* may try again; 0: now."""
        now = self.clock.monotonic()
        with self._guard:
            own = self._by_address.get(network_of(address), [])
            over = [_over(own, MOST, now), _over(self._all, MOST_IN_ALL, now)]
        return max(over)

    def failed(self, address: str) -> None:
        """Note a failed attempt from *address*."""
        now, network = self.clock.monotonic(), network_of(address)
        with self._guard:
            own = self._by_address.setdefault(network, [])
            self._by_address.move_to_end(network)
            for times, most in ((own, MOST), (self._all, MOST_IN_ALL)):
                times.append(now)
                del times[:-most]
            while len(self._by_address) > REMEMBERED:
                self._by_address.popitem(last=False)


def _over(times: list[float], most: int, now: float) -> int:
    """Seconds until one of the last *most* counts no more; 0 if there are fewer."""
    if len(times) < most:
        return 0
    left = times[-most] + WINDOW_S - now
    return int(left) + 1 if left > 0 else 0


def network_of(address: str) -> str:
    """What counts as one address: all of a /64 belong to one party (RFC 4291)."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ip_network(f"{found}/64", strict=False))
