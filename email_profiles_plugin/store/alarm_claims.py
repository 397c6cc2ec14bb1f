"""Statements by which a mail that is due becomes one process's to make."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from .alarm_tables import alarm_mail, alarm_notice, alarm_recipient
from .alarms import WAITING

LEASE_S = 60
"""Seconds that whoever claimed a mail has to make it; then somebody else does."""

MOST_AT_ONCE = 500
"""Events that are claimed in one transaction; more where one mail tells of more."""


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
_DUE = (
    select(alarm_recipient)
    .where(alarm_recipient.c.due_at <= bindparam("now"))
    .order_by(alarm_recipient.c.due_at)
    .limit(MOST_AT_ONCE)
)
_DUE_OF_ONE = _DUE.where(alarm_recipient.c.document_id == bindparam("of_document"))
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
    .where(alarm_notice.c.due_at >= 0)  # all; by the index of those who wait
    .values(mail_id=bindparam("mail"))
)


def claim(connection: Connection, now: float, unique: Callable[[], str]) -> list[Mail]:
    """
    The mails that are due, each now this caller's to make.

    Only some at a time, for nobody else can write meanwhile: call it until there are
    none.
    """
    mails: list[Mail] = []
    left = MOST_AT_ONCE
    for row in connection.execute(_DUE, {"now": now}).all():
        found, count = _claim_for(connection, row, now, unique)
        mails += found
        left -= count
        if left <= 0:
            break
    return mails


def claim_new(
    connection: Connection,
    document_id: str,
    events: Sequence[str],
    fresh: Collection[str],
    now: float,
    unique: Callable[[], str],
) -> list[Mail]:
    """
    The mails of one document that are due, in a call that brought *events* for it.

    What had been waiting before is left to others: a host's call is not to wait for
    all that came before. *fresh*: for whom nothing had been gathered.
    """
    mails: list[Mail] = []
    rows = connection.execute(_DUE_OF_ONE, {"now": now, "of_document": document_id})
    for row in rows.all():
        gathered = row.who in fresh
        found, _ = _claim_for(connection, row, now, unique, events, gathered=gathered)
        mails += found
    return mails


def _claim_for(
    connection: Connection,
    row: Any,
    now: float,
    unique: Callable[[], str],
    events: Sequence[str] | None = None,
    *,
    gathered: bool = True,
) -> tuple[list[Mail], int]:
    """The mails to one recipient, and of how many events they tell."""
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

    due = _ALONE_AND_DUE
    if events is not None:
        due = due.where(alarm_notice.c.event_id.in_(events))
    alone = list(connection.scalars(due, {**of, "now": now}))
    mails, count, mailed = [mail() for _ in alone], len(alone), None
    if alone:
        into = [
            {**of, "of_event": event, "mail": one.id}
            for event, one in zip(alone, mails, strict=True)
        ]
        connection.execute(_INTO_MAIL, into)
    first = connection.scalar(_GATHERED_DUE, of) if gathered else None
    if first is not None and first <= now:
        made = mail()
        if many := connection.execute(_GATHER, {**of, "mail": made.id}).rowcount:
            mails.append(made)
            count, mailed = count + many, now
    connection.execute(_SETTLED_UNTIL_NEXT, {**of, "mailed": mailed})
    if mails:
        connection.execute(insert(alarm_mail), [_row(one) for one in mails])
    return mails, count


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
