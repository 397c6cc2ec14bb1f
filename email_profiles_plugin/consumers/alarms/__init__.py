"""
Alarm notification: events of a host become messages to whoever is on call.

All names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...store.alarm_views import NoticeEntry
    from .events import AlarmEvent
    from .notification import Person
    from .notifier import AlarmNotifier
    from .pages import acknowledgement_app
    from .telling import Acknowledgement

__all__ = [
    "Acknowledgement",
    "AlarmEvent",
    "AlarmNotifier",
    "NoticeEntry",
    "Person",
    "acknowledgement_app",
]

_HOMES = {
    "Acknowledgement": ".telling",
    "AlarmEvent": ".events",
    "AlarmNotifier": ".notifier",
    "NoticeEntry": "...store.alarm_views",
    "Person": ".notification",
    "acknowledgement_app": ".pages",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
