"""XLSX: a sheet that a spreadsheet can calculate with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain, islice
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from .cells import local, printable, shown

DIGITS = 15
"""Digits that a spreadsheet keeps of a number; what has more is written as text."""

_SAMPLE = 200
_WIDEST = 60
_OLDEST = date(1900, 3, 1)
"""Before it, spreadsheets disagree about days."""


def write_workbook(
    out: BinaryIO,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    zone: ZoneInfo,
) -> None:
    """
    Write one sheet, row by row: bold names that stay in view, and a filter.

    Text stays text, whatever it begins with: nothing is a formula. Times lose their
    zone, which a spreadsheet has none of, and are in *zone*.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet: Any = book.create_sheet(_sheet_name(title))
    ahead = iter(rows)
    first = list(islice(ahead, _SAMPLE))
    for number, width in enumerate(_widths(columns, first, zone), 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.freeze_panes = "A2"
    cell = _Cells(sheet, zone, WriteOnlyCell)
    heads = [WriteOnlyCell(sheet, value=printable(name)) for name in columns]
    for one in heads:
        one.data_type, one.font = "s", Font(bold=True)
    sheet.append(heads)
    count = 1
    for row in chain(first, ahead):
        sheet.append([cell.of(value) for value in row])
        count += 1
    if columns:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{count}"
    book.save(out)


class _Cells:
    """Makes cells of one sheet; what needs no care is left as it is."""

    def __init__(self, sheet: Any, zone: ZoneInfo, made: Any) -> None:
        self._sheet, self._zone, self._made = sheet, zone, made

    def of(self, value: object) -> Any:
        value = _kept(value, self._zone)
        if isinstance(value, str):
            if not value.startswith(("=", "#")):
                return value
            cell = self._made(self._sheet, value=value)
            cell.data_type = "s"  # else it would be a formula, or an error
            return cell
        if not isinstance(value, timedelta | datetime):
            return value
        cell = self._made(self._sheet, value=value)
        hours = isinstance(value, timedelta)
        cell.number_format = "[h]:mm:ss" if hours else "yyyy-mm-dd hh:mm:ss"
        return cell


def _kept(value: object, zone: ZoneInfo) -> object:
    """*value*, or its text where a spreadsheet could not hold it as it is."""
    if isinstance(value, datetime):
        value = local(value, zone).replace(tzinfo=None)
    if isinstance(value, date):
        day = value.date() if isinstance(value, datetime) else value
        return value if day >= _OLDEST else value.isoformat()
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    if isinstance(value, float | Decimal):
        number = Decimal(value) if isinstance(value, Decimal) else value
        if isinstance(number, float):
            return number if abs(number) < float("inf") else str(number)
        long = not number.is_finite() or len(number.normalize().as_tuple().digits) > 15
        return str(number) if long else number
    if isinstance(value, int) and abs(value) >= 10**DIGITS:
        return str(value)
    return printable(value) if isinstance(value, str) else value


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[object]], zone: ZoneInfo
) -> Iterator[float]:
    for index, name in enumerate(columns):
        longest = max(
            (len(shown(row[index], zone).partition("\n")[0]) for row in rows), default=0
        )
        yield min(max(longest, len(name) + 3, 8) + 2, _WIDEST)


def _sheet_name(title: str) -> str:
    """At most 31 characters, and none that a reference to the sheet needs."""
    name = "".join("-" if one in "[]:*?/\\'" else one for one in printable(title))
    return name.strip()[:31] or "Report"
