"""Post: an edition as a request to send it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from email_profiles_hookspecs import Attachment, SendRequest
from email_profiles_hookspecs.errors import ReportFailed

from .edition import Edition
from .making import CHART_ID
from .schedule import CONTENT_TYPES, Method, ReportSchedule

ORIGIN = "reports"
MOST_OCTETS = 100 * 1024**2
"""Octets of all files; encoded they are a third more, and no server takes those."""


def request_of(
    schedule: ReportSchedule,
    edition: Edition,
    others: Mapping[Method, Sequence[str]],
    key: str,
) -> SendRequest:
    """The request; ReportFailed for files that no mail can hold."""
    size = sum(one.path.stat().st_size for one in edition.files)
    if size > MOST_OCTETS:
        raise ReportFailed(
            f"the report's files have {size // 1024**2} MiB, which no mail can hold",
            "file",
            "lower max_rows, or leave out a format",
        )
    attachments = [
        Attachment(
            name=one.name,
            data=one.path.read_bytes(),
            content_type=CONTENT_TYPES[one.format],
        )
        for one in edition.files
    ]
    if edition.chart is not None:
        attachments.append(
            Attachment(
                name="chart.png",
                data=edition.chart.read_bytes(),
                content_type="image/png",
                content_id=CHART_ID,
            )
        )
    return SendRequest(
        profile=schedule.profile,
        from_address=schedule.from_address,
        to=others["to"],
        cc=others["cc"],
        bcc=others["bcc"],
        reply_to=schedule.reply_to,
        subject=edition.subject,
        text=edition.text,
        html=edition.html,
        attachments=attachments,
        max_attempts=None if schedule.retries is None else schedule.retries + 1,
        idempotency_key=key,
        origin=ORIGIN,
    )


def apology(schedule: ReportSchedule, when: str, error: str, key: str) -> SendRequest:
    """The mail that says that a report did not come."""
    return SendRequest(
        profile=schedule.profile,
        from_address=schedule.from_address,
        to=schedule.errors_to,
        subject=f"Report failed: {schedule.name}",
        text=f"The report {schedule.name!r} of {when} was not sent.\n\n{error}\n",
        idempotency_key=f"{key} failed",
        origin=ORIGIN,
    )
