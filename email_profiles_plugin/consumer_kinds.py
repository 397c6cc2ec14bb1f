"""
The kinds of document that consumers have, one entry each.

A kind is a schema file of its name, the rules that a schema can't say, and what else
belongs to it. Nothing else knows which kinds there are: apply, rename, references,
secrets, the audit trail and the command line's common part come with the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

import email_profiles_schemas
from email_profiles_hookspecs import Problem

from .consumers.reports import rules as report_rules
from .documents import validate_document
from .documents.sentences import Finding
from .kinds import Kind
from .sealing import Body, Moved
from .store import report_runs
from .store.documents import Stored

ALARM_NOTIFICATION = "alarm_notification"
REPORT_SCHEDULE = "report_schedule"

Rules = Callable[[Mapping[str, Any]], Iterable[Finding]]


def consumer_kinds() -> Iterator[Kind]:
    """One for each."""
    yield _kind(ALARM_NOTIFICATION, "alarm notification")
    yield _kind(
        REPORT_SCHEDULE,
        "report schedule",
        rules=report_rules.of_schedule,
        moved=report_rules.place_changed,
        gone=lambda connection, stored, force: report_runs.forget(
            connection, stored.id
        ),
    )


def _nothing(document: Mapping[str, Any]) -> Iterable[Finding]:
    return ()


def _unchecked(body: Body, id: str) -> Iterable[Problem]:
    return ()


def _kept(connection: Connection, stored: Stored, force: bool) -> None:
    """Nothing hangs on it."""


def _kind(
    name: str,
    title: str,
    *,
    rules: Rules = _nothing,
    moved: Moved = lambda old, new: (),
    check: Callable[[Body, str], Iterable[Problem]] = _unchecked,
    gone: Callable[[Connection, Stored, bool], None] = _kept,
    touched: Callable[[Connection, Stored, bool], None] = _kept,
) -> Kind:
    """The kind whose schema is called *name*; *rules* find what that can't say."""
    return Kind(
        name=name,
        title=title,
        schema=lambda body: email_profiles_schemas.load(name),
        validate=lambda body: validate_document(
            body, email_profiles_schemas.load(name), rules
        ),
        warn=lambda body: [],
        moved=moved,
        check=check,
        gone=gone,
        touched=touched,
    )
