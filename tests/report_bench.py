"""What tests of reports stand on: a plant with levels, a profile, and a schedule."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from email_profiles_plugin.consumers.reports import Occasion, Table
from email_profiles_plugin.consumers.reports.edition import Edition, Job
from email_profiles_plugin.consumers.reports.making import make
from email_profiles_plugin.consumers.reports.press import Press

Document = Callable[..., dict[str, Any]]
LEVELS = [(f"2026-11-24 {hour:02}:00:00", f"Tank {hour % 3}", hour * 4.5)
          for hour in range(24)]  # fmt: skip


def levels(occasion: Occasion) -> Table:
    """As a host would register it."""
    line = occasion.parameters.get("line", "A")
    rows = [(datetime.fromisoformat(at).replace(tzinfo=UTC), tank, level, line)
            for at, tank, level in LEVELS]  # fmt: skip
    return Table(["at", "tank", "level", "line"], rows)


class Inline(Press):
    """Makes reports here, which is quicker; nothing bounds it."""

    def make(self, job: Job) -> Edition:
        """The edition."""
        return make(job)


def database(folder: Path) -> str:
    """The URL of a database with the same levels."""
    path = folder / "plant.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE level (at TEXT, tank TEXT, level REAL)")
        connection.executemany("INSERT INTO level VALUES (?, ?, ?)", LEVELS)
    connection.close()
    return f"sqlite:///{path}"


def schedule(**changes: Any) -> dict[str, Any]:
    """The document of a report that `levels` makes."""
    return {
        "name": "daily-levels",
        "profile": "plant",
        "from_address": "reports@plant.example",
        "to": ["manager@plant.example"],
        "source": {"callable": "levels"},
        "formats": ["csv"],
        **changes,
    }
