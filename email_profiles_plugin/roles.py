"""Roles: what a person or a program may do in the console and its API."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """What a user may do; each may do what those before may."""

    VIEWER = 1
    """Look at everything but secrets."""
    OPERATOR = 2
    """Test, refresh a token, and decide on messages in the outbox."""
    ADMIN = 3
    """Change documents, grant and revoke access, and hand out API tokens."""

    @classmethod
    def named(cls, name: str) -> Role:
        """The role of that name, in small letters; ValueError."""
        try:
            return cls[name.upper()]
        except KeyError:
            names = ", ".join(str(role) for role in cls)
            raise ValueError(f"{name!r} is no role; there are {names}") from None

    def __str__(self) -> str:
        return self.name.lower()
