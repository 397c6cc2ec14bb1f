"""The workshop: where a schedule's rows and recipients are had, and its report made."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from attrs import evolve, frozen

from email_profiles_hookspecs.errors import ReportFailed
from email_profiles_hookspecs.services import Clock

from ...documents import secret_reference
from ...secrets import Keyring, SecretReader
from ...store.documents import Stored
from .calling import call
from .edition import Edition, Job
from .press import Press
from .recipients import named
from .registry import Registry
from .rules import EXTRA
from .schedule import Method, ReportSchedule, schedule_from_document
from .spool import Spool, spool
from .table import Occasion, Table
from .timetable import Timetable

PLACE = "reports"
"""The folder in the home where reports are made."""

Named = Sequence[tuple[Method, str]]


@frozen(kw_only=True)
class Workshop:
    """Makes editions; the host's callables run here, all else in the press."""

    clock: Clock
    keyring: Keyring
    registry: Registry
    press: Press
    memory: int

    def edition(
        self,
        schedule: ReportSchedule,
        occasion: Occasion,
        folder: Path,
        formats: tuple[str, ...],
        *,
        mailed: bool,
    ) -> Edition:
        """The report in *folder*; *mailed*: it is to be sent, not looked at."""
        begun = self.clock.monotonic()
        spooled = None
        if schedule.source.callable is not None:
            spooled = self._spooled(schedule, occasion, folder)
        spent = self.clock.monotonic() - begun
        return self.press.make(
            Job(
                schedule=evolve(
                    schedule, source=evolve(schedule.source, password=None)
                ),
                occasion=occasion,
                folder=folder,
                spooled=spooled,
                password=self._password(schedule),
                formats=formats,
                in_mail=mailed and schedule.show_in_mail,
                mailed=mailed,
                seconds=max(schedule.time_limit_s - spent, 1),
                memory=self.memory,
            )
        )

    def _spooled(
        self, schedule: ReportSchedule, occasion: Occasion, folder: Path
    ) -> Spool:
        """What the host's callable gives, in a file."""
        name = schedule.source.callable or ""
        source = self.registry.source(name)
        monotonic = self.clock.monotonic
        until = monotonic() + schedule.time_limit_s

        def going() -> None:
            if monotonic() > until:
                raise TimeoutError("its time is up")

        def work() -> Spool:
            table = source(occasion)
            if not isinstance(table, Table):
                kind = type(table).__name__
                raise ReportFailed(f"{name!r} returned {kind}, not a Table", "source")
            return spool(folder / "rows", table, schedule.max_rows, going)

        return call(work, schedule.time_limit_s, "source", self.press.stopped)

    def addressees(self, schedule: ReportSchedule, occasion: Occasion) -> Named:
        """Those whom the host's callable names."""
        others = schedule.recipients_from
        if others.callable is None:
            return ()
        who = self.registry.addressees(others.callable)
        return call(
            lambda: list(named(who(occasion), others.method)),
            schedule.time_limit_s,
            "recipients",
            self.press.stopped,
        )

    def _password(self, schedule: ReportSchedule) -> str | None:
        if schedule.source.password is None or schedule.source.url is None:
            return None
        place = f"{schedule.id}#/source/password"
        reference = secret_reference(place, schedule.source.password)
        return SecretReader(self.keyring).read(reference)


def schedule_of(stored: Stored) -> ReportSchedule:
    """The schedule in a stored document."""
    return schedule_from_document(
        stored.body,
        id=stored.id,
        revision=stored.revision,
        updated_at=stored.updated_at,
    )


def timetable_of(schedule: ReportSchedule) -> Timetable | None:
    """When it is due; None: never by itself. ReportFailed where that can't be read."""
    if schedule.cron is None:
        return None
    try:
        return Timetable.read(schedule.cron, schedule.timezone)
    except ValueError as error:
        raise ReportFailed(str(error), "schedule") from error
    except ImportError as error:
        raise ReportFailed(
            f"{error.name} is not installed", "schedule", f"pip install '{EXTRA}'"
        ) from error


def occasion_of(schedule: ReportSchedule, moment: datetime) -> Occasion:
    """What a report of *moment* is made for."""
    timetable = timetable_of(schedule)
    previous = timetable.before(moment) if timetable is not None else None
    return Occasion(
        schedule=schedule.name,
        scheduled_at=moment.astimezone(ZoneInfo(schedule.timezone)),
        previous_at=previous,
        parameters=schedule.parameters,
    )


@contextmanager
def workplace(home: Path) -> Iterator[Path]:
    """A folder for one report; what a source still writes there is not waited for."""
    place = home / PLACE
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as name:
        yield Path(name)


def tidy(home: Path, before: float) -> None:
    """Remove what killed processes left behind *before* a moment (since 1970)."""
    place = home / PLACE
    for left in place.iterdir() if place.is_dir() else ():
        with suppress(OSError):  # another process is tidying too
            if left.stat().st_mtime < before:
                shutil.rmtree(left, ignore_errors=True)
