"""A report schedule as a value: the document with all its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

import email_profiles_schemas

from ...documents import with_defaults

Body = Mapping[str, Any]
Method = Literal["to", "cc", "bcc"]
FORMATS = ("pdf", "xlsx", "csv", "html")

CONTENT_TYPES: Mapping[str, str] = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
    "html": "text/html",
}


@frozen(kw_only=True)
class SourceSettings:
    """Where rows come from: a registered *callable*, or *sql* asked at *url*."""

    callable: str | None
    url: str | None
    password: object = field(repr=False)
    sql: str | None


@frozen(kw_only=True)
class RecipientSettings:
    """Who else is sent the report: as a callable says, or a query."""

    callable: str | None
    sql: str | None
    method: Method


@frozen(kw_only=True)
class ChartSettings:
    """What is drawn: `none`, or lines or bars of *y* over *x*."""

    kind: Literal["none", "line", "bar"]
    x: str | None
    y: tuple[str, ...]
    title: str


@frozen(kw_only=True)
class ReportSchedule:
    """When a report is made, of what, and who is sent it; see its schema."""

    id: str
    revision: int
    updated_at: float
    name: str
    enabled: bool
    profile: str
    from_address: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    reply_to: tuple[str, ...]
    recipients_from: RecipientSettings
    subject: str
    body: str
    show_in_mail: bool
    formats: tuple[str, ...]
    attachment_name: str
    retries: int | None
    send_empty: bool
    errors_to: tuple[str, ...]
    cron: str | None
    timezone: str
    misfire_grace_s: int
    source: SourceSettings
    parameters: Mapping[str, Any]
    max_rows: int
    time_limit_s: int
    title: str
    template: str | None
    chart: ChartSettings
    max_rows_pdf: int
    csv_delimiter: str
    csv_guard_formulas: bool

    @property
    def shown_title(self) -> str:
        """What stands over the report."""
        return self.title or self.name


def schedule_from_document(
    body: Body, *, id: str, revision: int, updated_at: float
) -> ReportSchedule:
    """The schedule that *body*, which has to be valid, describes."""
    full = with_defaults(body, email_profiles_schemas.load("report_schedule"))
    source, others, chart = full["source"], full["recipients_from"], full["chart"]
    same = (
        "name enabled profile from_address subject body show_in_mail attachment_name"
        " retries send_empty cron timezone misfire_grace_s parameters max_rows"
        " time_limit_s title template max_rows_pdf csv_delimiter csv_guard_formulas"
    )
    lists = ("to", "cc", "bcc", "reply_to", "errors_to", "formats")
    values: dict[str, Any] = {name: full[name] for name in same.split()}
    values |= {name: tuple(full[name]) for name in lists}
    return ReportSchedule(
        id=id,
        revision=revision,
        updated_at=updated_at,
        source=SourceSettings(
            callable=source["callable"],
            url=source["url"],
            password=source.get("password"),
            sql=source["sql"],
        ),
        recipients_from=RecipientSettings(
            callable=others["callable"], sql=others["sql"], method=others["method"]
        ),
        chart=ChartSettings(
            kind=chart["kind"], x=chart["x"], y=tuple(chart["y"]), title=chart["title"]
        ),
        **values,
    )
