"""Access: who may do what. A rule is the least role; the values, and nothing more."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import and_, instance_of, min_len

from ..roles import Role

__all__ = ["Role", "Rule", "User", "may"]


@frozen
class User:
    """Who asks: *name*, never empty, goes into the audit trail."""

    name: str = field(validator=and_(instance_of(str), min_len(1)))
    role: Role = field(validator=instance_of(Role))


Rule = Role | None
"""Who may go to a place: the least role. None: anybody, signed in or not."""


def may(user: User | None, rule: Rule) -> bool:
    """Whether *user* (None: nobody is signed in) is allowed what has *rule*."""
    return rule is None or (user is not None and user.role >= rule)
