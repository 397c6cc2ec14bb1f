"""A database as a source: one query that only reads, its rows streamed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, DateTime, Engine, bindparam, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.pool import NullPool

from email_profiles_hookspecs.errors import ReportFailed

from .queries import escaped, named_in
from .table import Table

STAGE = "source"

_PREPARED: Mapping[str, tuple[str, ...]] = {
    "postgresql": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET TRANSACTION READ ONLY",
        "SET statement_timeout = {ms}",
    ),
    "mysql": (
        "SET SESSION TRANSACTION READ ONLY",
        "SET SESSION max_execution_time = {ms}",
    ),
    "mariadb": (
        "SET SESSION TRANSACTION READ ONLY",
        "SET SESSION max_statement_time = {s}",
    ),
    "oracle": ("SET TRANSACTION READ ONLY",),
}
"""What is said before the query; SQLite is asked by its own means."""

_SQLITE_OK, _SQLITE_DENY = 0, 1
_SQLITE_READS = {20, 21, 22, 31, 33}
"""SQLITE_READ, _SELECT, _TRANSACTION, _FUNCTION and _RECURSIVE."""

_STEPS = 10_000

_REFUSALS = ("not authorized", "authorization denied", "read-only", "read only")


@contextmanager
def asked(
    url: str,
    password: str | None,
    sql: str,
    values: Mapping[str, Any],
    seconds: float,
) -> Iterator[Table]:
    """
    What *sql* yields at *url*, while the block lasts; *values* are bound.

    Whatever it does is rolled back, and where the database can refuse to write it is
    told to. ReportFailed where it can't be asked, or takes longer than *seconds*.
    """
    try:
        engine = _engine(url, password)
        with engine.connect() as connection:
            _prepare(connection, seconds)
            named = {name: values[name] for name in named_in(sql)}
            statement = text(escaped(sql)).bindparams(
                *(
                    bindparam(name, type_=DateTime(timezone=True))
                    for name, value in named.items()
                    if isinstance(value, datetime)
                )
            )
            streamed = connection.execution_options(
                stream_results=True, max_row_buffer=1000
            )
            result = streamed.execute(statement, _bound(named))
            if not result.returns_rows:
                raise ReportFailed("the query yields no rows, not even none", STAGE)
            yield Table(tuple(result.keys()), result)
            connection.rollback()
    except SQLAlchemyError as error:
        raise _failure(error) from error
    except ImportError as error:
        driver = error.name or "the database's driver"
        raise ReportFailed(
            f"{driver} is not installed, which the database URL needs",
            STAGE,
            f"pip install {driver}",
        ) from error


def is_file(url: str, path: Path) -> bool:
    """Whether *url* is the SQLite database in *path*, by whatever name."""
    with suppress(SQLAlchemyError, OSError):
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return path.samefile(parsed.database)
    return False


def _engine(url: str, password: str | None) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        _there(parsed)  # which knows no passwords
    elif password is not None:
        parsed = parsed.set(password=password)
    return create_engine(parsed, poolclass=NullPool)


def _there(url: URL) -> None:
    """SQLite would make a file that is not there."""
    name = url.database or ":memory:"
    if name.startswith("file:"):
        raise ReportFailed("a SQLite URL has to have a path, not a URI", STAGE)
    if name != ":memory:" and not Path(name).is_file():
        raise ReportFailed(
            f"there is no database file {Path(name).absolute()}",
            STAGE,
            "write its whole path: sqlite:////path/to/file",
        )


def _prepare(connection: Connection, seconds: float) -> None:
    """Only reading from here on, and not for longer than *seconds*."""
    dialect = connection.dialect
    if dialect.name == "sqlite":
        raw: Any = connection.connection.dbapi_connection
        deadline = time.monotonic() + seconds
        raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        raw.set_authorizer(_authorize)
        return
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    limits = {"ms": max(1, int(seconds * 1000)), "s": max(1, int(seconds))}
    for statement in _PREPARED.get(name, ()):
        connection.exec_driver_sql(statement.format(**limits))


def _authorize(action: int, *_: object) -> int:
    return _SQLITE_OK if action in _SQLITE_READS else _SQLITE_DENY


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    """Times in UTC: a database without zones keeps nothing else of them."""
    return {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _failure(error: SQLAlchemyError) -> ReportFailed:
    """Never the statement with its values, which SQLAlchemy's own message has."""
    cause: object = error.orig if isinstance(error, StatementError) else error
    said = " ".join(str(cause).split())[:500] or type(cause).__name__
    if any(word in said.lower() for word in _REFUSALS):
        return ReportFailed(
            f"the query was refused: {said}", STAGE, "a report may only read"
        )
    if "interrupted" in said or "timeout" in said or "execution time" in said:
        remedy = "ask for less, or allow a longer time_limit_s"
        return ReportFailed(f"the query took too long: {said}", STAGE, remedy)
    remedy = "" if isinstance(error, DBAPIError) else "look at the database URL"
    return ReportFailed(f"the database: {said}", STAGE, remedy)
