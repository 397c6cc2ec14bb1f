"""The audit trail: who changed what, the newest first."""

from __future__ import annotations

from starlette.responses import Response

from ..access import Role
from ..calls import Call
from ..places import Place

PAGE = 50
"""Entries on a page."""

LARGEST = 2**63 - 1
"""Of an entry's id, as the store has it."""


def audit(call: Call) -> Response:
    """All changes, or those of one subject, or with a word of subject or actor."""
    subject_id, text, after = (
        call.asked(name) for name in ("subject_id", "text", "after")
    )
    found = call.profiles.trail(
        subject_id=subject_id or None,
        text=text,
        after=_whole(after),
        limit=PAGE + 1,
    )
    return call.page(
        "audit.html",
        entries=found[:PAGE],
        after=found[PAGE - 1].id if len(found) > PAGE else 0,
        subject_id=subject_id,
        text=text,
        paged=bool(after),
        now=call.profiles.now(),
    )


def _whole(text: str) -> int | None:
    """A whole number that the store can hold, or nothing."""
    number = int(text) if text.isascii() and text.isdigit() else None
    return number if number is None or number <= LARGEST else None


PLACES = (Place("GET", "/audit", "audit", Role.VIEWER, audit),)
