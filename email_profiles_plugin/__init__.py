"""
Email profiles for automation hosts.

`EmailProfiles.open()` finds plugins, opens the store and starts delivery. All names
load on first use: importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email_profiles_hookspecs import Attachment, Outcome, Receipt, SendRequest
    from email_profiles_hookspecs.host import AcceptsEmailProfiles

    from .runtime import EmailProfiles

__all__ = [
    "AcceptsEmailProfiles",
    "Attachment",
    "EmailProfiles",
    "Outcome",
    "Receipt",
    "SendRequest",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "EmailProfiles":
        from .runtime import EmailProfiles

        return EmailProfiles
    import email_profiles_hookspecs

    return getattr(email_profiles_hookspecs, name)
