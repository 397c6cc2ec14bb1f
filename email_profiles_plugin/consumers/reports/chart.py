"""The chart of a report, as a PNG picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from .cells import is_number, local, shown
from .schedule import ChartSettings

MOST_POINTS = 20_000
INCHES = (7.2, 3.2)
DPI = 144
TICKS = 10
LABEL = 24
"""Characters of a name along the bottom."""

COLOURS = ("#1f5fa8", "#d9822b", "#3a8f5c", "#8a4fa3", "#b23a48", "#5b6770")


def draw(
    settings: ChartSettings,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    zone: ZoneInfo,
) -> bytes:
    """
    Draw lines or bars over the column *x*; ValueError where a column is not there.

    Cells that are no numbers leave a gap. The object interface of matplotlib alone:
    no window, no state that another thread could see.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    at = {name: index for index, name in enumerate(columns)}
    along = settings.x or ""
    for name in (along, *settings.y):
        if name not in at:
            raise ValueError(f"the report has no column {name!r} for its chart")
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    series = [[_height(row[at[name]]) for row in rows] for name in settings.y]
    places = [_place(row[at[along]], zone) for row in rows]
    if settings.kind == "line":
        _lines(axes, places, series)
    else:
        _bars(axes, places, series)
    _dress(axes, settings)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _height(value: Any) -> float:
    return float(value) if is_number(value) else math.nan


def _place(value: object, zone: ZoneInfo) -> float | datetime | str:
    """A number, a moment (text that is one, too: SQLite has no others), or a name."""
    if isinstance(value, datetime):
        return local(value, zone).replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if is_number(value):
        return float(value)
    if isinstance(value, str):
        with suppress(ValueError):
            return local(datetime.fromisoformat(value), zone).replace(tzinfo=None)
    return shown(value, zone)[:LABEL]


def _lines(
    axes: Any, places: Sequence[float | datetime | str], series: list[list[float]]
) -> None:
    kinds = {type(one) for one in places}
    if kinds == {datetime}:
        from matplotlib import dates

        untyped: Any = dates
        locator = untyped.AutoDateLocator(maxticks=TICKS)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(untyped.ConciseDateFormatter(locator))
    along: Sequence[Any] = places
    if len(kinds) > 1 or kinds == {str}:
        along = range(len(places))
        _names(axes, places)
    for number, each in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(along, each, color=colour, linewidth=1.6)


def _bars(
    axes: Any, places: Sequence[float | datetime | str], series: list[list[float]]
) -> None:
    width = 0.8 / len(series)
    for number, each in enumerate(series):
        left = [index + (number + 0.5) * width - 0.4 for index in range(len(each))]
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(left, each, width=width, color=colour)
    _names(axes, places)


def _names(axes: Any, places: Sequence[float | datetime | str]) -> None:
    """A dozen of them at most, however many there are."""
    step = max(1, -(-len(places) // TICKS))
    names = [_name(one) for one in places[::step]]
    crowded = sum(map(len, names)) > 90
    axes.set_xticks(range(0, len(places), step))
    axes.set_xticklabels(
        names, rotation=30 if crowded else 0, ha="right" if crowded else "center"
    )


def _name(place: float | datetime | str) -> str:
    if isinstance(place, datetime):
        return f"{place:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return place if isinstance(place, str) else f"{place:g}"


def _dress(axes: Any, settings: ChartSettings) -> None:
    """Title, legend and grid; a `$` in a name is a dollar, not mathematics."""
    axes.set_title(settings.title, fontsize=10, loc="left", parse_math=False)
    axes.grid(axis="y", color="#dfe3e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.get_offset_text().set_fontsize(8)
    axes.yaxis.get_offset_text().set_fontsize(8)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.set_xlabel(settings.x, fontsize=8, parse_math=False)
    if len(settings.y) == 1:
        axes.set_ylabel(settings.y[0], fontsize=8, parse_math=False)
        return
    marks = axes.get_lines() if settings.kind == "line" else axes.containers
    legend = axes.legend(
        marks, settings.y, fontsize=8, frameon=False, ncols=min(len(settings.y), 4)
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
