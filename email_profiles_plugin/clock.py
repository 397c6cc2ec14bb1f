"""The machine's clock, and its luck: the only places where either is asked for."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from datetime import UTC, datetime

from attrs import frozen


@frozen
class SystemClock:
    """The time as this machine has it."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment; goes on while the time of day is set."""
        return time.monotonic()


@frozen
class SystemChance:
    """Randomness as this machine has it."""

    def fraction(self) -> float:
        """From 0 up to 1."""
        return random.random()

    def unique(self) -> str:
        """A new id, as 32 hexadecimal digits."""
        return uuid.uuid4().hex

    def secret(self) -> str:
        """256 bits that nobody can guess, as 43 characters that a URL may hold."""
        return secrets.token_urlsafe(32)
