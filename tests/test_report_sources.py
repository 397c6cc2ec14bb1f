"""Where rows come from: queries that only read, and callables of the host."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from email_profiles_hookspecs.errors import ReportFailed
from email_profiles_plugin.consumers.reports import Table, registry
from email_profiles_plugin.consumers.reports.calling import Stopped, call
from email_profiles_plugin.consumers.reports.database import asked
from email_profiles_plugin.consumers.reports.recipients import named, sorted_out
from email_profiles_plugin.consumers.reports.registry import Registry
from email_profiles_plugin.consumers.reports.spool import spool

NEVER = threading.Event()
MOMENT = datetime(2026, 11, 24, 6, tzinfo=UTC)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[tuple[str, sqlite3.Connection]]:
    """The URL of a database with three levels, and another connection to it."""
    path = tmp_path / "plant.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE level (at TEXT, tank TEXT, level REAL)")
    rows = [(f"2026-11-24 0{n}:00:00.000000", f"Tank {n}", n * 1.5) for n in (4, 5, 6)]
    connection.executemany("INSERT INTO level VALUES (?, ?, ?)", rows)
    connection.commit()
    yield f"sqlite:///{path}", connection
    connection.close()


def rows_of(url: str, sql: str, seconds: float = 10, **values: Any) -> list[list[Any]]:
    with asked(url, None, sql, values, seconds) as table:
        return [list(table.columns), *map(list, table.rows)]


def test_a_query(plant: tuple[str, Any]) -> None:
    """Columns and rows, with what the query names bound to it."""
    sql = "SELECT tank, level FROM level WHERE tank = :tank OR level > :least"

    assert [["tank", "level"], ["Tank 4", 6.0], ["Tank 6", 9.0]] == rows_of(
        plant[0], sql, tank="Tank 4", least=8, unused="x"
    )
    assert [["tank", "level"]] == rows_of(plant[0], sql, tank="' OR 1=1 --", least=99)


def test_colons_in_text_and_comments(plant: tuple[str, Any]) -> None:
    """They name no parameter, and text is what was written."""
    sql = (
        "SELECT ' :tank', '\\:x \\', ' :a:b ::c \\\\:d : e' AS \" :n\" -- see :docs\n"
        "/* :x */ FROM level WHERE tank = :tank"
    )
    _, row = rows_of(plant[0], sql, tank="Tank 4")

    assert [" :tank", "\\:x \\", " :a:b ::c \\\\:d : e"] == row


def test_times_are_bound_in_utc(plant: tuple[str, Any]) -> None:
    """A report asks for what came between two firings."""
    sql = "SELECT tank FROM level WHERE at >= :previous_at AND at < :scheduled_at"
    previous = datetime.fromisoformat("2026-11-24T06:00+01:00")

    assert [["tank"], ["Tank 5"]] == rows_of(
        plant[0], sql, previous_at=previous, scheduled_at=MOMENT
    )


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM level",
        "WITH a AS (SELECT 1) INSERT INTO level SELECT 1, 2, 3 FROM a",
        "WITH a AS (SELECT 1) UPDATE level SET level = 0",
        "CREATE TABLE other (a)",
        "DROP TABLE level",
        "PRAGMA user_version = 7",
        "PRAGMA query_only = OFF",
        "ATTACH '{folder}/new.db' AS new",
        "VACUUM INTO '{folder}/copy.db'",
        "DELETE FROM level RETURNING tank",
    ],
)
def test_a_query_only_reads(
    plant: tuple[str, sqlite3.Connection], tmp_path: Path, sql: str
) -> None:
    """Whatever gets past the rules of the document is refused by the database."""
    url, connection = plant
    with pytest.raises(ReportFailed, match="the query was refused") as refused:
        rows_of(url, sql.replace("{folder}", str(tmp_path)))

    assert "a report may only read" == refused.value.remedy
    assert (3,) == connection.execute("SELECT count(*) FROM level").fetchone()
    assert ["plant.db"] == [one.name for one in tmp_path.iterdir()]


def test_a_query_that_takes_too_long(plant: tuple[str, Any]) -> None:
    """It is interrupted, and its time is named."""
    sql = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT max(i) FROM n"
    )
    with pytest.raises(ReportFailed, match="took too long") as refused:
        rows_of(plant[0], sql, seconds=0.05)

    assert "time_limit_s" in refused.value.remedy


@pytest.mark.parametrize(
    ("url", "sql", "said"),
    [
        ("{url}", "SELECT * FROM missing", "the database: no such table: missing"),
        ("{url}x", "SELECT 1", "there is no database file"),
        ("oracledb://h/x", "SELECT 1", "the database: Can't load plugin"),
        ("postgresql+asyncpg9://h/x", "SELECT 1", "the database: Can't load plugin"),
        ("mysql+pymysql://reader@h/x", "SELECT 1", "pymysql is not installed"),
    ],
)
def test_what_can_not_be_asked(
    plant: tuple[str, Any], tmp_path: Path, url: str, sql: str, said: str
) -> None:
    """In a sentence, without the query and its values."""
    with pytest.raises(ReportFailed, match=said) as refused:
        rows_of(url.replace("{url}", plant[0]), sql)

    assert "source" == refused.value.stage
    assert "SELECT" not in str(refused.value)
    assert not (tmp_path / "plant.dbx").exists()


def test_rows_are_streamed(tmp_path: Path) -> None:
    """A million rows are not asked for where a hundred are wanted."""
    given: list[int] = []

    def rows() -> Iterator[list[int]]:
        for number in range(1_000_000):
            given.append(number)
            yield [number]

    spooled = spool(tmp_path / "rows", Table(["n"], rows()), 700)

    assert (700, True, 701) == (spooled.count, spooled.more, len(given))
    assert [(n,) for n in range(700)] == list(spooled) == list(spooled)
    assert [(0,), (1,)] == spooled.first(2)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (Table([], []), "the source has no columns"),
        (Table(["a"], [[1], [1, 2]]), "row 2 has 2 cells, and there are 1 columns"),
        (Table(["a"], ["x"]), "row 1 is text, not a list of cells"),
    ],
)
def test_what_is_no_table(tmp_path: Path, table: Table, said: str) -> None:
    """The row is named."""
    with pytest.raises(ReportFailed, match=said):
        spool(tmp_path / "rows", table, 10)


def test_a_callable_that_fails() -> None:
    """Whatever it raises, also sys.exit(), is told, and harms nobody else."""
    with pytest.raises(ReportFailed, match="the source failed: KeyError: 'a'"):
        call(lambda: {}["a"], 5, "source", NEVER)  # type: ignore[index]
    with pytest.raises(ReportFailed, match="the source failed: SystemExit: 3"):
        call(lambda: exit(3), 5, "source", NEVER)


def test_a_callable_that_hangs() -> None:
    """It is left behind when its time is up, or when all is to stop."""
    release, stopped = threading.Event(), threading.Event()
    stopped.set()
    try:
        with pytest.raises(ReportFailed, match="the source took longer than"):
            call(lambda: release.wait(30), 0.05, "source", NEVER)
        with pytest.raises(Stopped):
            call(lambda: release.wait(30), 30, "source", stopped)
    finally:
        release.set()


def test_names_of_callables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host registered, then what is installed; no other module is imported."""
    point = EntryPoint("installed", "operator:neg", registry.SOURCES)
    broken = EntryPoint("broken", "no_such_module:x", registry.SOURCES)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point, broken])
    mine = Registry(sources={"mine": lambda occasion: Table(["a"], [])})

    assert "mine" in mine.sources
    assert mine.source("mine") is mine.sources["mine"]
    assert -4 == mine.source("installed")(4)  # type: ignore[arg-type]
    with pytest.raises(ReportFailed, match="'broken' can't be loaded: ModuleNotFound"):
        mine.source("broken")
    with pytest.raises(
        ReportFailed,
        match="nobody registered 'os:system' as source; there are: broken, installed,",
    ):
        mine.source("os:system")


def test_recipients_that_are_looked_up() -> None:
    """From a list, or a table that may say as what each is sent the report."""
    table = Table(
        ["Name", "address", "method"],
        [["A", "a@x", "cc"], ["B", " b@x ", None], ["C", None, "to"], ["D", "", "to"]],
    )

    assert [("to", "a@x")] == list(named(["a@x"], "to"))
    assert [("cc", "a@x"), ("bcc", "b@x")] == list(named(table, "bcc"))
    assert [("to", "x@y")] == list(named(Table(["who"], [["x@y"]]), "to"))
    with pytest.raises(ReportFailed, match="have to be a list"):
        list(named("a@x", "to"))
    with pytest.raises(ReportFailed, match="'fax' is none of to, cc and bcc"):
        list(named(Table(["a", "method"], [["a@x", "fax"]]), "to"))
    with pytest.raises(ReportFailed, match="more than 10000 recipients"):
        list(named(("a@x" for _ in range(10_001)), "to"))


def test_each_mailbox_once() -> None:
    """One that is typed and looked up gets one copy; what is no address is told."""
    found, wrong = sorted_out(
        [("to", "A <a@x.example>"), ("cc", "a@X.example"), ("bcc", "nobody")]
    )

    assert {"to": ["A <a@x.example>"], "cc": [], "bcc": []} == found
    assert ["'nobody' has no at sign"] == wrong
