"""The spool: rows on their way from a source to a renderer, in a file of their own."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from email_profiles_hookspecs.errors import ReportFailed

from .cells import plain
from .table import Table

_BATCH = 500


@frozen(kw_only=True)
class Spool:
    """Rows in a file, in cells as `plain` makes them; *more*: there were more rows."""

    path: Path
    columns: tuple[str, ...]
    count: int
    more: bool

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows, from the first; any number of times."""
        with open(self.path, "rb") as file:
            left = self.count
            while left > 0:
                batch: list[tuple[Any, ...]] = pickle.load(file)
                left -= len(batch)
                yield from batch

    def first(self, most: int) -> list[tuple[Any, ...]]:
        """The first rows, *most* at most."""
        return list(islice(self, most))


def spool(
    path: Path, table: Table, most: int, going: Callable[[], None] = lambda: None
) -> Spool:
    """
    Read *table* into a file at *path*, *most* rows of it.

    *going* is called now and then; what it raises ends it. ReportFailed for a table
    that is none.
    """
    columns = tuple(str(one) for one in table.columns)
    if not columns:
        raise ReportFailed("the source has no columns", "source")
    count, rows = 0, iter(table.rows)
    with open(path, "xb") as file:
        while count < most:
            going()
            ahead = islice(rows, min(_BATCH, most - count))
            batch = [_row(one, columns, count + at) for at, one in enumerate(ahead, 1)]
            if not batch:
                break
            pickle.dump(batch, file, pickle.HIGHEST_PROTOCOL)
            count += len(batch)
        more = count >= most and next(rows, None) is not None
    return Spool(path=path, columns=columns, count=count, more=more)


def _row(row: Sequence[object], columns: Sequence[str], number: int) -> tuple[Any, ...]:
    if isinstance(row, str | bytes):
        raise ReportFailed(f"row {number} is text, not a list of cells", "source")
    cells = tuple(plain(cell) for cell in row)
    if len(cells) != len(columns):
        what = f"row {number} has {len(cells)} cells, and there are {len(columns)}"
        raise ReportFailed(f"{what} columns", "source")
    return cells
