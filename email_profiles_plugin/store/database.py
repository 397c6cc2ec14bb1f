"""The engine: one durable transaction at a time on SQLite, shared by who waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import define, field
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
    StatementError,
)

from email_profiles_hookspecs.errors import StoreUnavailable

from . import migrations

T = TypeVar("T")

BUSY_MS = 10_000
"""How long to wait for another process that writes."""


def _interrupted() -> StoreUnavailable:
    return StoreUnavailable("the write was interrupted", "see what is stored")


@define(eq=False)
class _Work:
    """One caller's part of a shared transaction; failed until it is on disk."""

    do: Callable[[Connection], Any]
    result: Any = None
    error: Exception | None = field(factory=_interrupted)
    done: bool = False


class _NotBegun(StoreUnavailable):
    """No transaction could begin: none of the works is to blame."""


@define(eq=False)
class Database:
    """
    Where everything is kept.

    `write` runs a function in a transaction and returns when that is on disk. On
    SQLite callers that wait meanwhile share the next commit (group commit). Where one
    of them fails, all are run again, each alone: a function may run twice, and has to
    do nothing but what it does through its connection.
    """

    engine: Engine
    place: str
    _turn: threading.Lock = field(factory=threading.Lock)
    _waiting: list[_Work] = field(factory=list)
    _guard: threading.Lock = field(factory=threading.Lock)

    @classmethod
    def open(cls, url: str) -> Database:
        """
        Open, and bring the tables up to date. StoreUnavailable if it can't be.

        A SQLite file is made with mode 0600 in a folder with mode 0700. One in memory
        is refused: each thread would have its own.
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StoreUnavailable(f"{url!r} is not a database URL") from error
        if parsed.get_backend_name() != "sqlite":
            raise StoreUnavailable(
                f"databases of kind {parsed.get_backend_name()} are not supported yet",
                "use sqlite:///path",
            )
        place = parsed.database or ":memory:"
        if ":memory:" in place or parsed.query.get("mode") == "memory":
            raise StoreUnavailable(
                f"{url!r} is a database in memory, which threads can't share",
                "use sqlite:///path",
            )
        _private(Path(place))
        engine = create_engine(
            parsed,
            connect_args={"timeout": BUSY_MS / 1000, "isolation_level": None},
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        try:
            with translated(place), engine.connect() as connection:
                _upgrade(connection, place)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, place)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database; write nothing with it."""
        with translated(self.place), self.engine.connect() as connection:
            yield connection

    def write(self, do: Callable[[Connection], T]) -> T:
        """What *do* returns, once it is durable; what it raises, with nothing kept."""
        work = _Work(do)
        with self._guard:
            self._waiting.append(work)
        with self._turn:
            if not work.done:
                with self._guard:
                    batch, self._waiting = self._waiting, []
                self._commit(batch)
        if work.error is not None:
            raise work.error
        return cast(T, work.result)

    def backup(self, path: Path) -> None:
        """Write a whole copy of a SQLite database, while others go on."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with translated(str(path)), self.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.execute("VACUUM INTO ?", (str(path),))
        path.chmod(0o600)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def _commit(self, batch: list[_Work]) -> None:
        """All of *batch* together; where that fails, each alone."""
        parts = [batch]
        try:
            while parts:
                part = parts.pop(0)
                try:
                    self._together(part)
                except _NotBegun as error:  # the next one would wait as long in vain
                    for work in (one for each in (part, *parts) for one in each):
                        work.error = StoreUnavailable(error.message, error.remedy)
                    return
                except Exception as error:
                    if len(part) > 1:
                        parts = [[work] for work in part]
                    else:
                        part[0].error = error
        finally:
            for work in batch:
                work.done = True

    def _together(self, part: list[_Work]) -> None:
        begun = False
        try:
            with (
                translated(self.place),
                self.engine.connect() as connection,
                connection.execution_options(begin="IMMEDIATE").begin(),
            ):
                begun = True
                for work in part:
                    work.result = work.do(connection)
        except StoreUnavailable as error:
            if begun:
                raise
            raise _NotBegun(error.message, error.remedy) from error
        for work in part:
            work.error = None


def _upgrade(connection: Connection, place: str) -> None:
    """Bring the tables up to date; StoreUnavailable where they are ahead of us."""
    found = migrations.current(connection)
    if found == migrations.HEAD:
        return
    from alembic.util import CommandError

    connection.rollback()
    try:
        with connection.execution_options(begin="IMMEDIATE").begin():
            migrations.upgrade(connection)
    except CommandError as error:
        raise StoreUnavailable(
            f"the database {place} is of another version, {found}, unknown here",
            "use the version that made it, or a newer one",
        ) from error


def _prepare(connection: Any, record: object) -> None:
    """Durable and strict, on each new connection."""
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    how = connection.get_execution_options().get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {how}")


def _private(path: Path) -> None:
    """Make the file and its folder for the owner alone."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"the database {path} can't be opened: {error.strerror}",
            "look at the folder's owner and mode, and at the disk",
        ) from error


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the database's own troubles into StoreUnavailable."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        said = str(error.orig if isinstance(error, StatementError) else error)
        remedy = "look at the file, its owner and its disk"
        if "locked" in said or "busy" in said:
            remedy = "another process holds it; try again"
        elif "full" in said:
            remedy = "make room on the disk"
        elif "readonly" in said:
            remedy = "let this user write to the file and its folder"
        elif not isinstance(error, DBAPIError):
            remedy = "try again, with fewer threads"
        raise StoreUnavailable(f"the database {place}: {said}", remedy) from error
