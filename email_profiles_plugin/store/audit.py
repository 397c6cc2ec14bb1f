"""Statements on the audit trail: who changed what. Nothing secret goes in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, insert, or_, select

from .documents import Stored, by_id, unstorable
from .tables import audit


@frozen(kw_only=True)
class Entry:
    """One change; *id*, which only ever grows, is given to it when it is recorded."""

    at: float
    actor: str
    action: str
    kind: str
    subject_id: str
    subject: str
    detail: Mapping[str, Any]
    id: int = 0


def of_document(
    at: float, actor: str, action: str, stored: Stored, detail: Mapping[str, Any]
) -> Entry:
    """The entry for what *actor* did to a document."""
    return Entry(
        at=at,
        actor=actor,
        action=action,
        kind=stored.kind,
        subject_id=stored.id,
        subject=stored.name,
        detail=detail,
    )


def record(connection: Connection, entry: Entry) -> None:
    """Add an entry, in the transaction of the change itself."""
    connection.execute(
        insert(audit).values(
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            kind=entry.kind,
            subject_id=entry.subject_id,
            subject=entry.subject,
            detail=json.dumps(dict(entry.detail), ensure_ascii=False),
        )
    )


def called_now(connection: Connection, kind: str, name: str) -> str:
    """
    What to do where there is no document *name*: it is called otherwise now, or was
    deleted; "" where there never was one.
    """
    if not isinstance(name, str) or [*unstorable(name)]:
        return ""
    last = connection.execute(
        select(audit.c.subject_id, audit.c.action)
        .where(audit.c.kind == kind, audit.c.subject == name)
        .order_by(audit.c.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        return ""
    found = by_id(connection, last.subject_id)
    if found is not None:
        return f"it is called {found.name!r} now" if found.listed else ""
    return "it was deleted"


def entries(
    connection: Connection,
    *,
    subject_id: str | None = None,
    text: str = "",
    after: int | None = None,
    limit: int = 100,
) -> list[Entry]:
    """
    The newest entries first; of one subject where it is named.

    *text* is in the subject's name or the actor's; *after* is the id of the entry
    before the first one here.
    """
    wanted = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if subject_id is not None:
        wanted = wanted.where(audit.c.subject_id == subject_id)
    if text:
        named = audit.c.subject.icontains(text, autoescape=True)
        by = audit.c.actor.icontains(text, autoescape=True)
        wanted = wanted.where(or_(named, by))
    if after is not None:
        wanted = wanted.where(audit.c.id < after)
    return [
        Entry(
            at=row.at,
            actor=row.actor,
            action=row.action,
            kind=row.kind,
            subject_id=row.subject_id,
            subject=row.subject,
            detail=json.loads(row.detail),
            id=row.id,
        )
        for row in connection.execute(wanted)
    ]
