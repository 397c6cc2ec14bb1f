"""
Report schedules: tables made of what a host or a database knows, sent by a profile.

All names load on first use; they need the extra `reports`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...store.report_runs import Run
    from .runs import Reports
    from .scheduler import ReportScheduler
    from .table import Occasion, Table

__all__ = ["Occasion", "ReportScheduler", "Reports", "Run", "Table"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    modules = {"Reports": "runs", "ReportScheduler": "scheduler", "Run": "runs"}
    return getattr(import_module(f".{modules.get(name, 'table')}", __name__), name)
