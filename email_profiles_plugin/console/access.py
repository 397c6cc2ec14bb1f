"""Access: who may do what. A rule is the least role; the values, and nothing more."""

from __future__ import annotations

from enum import IntEnum

from attrs import frozen


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


@frozen
class User:
    """Who asks: *name* goes into the audit trail."""

    name: str
    role: Role


Rule = Role | None
"""Who may go to a place: the least role. None: anybody, signed in or not."""


def may(user: User | None, rule: Rule) -> bool:
    """Whether *user* (None: nobody is signed in) is allowed what has *rule*."""
    return rule is None or (user is not None and user.role >= rule)
