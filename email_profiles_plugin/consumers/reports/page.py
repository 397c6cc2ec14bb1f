"""The report as a page: HTML, for a mail, a file, or the PDF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from .cells import is_number, printable
from .templates import fill


class Row:
    """
    A row: its cells in order, by number, or by column (`row.level`).

    It has no methods, which would stand before columns of the same name (`row.count`).
    """

    __slots__ = ("_cells", "_places")

    def __init__(self, cells: Sequence[Any], places: Mapping[str, int]) -> None:
        self._cells, self._places = cells, places

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._cells[self._places[key]]
        return self._cells[key]

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cells)


def rows_for_templates(
    columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[list[Row], list[str]]:
    """*rows* as templates see them, and the columns that hold numbers only."""
    places = {name: index for index, name in enumerate(columns)}
    made = [
        Row([printable(c) if isinstance(c, str) else c for c in row], places)
        for row in rows
    ]
    numeric = [
        name
        for index, name in enumerate(columns)
        if any(is_number(row[index]) for row in rows)
        and all(is_number(row[index]) or row[index] is None for row in rows)
    ]
    return made, numeric


def default_template() -> str:
    """The template of a report that has none of its own."""
    return (resources.files(__package__ or "") / "report.html").read_text("utf-8")


def write_page(
    template: str | None, values: Mapping[str, Any], chart: str, zone: ZoneInfo
) -> str:
    """The page; *chart* is the address of the chart's picture, or ""."""
    source = default_template() if template is None else template
    return fill(source, {**values, "chart": chart}, zone, html=True)
