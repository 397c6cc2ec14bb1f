"""The database: shared transactions, and troubles that are told as what they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, event, exc, inspect, text

from email_profiles_hookspecs.errors import StoreUnavailable
from email_profiles_plugin.store import database, migrations
from email_profiles_plugin.store.database import Database, translated


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """With a table `kept`; nobody waits long for a lock."""
    monkeypatch.setattr(database, "BUSY_MS", 10)
    opened = Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    opened.write(lambda connection: connection.execute(text("CREATE TABLE kept (a)")))
    yield opened
    opened.close()


def keep(connection: Connection) -> str:
    connection.execute(text("INSERT INTO kept VALUES (1)"))
    return "kept"


def fail(connection: Connection) -> None:
    raise ValueError("this one is wrong")


def count(store: Database) -> int:
    with store.read() as connection:
        return connection.scalar(text("SELECT count(*) FROM kept")) or 0


def works(*functions: object) -> list[database._Work]:
    return [database._Work(function) for function in functions]  # type: ignore[arg-type]


def test_one_that_fails_costs_the_others_nothing(store: Database) -> None:
    """They share a transaction, and then have each their own."""
    first, wrong, last = batch = works(keep, fail, keep)
    store._commit(batch)

    assert (None, "kept") == (first.error, first.result)
    assert isinstance(wrong.error, ValueError)
    assert (None, 2) == (last.error, count(store))


def test_what_never_ran_is_no_success(store: Database) -> None:
    """Interrupted while each is run again: who leads has that, others are told."""
    calls = []

    def interrupted(connection: Connection) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    batch = works(keep, interrupted, fail, keep)
    with pytest.raises(KeyboardInterrupt):
        store._commit(batch)

    assert batch[0].error is None
    assert all(isinstance(work.error, StoreUnavailable) for work in batch[1:])
    assert 1 == count(store)
    with pytest.raises(StoreUnavailable, match="interrupted"):
        raise batch[3].error or AssertionError


def test_all_who_wait_for_a_lock_wait_once(store: Database) -> None:
    """Where no transaction can begin, nobody tries in the others' turn."""
    begun: list[str] = []
    event.listen(
        store.engine,
        "before_cursor_execute",
        lambda _, cursor, statement, *more: begun.append(statement),
    )
    other = sqlite3.connect(store.place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    batch = works(keep, keep, keep)
    store._commit(batch)
    other.close()

    assert ["BEGIN IMMEDIATE"] == begun
    assert ["another process holds it; try again"] * 3 == [
        getattr(work.error, "remedy", None) for work in batch
    ]
    assert [StoreUnavailable] * 3 == [type(work.error) for work in batch]
    assert "kept" == store.write(keep)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    """Each thread would have one of its own, with nothing in it."""
    with pytest.raises(StoreUnavailable, match="in memory"):
        Database.open(url)


def test_a_database_of_a_newer_version_is_refused(store: Database) -> None:
    """And named, with what to do; nothing in it is touched."""
    store.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num=99")))

    with pytest.raises(StoreUnavailable, match="another version, 99") as caught:
        Database.open(f"sqlite:///{store.place}")
    assert "newer" in caught.value.remedy
    assert 0 == count(store)


@pytest.mark.parametrize(
    "error",
    [
        exc.TimeoutError("no connection is free"),
        exc.InterfaceError("SELECT 1", {}, sqlite3.InterfaceError("bad parameter")),
        exc.ProgrammingError("SELECT 1", {}, sqlite3.ProgrammingError("closed")),
        exc.StatementError("bad", "SELECT 1", {}, TypeError("not a date")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_error_of_the_library_gets_out(error: Exception) -> None:
    """Whatever it is, it is a contract error, without statement or values."""
    with pytest.raises(StoreUnavailable) as caught, translated("x"):
        raise error

    assert "SELECT" not in str(caught.value)


def test_a_database_of_the_first_version_is_upgraded(tmp_path: Path) -> None:
    """What is in it stays, and the tables of today are added."""
    from alembic import command
    from alembic.config import Config

    path = tmp_path / "store.db"
    config = Config()
    config.set_main_option("script_location", "email_profiles_plugin.store:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        values = "1, 0, 'anna', 'create', 'email_profile', '4711', 'cloud', '{}'"
        connection.execute(text(f"INSERT INTO audit VALUES ({values})"))
        assert not inspect(connection).has_table("grant_in_progress")
    engine.dispose()

    opened = Database.open(f"sqlite:///{path}")
    with opened.read() as connection:
        version = connection.scalar(text("SELECT version_num FROM alembic_version"))
        actor = connection.scalar(text("SELECT actor FROM audit"))
        grants = connection.scalar(text("SELECT count(*) FROM grant_in_progress"))
    opened.close()

    assert (migrations.HEAD, "anna", 0) == (version, actor, grants)
