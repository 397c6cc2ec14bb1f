"""Tables as files: what is kept of each cell, and what a spreadsheet may not run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from pypdf import PdfReader

from email_profiles_plugin.consumers.reports import Table
from email_profiles_plugin.consumers.reports.cells import plain, shown
from email_profiles_plugin.consumers.reports.chart import draw
from email_profiles_plugin.consumers.reports.csv_file import write_csv
from email_profiles_plugin.consumers.reports.page import rows_for_templates, write_page
from email_profiles_plugin.consumers.reports.paper import print_page
from email_profiles_plugin.consumers.reports.schedule import ChartSettings
from email_profiles_plugin.consumers.reports.templates import (
    NAMES,
    TemplateFailed,
    file_name,
    fill,
    mistakes,
    one_line,
)
from email_profiles_plugin.consumers.reports.workbook import write_workbook

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
"""12:00 in Berlin."""


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]], **how: Any) -> str:
    out = io.StringIO(newline="")
    how = {"delimiter": ",", "guard": True, "zone": BERLIN, **how}
    write_csv(out, columns, rows, **how)
    return out.getvalue()


def as_sheet(rows: Sequence[Sequence[Any]], title: str = "Levels") -> Any:
    out = io.BytesIO()
    columns = [f"column {number}" for number in range(len(rows[0]))]
    write_workbook(out, title, columns, rows, zone=BERLIN)
    out.seek(0)
    (sheet,) = load_workbook(out).worksheets
    return sheet


def cell(value: Any) -> Any:
    """*value* as it comes back from a workbook."""
    return as_sheet([[value]])["A2"]


class Colour(Enum):
    RED = "red"


class Level(float):
    """A number as a driver might have it."""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2.5, 2.5),
        (Decimal("12.10"), Decimal("12.10")),
        ("text", "text"),
        (date(2026, 11, 24), date(2026, 11, 24)),
        (NOON, NOON),
        (time(6, 30), time(6, 30)),
        (timedelta(hours=30), timedelta(hours=30)),
        (Colour.RED, "red"),
        (Level(3.5), 3.5),
        (b"\x00\xff", "00ff"),
        ([1, "a"], '[1, "a"]'),
        ({"a": NOON}, '{"a": "2026-11-24 11:00:00+00:00"}'),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (SimpleNamespace(shape=(), item=lambda: 4), 4),
        ("x" * 40_000, "x" * 32_767),
    ],
)
def test_what_a_cell_may_be(given: object, kept: object) -> None:
    """Anything can be in a cell; what no format has is its text."""
    found = plain(given)

    assert (type(kept), kept) == (type(found), found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (0.1 + 0.2, "0.3"),
        (float("nan"), "nan"),
        (Decimal("1E+3"), "1000"),
        (NOON, "2026-11-24 12:00"),
        (NOON.replace(second=5), "2026-11-24 12:00:05"),
        (datetime(2026, 11, 24, 6), "2026-11-24 06:00"),
        (date(2026, 11, 24), "2026-11-24"),
        ("a", "a"),
    ],
)
def test_a_cell_on_a_page(value: object, text: str) -> None:
    """As a reader wants it: local time, no noise of floats."""
    assert text == shown(value, BERLIN)


FORMULAS = [
    '=HYPERLINK("http://x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\uff1d1+1",
    "\n1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_formula_in_a_csv_file(text: str) -> None:
    """An apostrophe goes before what a spreadsheet would run, unless that is wanted."""
    guarded = list(csv.reader(io.StringIO(as_csv([text], [[text]]))))
    plainly = list(csv.reader(io.StringIO(as_csv(["a"], [[text]], guard=False))))

    assert [[f"'{text}"], [f"'{text}"]] == guarded
    assert [["a"], [text]] == plainly


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x;=1", "x;'=1"),
        ('x,"=1', "x,\"'=1"),
        ("\t=1", "'\t'=1"),
        ("x\n@A1", "x\n'@A1"),
        ("7,-5;a, +b", "7,-5;a, +b"),
        ("tank\ud83d", "tank\ufffd"),
    ],
)
def test_within_a_cell_of_a_csv_file(text: str, kept: str) -> None:
    """A spreadsheet that takes another separator, or lines, runs none of it either."""
    (_, row) = csv.reader(io.StringIO(as_csv(["a"], [[text]]), newline=""))

    assert [kept] == row


@pytest.mark.parametrize("text", [*FORMULAS, "\t=1", "=1", "+49 1", "-x"])
def test_no_formula_in_a_workbook(text: str) -> None:
    """Text is text, whatever it begins with, and as it was."""
    found = cell(text)

    assert ("s", text.strip("\t")) == (found.data_type, str(found.value).strip("\t"))


def test_csv_keeps_numbers_and_times() -> None:
    """ISO 8601 with the offset, decimal points, every digit of a Decimal."""
    row = [Decimal("-12.10"), -5, "-5.2", 0.1, None, True, NOON, date(2026, 1, 2)]
    wanted = "-12.10,-5,-5.2,0.1,,true,2026-11-24 12:00:00+01:00,2026-01-02\r\n"

    assert wanted == as_csv(list("abcdefgh"), [row]).partition("\r\n")[2]
    assert "a;b\r\n1;2\r\n" == as_csv(["a", "b"], [[1, 2]], delimiter=";")


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8)))
def test_csv_reads_back(texts: list[str]) -> None:
    """Any text comes back, but for NUL and the apostrophe that guards it."""
    rows = [[text, "end"] for text in texts]
    source = io.StringIO(as_csv(["a", "b"], rows, guard=False), newline="")

    assert [["a", "b"], *([t.replace("\0", ""), "end"] for t in texts)] == list(
        csv.reader(source)
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Decimal("12.10"), 12.1),
        (Decimal("1234567890123456.5"), "1234567890123456.5"),
        (12345678901234567890, "12345678901234567890"),
        (float("inf"), "inf"),
        (Decimal("NaN"), "NaN"),
        (7, 7),
        (True, True),
        (NOON, datetime(2026, 11, 24, 12)),
        (date(2026, 11, 24), datetime(2026, 11, 24)),
        (date(1850, 1, 1), "1850-01-01"),
        (time(6, 30), time(6, 30)),
        (timedelta(hours=30), timedelta(hours=30)),
        ("a\x0bb", "a\ufffdb"),
        (None, None),
    ],
)
def test_a_workbook_calculates(given: object, kept: object) -> None:
    """Numbers, dates and times are such; what would lose digits is text."""
    assert kept == cell(given).value


def test_a_workbook_is_ready_to_use() -> None:
    """A bold line of names that stays in view, a filter, columns wide enough."""
    sheet = as_sheet([["x" * 30, 1], ["y", 2]], title="A/B: [1]*?" + "long" * 20)

    assert "A-B- -1---" == sheet.title[:10]
    assert 31 == len(sheet.title)
    assert ("A2", "A1:B3") == (sheet.freeze_panes, sheet.auto_filter.ref)
    assert sheet["A1"].font.bold
    assert 32 == sheet.column_dimensions["A"].width


def values(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> dict[str, Any]:
    made, numeric = rows_for_templates(columns, rows)
    return {
        "name": "levels",
        "title": "Tank <levels>",
        "scheduled_at": NOON.astimezone(BERLIN),
        "previous_at": None,
        "timezone": "Europe/Berlin",
        "parameters": {"line": "A&B"},
        "columns": list(columns),
        "numeric": numeric,
        "rows": made,
        "row_count": len(rows),
        "notes": ["Read <this>."],
    }


ROWS = [["Tank <b>1</b>", 92.5, NOON], ["Tank 2", None, None]]
COLUMNS = ["tank", "level", "count"]


def test_the_default_page() -> None:
    """Whole, escaped, numbers to the right, times in the zone of the schedule."""
    page = write_page(None, values(ROWS, COLUMNS), "", BERLIN)

    assert "Tank &lt;b&gt;1&lt;/b&gt;" in page
    assert '<td class="number">92.5</td>' in page
    assert "<td>2026-11-24 12:00</td>" in page
    assert "<h1>Tank &lt;levels&gt;</h1>" in page
    assert "2 rows, line: A&amp;B" in page
    assert "Read &lt;this&gt;." in page
    assert "<img" not in page
    assert "Nothing to report." in write_page(None, values([], ["a"]), "", BERLIN)


def test_a_template_of_ones_own() -> None:
    """Rows by column or by number; a column may be called as a method would be."""
    source = (
        "{% for row in rows %}{{ row.tank }}|{{ row[1] }}|{{ row.count|date('%H') "
        "if row.count else '-' }};{% endfor %}{{ chart }}"
    )
    page = write_page(source, values(ROWS, COLUMNS), "cid:x", BERLIN)

    assert "Tank &lt;b&gt;1&lt;/b&gt;|92.5|12;Tank 2||-;cid:x" == page


def test_a_pdf_has_the_rows() -> None:
    """On as many pages as it takes, each with the names of the columns."""
    rows = [[f"Tank {number}", number, None] for number in range(60)]
    made = print_page(write_page(None, values(rows, COLUMNS), "", BERLIN))
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(made)).pages]

    assert 2 <= len(pages)
    assert all("tank" in page for page in pages)
    assert [f"Tank {n}" for n in range(60)] == re.findall(
        r"^Tank \d+", "\n".join(pages), re.MULTILINE
    )
    assert "Page 1 of" in pages[0]


def test_a_pdf_fetches_nothing(smtp_server: Any, tmp_path: Any) -> None:
    """Neither from the network nor from a file, also where a style asks for it."""
    secret = tmp_path / "secret.svg"
    secret.write_text(
        "<svg xmlns='http://www.w3.org/2000/svg'><text>s3cret</text></svg>"
    )
    there = f"http://127.0.0.1:{smtp_server.port}/x"
    made = print_page(
        f"<style>@import url('{there}'); body {{background: url('{there}')}}</style>"
        f"<link rel=stylesheet href='{there}'><img src='{there}'>"
        f"<img src='{secret.as_uri()}'><object data='{secret.as_uri()}'></object>"
        f"<link rel=attachment href='{secret.as_uri()}'><p>done"
    )

    assert 0 == smtp_server.sessions
    reader = PdfReader(io.BytesIO(made))
    assert "done" == reader.pages[0].extract_text().strip()
    assert {} == dict(reader.attachments)


@pytest.mark.parametrize(
    ("kind", "along"),
    [
        ("line", [NOON, NOON + timedelta(hours=1)]),
        ("line", ["2026-11-24 11:00", "2026-11-24 12:00"]),
        ("bar", [date(2026, 1, 1), date(2026, 1, 2)]),
        ("line", ["$north", "south_{2}$"]),
        ("bar", ["$north", "south_{2}$"]),
        ("line", [1, 2]),
        ("bar", [None, "mixed", 3]),
    ],
)
def test_a_chart(kind: Any, along: list[Any]) -> None:
    """A picture, whatever stands along its bottom; `$` is no mathematics."""
    chart = ChartSettings(kind=kind, x="at", y=("level", "$x$"), title="a $b$ c")
    rows = [[one, 3.5, Decimal(4)] for one in along]
    picture = draw(chart, ["at", "level", "$x$"], [*rows, [along[0], None, "?"]],
                   BERLIN)  # fmt: skip

    assert picture.startswith(b"\x89PNG\r\n")


def test_a_chart_of_no_column() -> None:
    """The column is named that is not there."""
    chart = ChartSettings(kind="line", x="at", y=("level",), title="")
    with pytest.raises(ValueError, match="the report has no column 'level'"):
        draw(chart, ["at"], [], BERLIN)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ nme }}", "line 1: there is no 'nme'; did you mean 'name'?"),
        ("\n{{ name|uppr }}", "line 2: there is no filter 'uppr'"),
        ("{% if name is wrong %}{% endif %}", "line 1: there is no test 'wrong'"),
        ("{{ name", "line 1: unexpected end of template, expected 'end of print"
                    " statement'."),
        ("{% frobnicate %}", "line 1: Encountered unknown tag 'frobnicate'."),
        ("{% include '/etc/passwd' %}", "line 1: another template can't be used here"),
        ("{% import 'x' as x %}", "line 1: another template can't be used here"),
        ("{% extends 'x' %}", "line 1: another template can't be used here"),
        ("{{ " + "(" * 3000, "is nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_template(source: str, said: str) -> None:
    """Each with its line, before anything is made."""
    assert [said] == mistakes(source, NAMES)


@pytest.mark.parametrize(
    "source",
    [
        "{% for row in rows %}{{ loop.index }}{{ row.x }}{% endfor %}",
        "{% set x = 1 %}{{ x }}{% macro m(a) %}{{ a }}{% endmacro %}{{ m(2) }}",
        "{{ name|upper }}{{ range(3)|list }}{{ scheduled_at|date('%Y') }}",
        "{{ 'x' * 10000000000 }}{{ 'x'|center(10000000000) }}",
    ],
)
def test_a_template_without_a_mistake(source: str) -> None:
    """It is parsed, not run: constants are not computed either."""
    assert [] == mistakes(source, NAMES)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ name.__class__.__mro__ }}", "unsafe"),
        ("{{ rows.__init__.__globals__ }}", "unsafe"),
        ("{{ rows[0]._cells }}", "unsafe"),
        ("{{ ''|attr('__class__') }}", "unsafe"),
        ("{{ '{0.__class__}'.format(name) }}", "unsafe"),
        ("{{ parameters.update({'a': 1}) }}", "unsafe"),
        ("{{ self.__init__.__globals__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os }}", "unsafe"),
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ 1 / 0 }}", "line 1: division by zero"),
        ("{{ range(1000000) }}", "Range too big"),
        ("{% for a in range(9999) %}{{ 'x' * 99999 }}{% endfor %}", "makes more than"),
        ("\n{{ rows[0].nothing }}", "line 2: "),
        ("{{ name|date('%Y') }}", "line 1: date goes with a date or a datetime"),
    ],
)
def test_a_hostile_template(source: str, said: str) -> None:
    """Nothing behind the values is reached, and what it may make is bounded."""
    with pytest.raises(TemplateFailed, match=re.escape(said)):
        fill(source, values(ROWS, COLUMNS), BERLIN, html=True)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Shift 2026-11-24", "Shift 2026-11-24.pdf"),
        ("../../etc/passwd", "-..-etc-passwd.pdf"),
        ("a\r\nb: c", "a b- c.pdf"),
        ("Schichtübersicht", "Schichtübersicht.pdf"),
        (" . ", "report.pdf"),
        ("x" * 300, "x" * 120 + ".pdf"),
    ],
)
def test_names_of_files(given: str, name: str) -> None:
    """A name on any system, in no other folder, on one line."""
    assert name == file_name(given, "pdf")


def test_a_subject_is_one_line() -> None:
    """No header can be slipped in."""
    assert "a b Bcc: x@y" == one_line(" a\n b\r\nBcc: x@y\0 ")


def test_a_table_is_checked() -> None:
    """One name is no list of columns."""
    with pytest.raises(TypeError, match="a list of names"):
        Table("level", [])  # type: ignore[arg-type]
