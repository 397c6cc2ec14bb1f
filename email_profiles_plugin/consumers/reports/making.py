"""Making an edition: rows in, pages and files out. Runs in a process of its own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from email_profiles_hookspecs.errors import ReportFailed

from .csv_file import write_csv
from .database import asked
from .edition import Edition, File, Job
from .page import rows_for_templates, write_page
from .recipients import named
from .schedule import Method
from .spool import Spool, spool
from .templates import MOST_LINE, TemplateFailed, file_name, fill, one_line

CHART_ID = "chart@report"
"""The chart's content id in a mail."""


def make(job: Job) -> Edition:
    """The edition; ReportFailed says what could not be made, and why."""
    rows = job.spooled or _queried(job)
    addressees = tuple(_addressees(job)) if job.mailed else ()
    schedule = job.schedule
    if not rows.count and not schedule.send_empty and job.mailed:
        return Edition(row_count=0)
    shown = rows.first(schedule.max_rows_pdf)
    notes = tuple(_notes(job, rows, len(shown)))
    zone = ZoneInfo(schedule.timezone)
    values = _values(job, rows, shown, notes)
    chart = _chart(job, rows, zone)
    pages = _Pages(job, values, chart, zone)
    subject = one_line(_filled("subject", schedule.subject, values, zone))
    text = _filled("body", schedule.body, values, zone)
    name = _filled("attachment_name", schedule.attachment_name, values, zone)
    return Edition(
        row_count=rows.count,
        notes=notes,
        subject=subject[:MOST_LINE],
        text="\n\n".join((text.rstrip("\n"), *notes)).strip("\n") + "\n",
        html=pages.written(f"cid:{CHART_ID}") if job.in_mail else None,
        chart=chart if job.in_mail else None,
        files=tuple(_files(job, rows, pages, name, zone)),
        addressees=addressees,
    )


def _parameters(job: Job) -> dict[str, Any]:
    occasion = job.occasion
    built_in = {
        "scheduled_at": occasion.scheduled_at,
        "previous_at": occasion.previous_at,
    }
    return {**occasion.parameters, **built_in}


def _queried(job: Job) -> Spool:
    source = job.schedule.source
    assert source.url is not None
    assert source.sql is not None
    values = _parameters(job)
    with asked(source.url, job.password, source.sql, values, job.seconds) as table:
        return spool(job.folder / "rows", table, job.schedule.max_rows)


def _addressees(job: Job) -> Iterator[tuple[Method, str]]:
    source, others = job.schedule.source, job.schedule.recipients_from
    if others.sql is None:
        return
    assert source.url is not None
    values = _parameters(job)
    with asked(source.url, job.password, others.sql, values, job.seconds) as table:
        yield from named(table, others.method)


def _notes(job: Job, rows: Spool, shown: int) -> Iterator[str]:
    if rows.more:
        yield f"There are more than {rows.count} rows; these are the first."
    whole = [one.upper() for one in job.schedule.formats if one in ("csv", "xlsx")]
    paged = job.in_mail or {"pdf", "html"} & {*job.formats}
    if paged and shown < rows.count:
        files = f"{' and '.join(whole)} file{'s have' if whole[1:] else ' has'}"
        where = f"; the {files} them all" if whole else ""
        yield f"Pages show the first {shown} of {rows.count} rows{where}."


def _values(
    job: Job, rows: Spool, shown: Sequence[Sequence[Any]], notes: Sequence[str]
) -> dict[str, Any]:
    """What templates may use; see `templates.NAMES`."""
    made, numeric = rows_for_templates(rows.columns, shown)
    return {
        "name": job.schedule.name,
        "title": job.schedule.shown_title,
        "scheduled_at": job.occasion.scheduled_at,
        "previous_at": job.occasion.previous_at,
        "timezone": job.schedule.timezone,
        "parameters": dict(job.occasion.parameters),
        "columns": list(rows.columns),
        "numeric": numeric,
        "rows": made,
        "row_count": rows.count,
        "notes": list(notes),
    }


def _filled(place: str, source: str, values: Mapping[str, Any], zone: ZoneInfo) -> str:
    with _told(place):
        return fill(source, values, zone)


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except TemplateFailed as error:
        raise ReportFailed(f"{place}: {error}", "template") from error


def _chart(job: Job, rows: Spool, zone: ZoneInfo) -> Path | None:
    settings = job.schedule.chart
    paged = job.in_mail or {"pdf", "html"} & {*job.formats}
    if settings.kind == "none" or not rows.count or not paged:
        return None
    from .chart import MOST_POINTS, draw

    points = rows.first(MOST_POINTS)
    try:
        picture = draw(settings, rows.columns, points, zone)
    except ValueError as error:
        said = " ".join(str(error).split())[:300]
        raise ReportFailed(said, "chart", "name columns of the report") from error
    path = job.folder / "chart.png"
    path.write_bytes(picture)
    return path


class _Pages:
    """The page, for each place that a chart's picture may be in."""

    def __init__(
        self, job: Job, values: Mapping[str, Any], chart: Path | None, zone: ZoneInfo
    ) -> None:
        self._template, self._values = job.schedule.template, values
        self._chart, self._zone = chart, zone
        self._whole = ""

    def written(self, address: str) -> str:
        """With the chart at *address*."""
        with _told("template"):
            shown = address if self._chart else ""
            return write_page(self._template, self._values, shown, self._zone)

    def whole(self) -> str:
        """With the chart in it."""
        if not self._whole:
            picture = self._chart.read_bytes() if self._chart else b""
            address = f"data:image/png;base64,{b64encode(picture).decode()}"
            self._whole = self.written(address)
        return self._whole


def _files(
    job: Job, rows: Spool, pages: _Pages, name: str, zone: ZoneInfo
) -> Iterator[File]:
    for kind in job.formats:
        path = job.folder / f"report.{kind}"
        if kind == "csv":
            schedule = job.schedule
            with open(path, "w", encoding="utf-8-sig", newline="") as text:
                write_csv(
                    text,
                    rows.columns,
                    rows,
                    delimiter=schedule.csv_delimiter,
                    guard=schedule.csv_guard_formulas,
                    zone=zone,
                )
        elif kind == "xlsx":
            from .workbook import write_workbook

            with open(path, "wb") as book:
                title = job.schedule.shown_title
                write_workbook(book, title, rows.columns, rows, zone=zone)
        elif kind == "pdf":
            from .paper import print_page

            path.write_bytes(print_page(pages.whole()))
        else:
            path.write_text(pages.whole(), "utf-8")
        yield File(name=file_name(name, kind), format=kind, path=path)
