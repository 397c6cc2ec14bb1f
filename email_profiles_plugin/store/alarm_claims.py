"""Statements by which a mail that is due becomes one process's to make."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from .alarm_tables import alarm_mail, alarm_notice, alarm_recipient
from .alarms import WAITING

LEASE_S = 60
"""Seconds that whoever claimed a mail has to make it; then somebody else does."""

MOST_AT_ONCE = 500
"""Mails that are claimed in one transaction, for one recipient."""


@frozen(kw_only=True)
class Mail:
    """A message to one recipient that whoever holds this has to make."""

    id: str
    document_id: str
    who: str
    addresses: tuple[str, ...]
    created_at: float
    claimed_until: float


_OF_RECIPIENT = and_(
    alarm_notice.c.document_id == bindparam("of_document"),
    alarm_notice.c.who == bindparam("of_who"),
)
_SETTLED_UNTIL_NEXT = (
    update(alarm_recipient)
    .where(
        alarm_recipient.c.document_id == bindparam("of_document"),
        alarm_recipient.c.who == bindparam("of_who"),
    )
    .values(
        due_at=select(func.min(alarm_notice.c.due_at))
        .where(_OF_RECIPIENT, WAITING)
        .scalar_subquery(),
        mailed_at=func.coalesce(bindparam("mailed"), alarm_recipient.c.mailed_at),
    )
)
_ALONE_AND_DUE = (
    select(alarm_notice.c.event_id)
    .where(_OF_RECIPIENT, WAITING, alarm_notice.c.alone)
    .where(alarm_notice.c.due_at <= bindparam("now"))
    .order_by(alarm_notice.c.due_at)
    .limit(MOST_AT_ONCE)
)
_GATHERED_DUE = (
    select(func.min(alarm_notice.c.due_at))
    .where(_OF_RECIPIENT, WAITING)
    .where(alarm_notice.c.alone.is_(False))
)
_INTO_MAIL = (
    update(alarm_notice)
    .where(_OF_RECIPIENT, WAITING)
    .where(alarm_notice.c.event_id == bindparam("of_event"))
    .values(mail_id=bindparam("mail"))
)
_GATHER = (
    update(alarm_notice)
    .where(_OF_RECIPIENT, WAITING)
    .where(alarm_notice.c.alone.is_(False))
    .values(mail_id=bindparam("mail"))
)


def claim(
    connection: Connection,
    now: float,
    unique: Callable[[], str],
    document_id: str | None = None,
) -> list[Mail]:
    """
    The mails that are due, each now this caller's to make; for one document if named.

    There may be more: call it until there are none.
    """
    due = (
        select(alarm_recipient)
        .where(alarm_recipient.c.due_at <= now)
        .order_by(alarm_recipient.c.due_at)
        .limit(MOST_AT_ONCE)
    )
    if document_id is not None:
        due = due.where(alarm_recipient.c.document_id == document_id)
    mails: list[Mail] = []
    for row in connection.execute(due).all():
        mails += _claim_for(connection, row, now, unique)
        if len(mails) >= MOST_AT_ONCE:
            break
    return mails


def _claim_for(
    connection: Connection, row: Any, now: float, unique: Callable[[], str]
) -> list[Mail]:
    of = {"of_document": row.document_id, "of_who": row.who}

    def mail() -> Mail:
        return Mail(
            id=unique(),
            document_id=row.document_id,
            who=row.who,
            addresses=tuple(json.loads(row.addresses)),
            created_at=now,
            claimed_until=now + LEASE_S,
        )

    alone = list(connection.scalars(_ALONE_AND_DUE, {**of, "now": now}))
    mails = [mail() for _ in alone]
    if alone:
        connection.execute(
            _INTO_MAIL,
            [
                {**of, "of_event": event, "mail": one.id}
                for event, one in zip(alone, mails, strict=True)
            ],
        )
    first = connection.scalar(_GATHERED_DUE, of)
    gathered = first is not None and first <= now
    if gathered:
        mails.append(mail())
        connection.execute(_GATHER, {**of, "mail": mails[-1].id})
    mailed = now if gathered else None
    connection.execute(_SETTLED_UNTIL_NEXT, {**of, "mailed": mailed})
    if mails:
        connection.execute(insert(alarm_mail), [_row(one) for one in mails])
    return mails


def _row(mail: Mail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "document_id": mail.document_id,
        "who": mail.who,
        "addresses": json.dumps(mail.addresses, ensure_ascii=False),
        "state": "making",
        "error": "",
        "created_at": mail.created_at,
        "claimed_until": mail.claimed_until,
    }
