"""Statements on documents, by kind and name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen
from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from email_profiles_hookspecs.errors import NameTaken, StaleRevision

from ..documents.shapes import Place
from . import health, tokens
from .tables import document, message, reference


@frozen(kw_only=True)
class Stored:
    """A document as it is kept: *body* as validated, its secrets sealed."""

    id: str
    kind: str
    name: str
    listed: bool = True
    revision: int
    body: Mapping[str, Any] = field(repr=False)
    created_at: float
    updated_at: float


def first(
    kind: str, id: str, name: str, listed: bool, body: Mapping[str, Any], now: float
) -> Stored:
    """The first revision of a document."""
    return Stored(
        id=id,
        kind=kind,
        name=name,
        listed=listed,
        revision=1,
        body=body,
        created_at=now,
        updated_at=now,
    )


def _stored(row: Row[Any]) -> Stored:
    return Stored(
        id=row.id,
        kind=row.kind,
        name=row.name,
        listed=row.listed,
        revision=row.revision,
        body=json.loads(row.body),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


_BY_ID = select(document).where(document.c.id == bindparam("of_id"))
_BY_NAME = select(document).where(
    document.c.kind == bindparam("of_kind"), document.c.name == bindparam("of_name")
)


def by_name(connection: Connection, kind: str, name: str) -> Stored | None:
    """The document of this kind and name; None too for what can't be a name."""
    if not isinstance(name, str) or [*unstorable(name)]:
        return None
    given = {"of_kind": kind, "of_name": name}
    row = connection.execute(_BY_NAME, given).one_or_none()
    return _stored(row) if row is not None else None


def by_id(connection: Connection, id: str) -> Stored | None:
    """The document with this id."""
    row = connection.execute(_BY_ID, {"of_id": id}).one_or_none()
    return _stored(row) if row is not None else None


def listed(connection: Connection, kind: str) -> list[Stored]:
    """All of a kind that are listed, by name."""
    rows = connection.execute(
        select(document)
        .where(document.c.kind == kind, document.c.listed)
        .order_by(document.c.name)
    )
    return [_stored(row) for row in rows]


def everything(connection: Connection) -> list[Stored]:
    """All documents, the unlisted ones too."""
    rows = connection.execute(select(document).order_by(document.c.id))
    return [_stored(row) for row in rows]


def put(connection: Connection, stored: Stored, *, new: bool) -> None:
    """
    Insert a document, or replace the one whose revision is one less.

    NameTaken, StaleRevision.
    """
    values = {
        "kind": stored.kind,
        "name": stored.name,
        "listed": stored.listed,
        "revision": stored.revision,
        "body": json.dumps(stored.body, ensure_ascii=False),
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
    }
    try:
        if new:
            connection.execute(insert(document).values(id=stored.id, **values))
            return
        changed = connection.execute(
            update(document)
            .where(document.c.id == stored.id)
            .where(document.c.revision == stored.revision - 1)
            .values(**values)
        )
    except IntegrityError as error:
        raise NameTaken(
            f"the name {stored.name!r} is taken", "choose another"
        ) from error
    if not changed.rowcount:
        raise StaleRevision(
            f"{stored.name!r} was changed meanwhile", "read it again, then change it"
        )


def touch(connection: Connection, id: str, now: float) -> bool:
    """Note that a document is in use; whether it is still there."""
    changed = connection.execute(
        update(document).where(document.c.id == id).values(updated_at=now)
    )
    return bool(changed.rowcount)


def remove(connection: Connection, id: str) -> None:
    """Delete a document and what it refers to."""
    connection.execute(delete(document).where(document.c.id == id))


def discard(connection: Connection, id: str) -> None:
    """Remove an email profile that nobody needs, with its token and its health."""
    tokens.forget(connection, id)
    health.forget(connection, id)
    remove(connection, id)


def refer(connection: Connection, id: str, targets: Mapping[str, str]) -> None:
    """Set what a document refers to: pointer to the id of what is named there."""
    connection.execute(delete(reference).where(reference.c.document_id == id))
    if targets:
        connection.execute(
            insert(reference),
            [
                {"document_id": id, "pointer": pointer, "target_id": target}
                for pointer, target in targets.items()
            ],
        )


def referrers(connection: Connection, id: str) -> list[Stored]:
    """The documents that refer to this one, by name."""
    rows = connection.execute(
        select(document)
        .where(
            document.c.id.in_(
                select(reference.c.document_id).where(reference.c.target_id == id)
            )
        )
        .order_by(document.c.name)
    )
    return [_stored(row) for row in rows]


def revisions_used(connection: Connection, id: str) -> tuple[tuple[str, int], ...]:
    """The documents that this one refers to, each with its revision."""
    rows = connection.execute(
        select(document.c.id, document.c.revision)
        .join(reference, reference.c.target_id == document.c.id)
        .where(reference.c.document_id == id)
        .order_by(document.c.id)
    )
    return tuple((row.id, row.revision) for row in rows)


def unneeded(connection: Connection, before: float) -> list[str]:
    """
    Unlisted documents, older than *before*, that no message stands for any more.

    Nor is one unneeded whose owner, by the id in its name, is a document itself: its
    grant could not be had again by a machine.
    """
    owner = document.alias()
    owned = exists().where(document.c.name == "embedded/" + owner.c.id)
    used = exists().where(
        and_(message.c.profile_id == document.c.id, message.c.state != "settled")
    )
    return list(
        connection.scalars(
            select(document.c.id)
            .where(document.c.listed.is_(False))
            .where(document.c.updated_at < before)
            .where(~used)
            .where(~owned)
        )
    )


def unstorable(value: object, place: Place = ()) -> Iterator[Place]:
    """Where in *value* there is text with half a character (a lone surrogate)."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield place
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from unstorable(key, place)
            yield from unstorable(one, (*place, key))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from unstorable(one, (*place, index))
