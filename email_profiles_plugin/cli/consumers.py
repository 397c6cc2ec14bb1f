"""`email-profiles alarm` and `report`: the documents of those who send by a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import alarms, documents, output, reports
from .commands import AS_JSON, Command, DocumentGroup
from .opening import opens_documents

if TYPE_CHECKING:
    from ..profiles import Documents
    from ..store.documents import Stored


@click.command("list", cls=Command, examples=["{}", "{} --json"])
@AS_JSON
@opens_documents
def list_(which: Documents, as_json: bool) -> None:
    """List them, by name."""
    entries = [_entry(which, stored) for stored in which.list()]
    if as_json:
        output.print_json(entries)
        return
    output.table(
        ("NAME", "STATE", "EMAIL PROFILE", "REVISION", "DESCRIPTION"),
        [
            (
                one["name"],
                "enabled" if one["enabled"] else "disabled",
                one["profile"] or "(settings of its own)",
                one["revision"],
                one["description"],
            )
            for one in entries
        ],
    )


def _entry(which: Documents, stored: Stored) -> dict[str, Any]:
    document = documents.full(which, stored)
    return {
        "id": stored.id,
        "name": stored.name,
        "description": document["description"],
        "enabled": document["enabled"],
        "profile": document["profile"],
        "revision": stored.revision,
    }


def _group(
    name: str, kind: str, example: str, about: str, *more: click.Command
) -> DocumentGroup:
    """A group with all that can be done with documents of this *kind*, and *more*."""
    made = DocumentGroup(name, kind=kind, example=example, help=about)
    for command in (
        list_,
        documents.show,
        documents.apply,
        *more,
        documents.delete,
        documents.rename,
        documents.export,
    ):
        made.add_command(command)
    return made


alarm = _group(
    "alarm",
    "alarm_notification",
    "night-shift",
    "Alarm notifications: who is told of which alarms.",
    documents.set_secret,
    documents.unset_secret,
    alarms.notify,
    alarms.due,
    alarms.trail,
)
report = _group(
    "report",
    "report_schedule",
    "daily-energy",
    "Report schedules: when a report is sent to whom.",
    documents.set_secret,
    documents.unset_secret,
    reports.run,
    reports.runs,
    reports.preview,
    reports.next_,
    reports.serve,
)
