"""
Scripts: `send_email`, with the 17 parameters of Ignition's `system.net.sendEmail`.

All names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sending import Mail, SendEmail

__all__ = ["Mail", "SendEmail"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".sending", __name__), name)
