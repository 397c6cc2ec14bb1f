"""
The kinds of document that consumers have, one entry each.

A kind is a schema file of its name, the rules that a schema can't say, and what else
belongs to it. Nothing else knows which kinds there are: apply, rename, references,
secrets, the audit trail and the command line's common part come with the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve
from sqlalchemy import Connection

import email_profiles_schemas
from email_profiles_hookspecs import Problem

from .consumers.alarms.rules import (
    of_alarm_notification,
    warnings_of_alarm_notification,
)
from .consumers.reports import rules as report_rules
from .documents import validate_document, warnings_of_document
from .documents.sentences import Finding
from .documents.shapes import Schema
from .kinds import PROFILE, Kind
from .profiles import EMBEDDED
from .sealing import Body, Moved
from .store import alarms, documents, report_runs, views
from .store.documents import Stored

ALARM_NOTIFICATION = "alarm_notification"
REPORT_SCHEDULE = "report_schedule"

Rules = Callable[[Mapping[str, Any]], Iterable[Finding]]


def consumer_kinds(profiles: Kind) -> Iterator[Kind]:
    """One for each; *profiles* is the kind of email profiles."""
    yield _with_settings_of_its_own(
        _kind(
            ALARM_NOTIFICATION,
            "alarm notification",
            rules=of_alarm_notification,
            warnings=warnings_of_alarm_notification,
            gone=_abandon,
        ),
        profiles,
    )
    yield _kind(
        REPORT_SCHEDULE,
        "report schedule",
        rules=report_rules.of_schedule,
        moved=report_rules.place_changed,
        gone=lambda connection, stored, force: report_runs.forget(
            connection, stored.id
        ),
    )


def _abandon(connection: Connection, stored: Stored, force: bool) -> None:
    """Whoever waits for an alarm's mail is not told, and why is recorded."""
    alarms.abandon(connection, stored.id, "the alarm notification was deleted")
    own = documents.by_name(connection, PROFILE, EMBEDDED + stored.id)
    if own is not None and not views.queued(connection, own.id):
        documents.discard(connection, own.id)


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
    warnings: Rules = _nothing,
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
        warn=lambda body: warnings_of_document(body, warnings),
        moved=moved,
        check=check,
        gone=gone,
        touched=touched,
    )


def _with_settings_of_its_own(kind: Kind, profiles: Kind) -> Kind:
    """
    *kind*, whose documents may have `smtp` and `auth` as an email profile has them.

    These are in the same places, so that they are checked, sealed, shown and kept, or
    not, by the rules for profiles.
    """

    def schema(body: object) -> Schema:
        whole, part = dict(kind.schema(body)), _part(body)
        if part is not None:
            own = profiles.schema(part)
            places = {name: own["properties"][name] for name in ("smtp", "auth")}
            whole["properties"] = {**whole["properties"], **places}
            whole["$defs"] = own.get("$defs", {})
        return whole

    def validate(body: object) -> list[Problem]:
        part = _part(body)
        own = [] if part is None else profiles.validate(part)
        return kind.validate(body) + own

    def check(body: Body, id: str) -> list[Problem]:
        part = _part(body)
        own = () if part is None else profiles.check(part, id)
        return [*kind.check(body, id), *own]

    def warn(body: object) -> list[Problem]:
        part = _part(body)
        return kind.warn(body) + ([] if part is None else profiles.warn(part))

    return evolve(
        kind,
        schema=schema,
        validate=validate,
        check=check,
        warn=warn,
        moved=lambda old, new: profiles.moved(_part(old) or {}, _part(new) or {}),
    )


def _part(body: object) -> dict[str, Any] | None:
    """The email profile in a document; None where it has none."""
    found = body if isinstance(body, Mapping) else {}
    own = {name: found.get(name) for name in ("smtp", "auth")}
    if not all(isinstance(one, Mapping) for one in own.values()):
        return None
    return {"name": "own", **own}
