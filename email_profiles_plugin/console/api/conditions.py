"""Conditions: revisions as entity tags, so that nobody's change is lost (RFC 9110)."""

from __future__ import annotations

import re
from http import HTTPStatus

from ...store.documents import Stored
from ..calls import Call
from ..problems import ProblemDetails

_TAGS = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*')


def tag(stored: Stored) -> str:
    """The strong entity tag of a document: its lasting id, and its revision."""
    return f'"{stored.id}-{stored.revision}"'


def based_on(call: Call, stored: Stored) -> int | None:
    """
    The revision that a change of *stored* says it is based on; None: `*`, any.

    428 where it does not say, 412 where that is another one than there is.
    """
    given = _given(call, "if-match")
    if not given:
        raise ProblemDetails(
            HTTPStatus.PRECONDITION_REQUIRED,
            "precondition-required",
            "a change has to say which revision it is based on",
            remedy=f"read it, then send its ETag: If-Match: {tag(stored)}",
        )
    if given == ["*"]:
        return None
    if tag(stored) not in given:
        raise ProblemDetails(
            HTTPStatus.PRECONDITION_FAILED,
            "stale-revision",
            f"{stored.name!r} is at revision {stored.revision} now",
            remedy="read it again, then change it",
        )
    return stored.revision


def to_create(call: Call, stored: Stored | None) -> bool:
    """Whether a PUT creates; 412 where what it asks of the present is not so."""
    if _given(call, "if-none-match") and stored is not None:
        raise ProblemDetails(
            HTTPStatus.PRECONDITION_FAILED,
            "already-there",
            f"{stored.name!r} is there already, at revision {stored.revision}",
            remedy="choose another name, or change it with If-Match",
        )
    if _given(call, "if-match") and stored is None:
        raise ProblemDetails(
            HTTPStatus.PRECONDITION_FAILED,
            "stale-revision",
            "it is not there, or not any more",
            remedy="leave If-Match out to create it",
        )
    return stored is None


def is_known(call: Call, stored: Stored) -> bool:
    """Whether who asks has *stored* already (304)."""
    given = [one.removeprefix("W/") for one in _given(call, "if-none-match")]
    return given == ["*"] or tag(stored) in given


def _given(call: Call, header: str) -> list[str]:
    """The tags in *header*, or `*`; 400 for anything else."""
    text = ",".join(call.request.headers.getlist(header)).strip()
    if text in ("", "*"):
        return [text] if text else []
    parts = text.split(",")
    if not all(_TAGS.fullmatch(one) for one in parts):
        raise ProblemDetails(
            HTTPStatus.BAD_REQUEST,
            "malformed-header",
            f"{header} is no list of entity tags",
            remedy='send an ETag as it came, with its quotation marks: "..."',
        )
    return [one.strip() for one in parts]
