"""Statements on alarm events, and on who waits for news of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    update,
)

from .alarm_tables import (
    alarm_acknowledgement,
    alarm_event,
    alarm_mail,
    alarm_notice,
    alarm_recipient,
)


@frozen(kw_only=True)
class EventRow:
    """An alarm event about to be stored; times in seconds since 1970."""

    id: str
    alarm_id: str
    alarm_key: str
    transition: str
    rank: int
    event_time: float
    received_at: float
    body: str = field(repr=False)


@frozen(kw_only=True)
class NoticeRow:
    """*who* waits for news of an event till *due_at*, or is left out for a *reason*."""

    event_id: str
    document_id: str
    who: str
    alone: bool = True
    due_at: float | None = None
    reason: str = ""


SOME = 100
"""Events that are forgotten in one transaction, with all who were told of them."""

WAITING = and_(alarm_notice.c.mail_id.is_(None), alarm_notice.c.reason == "")
"""Neither in a mail nor left out."""

_UNTOLD = and_(
    alarm_notice.c.reason == "",
    or_(
        alarm_notice.c.mail_id.is_(None),
        alarm_notice.c.mail_id.in_(
            select(alarm_mail.c.id)
            .where(alarm_mail.c.state == "making")
            .where(alarm_mail.c.error != "")
        ),
    ),
)
"""Waiting, or in a mail that could not be made, and that nobody makes just now."""

_KNOWN = select(alarm_event.c.id).where(
    alarm_event.c.id.in_(bindparam("ids", expanding=True))
)
_KNOWN_NOTICES = select(
    alarm_notice.c.event_id, alarm_notice.c.who, alarm_notice.c.mail_id
).where(
    alarm_notice.c.event_id.in_(bindparam("ids", expanding=True)),
    alarm_notice.c.document_id == bindparam("of_document"),
)
_LAST_MAILS = select(alarm_recipient.c.who, alarm_recipient.c.mailed_at).where(
    alarm_recipient.c.document_id == bindparam("of_document"),
    alarm_recipient.c.mailed_at.is_not(None),
)
_RECIPIENTS = select(
    alarm_recipient.c.who, alarm_recipient.c.addresses, alarm_recipient.c.due_at
).where(alarm_recipient.c.document_id == bindparam("of_document"))
_AWAITED = (
    update(alarm_recipient)
    .where(
        alarm_recipient.c.document_id == bindparam("of_document"),
        alarm_recipient.c.who == bindparam("of_who"),
    )
    .values(addresses=bindparam("given"), due_at=bindparam("due"))
)
_ENDED = (
    select(alarm_notice.c.document_id, alarm_event.c.alarm_id)
    .join(alarm_event)
    .where(_UNTOLD)
    .where(alarm_event.c.alarm_id.in_(bindparam("ids", expanding=True)))
    .where(alarm_event.c.transition == "active")
    .distinct()
)


def known(
    connection: Connection, document_id: str, ids: Sequence[str]
) -> dict[tuple[str, str], str | None]:
    """The mail, or None yet, of those who have a notice of these events already."""
    rows = connection.execute(
        _KNOWN_NOTICES, {"ids": list(ids), "of_document": document_id}
    )
    return {(row.event_id, row.who): row.mail_id for row in rows}


def record(connection: Connection, events: Iterable[EventRow]) -> None:
    """Store what is not stored yet."""
    given = {one.id: one for one in events}
    stored = set(connection.scalars(_KNOWN, {"ids": list(given)}))
    rows = [_columns(one) for one in given.values() if one.id not in stored]
    if rows:
        connection.execute(insert(alarm_event), rows)


def _columns(event: EventRow) -> dict[str, Any]:
    return {
        "id": event.id,
        "alarm_id": event.alarm_id,
        "alarm_key": event.alarm_key,
        "transition": event.transition,
        "rank": event.rank,
        "event_time": event.event_time,
        "received_at": event.received_at,
        "body": event.body,
    }


def mailed_at(connection: Connection, document_id: str) -> dict[str, float]:
    """When the last consolidated message to each recipient was made."""
    rows = connection.execute(_LAST_MAILS, {"of_document": document_id})
    return {row.who: row.mailed_at for row in rows}


def told(
    connection: Connection, document_id: str, keys: Iterable[str], since: float
) -> Counter[tuple[str, str]]:
    """Of how many events of these alarms each recipient was to be told *since* then."""
    rows = connection.execute(
        select(alarm_event.c.alarm_key, alarm_notice.c.who, func.count())
        .select_from(alarm_event.join(alarm_notice))
        .where(alarm_event.c.alarm_key.in_(set(keys)))
        .where(alarm_event.c.received_at > since)
        .where(alarm_notice.c.document_id == document_id)
        .where(alarm_notice.c.reason == "")
        .group_by(alarm_event.c.alarm_key, alarm_notice.c.who)
    )
    return Counter({(key, who): count for key, who, count in rows})


def notify(
    connection: Connection,
    document_id: str,
    notices: Sequence[NoticeRow],
    addresses: Mapping[str, Sequence[str]],
) -> set[str]:
    """
    Store notices, and when each recipient's first one is due.

    Returns those for whom nothing had been waiting before.
    """
    if not notices:
        return set()
    connection.execute(
        insert(alarm_notice),
        [
            {
                "event_id": one.event_id,
                "document_id": one.document_id,
                "who": one.who,
                "alone": one.alone,
                "due_at": one.due_at,
                "reason": one.reason,
            }
            for one in notices
        ],
    )
    due: dict[str, float] = {}
    for one in notices:
        if one.due_at is not None and not one.reason:
            due[one.who] = min(due.get(one.who, one.due_at), one.due_at)
    return _await(connection, document_id, due, addresses)


def _await(
    connection: Connection,
    document_id: str,
    due: Mapping[str, float],
    addresses: Mapping[str, Sequence[str]],
) -> set[str]:
    rows = connection.execute(_RECIPIENTS, {"of_document": document_id})
    before = {row.who: (row.addresses, row.due_at) for row in rows}
    new, changed = [], []
    for who, moment in due.items():
        text = json.dumps(list(addresses[who]), ensure_ascii=False)
        if who not in before:
            new.append(
                {
                    "document_id": document_id,
                    "who": who,
                    "addresses": text,
                    "due_at": moment,
                }
            )
            continue
        known_addresses, awaited = before[who]
        first = moment if awaited is None else min(moment, awaited)
        if (known_addresses, awaited) != (text, first):
            changed.append(
                {
                    "of_document": document_id,
                    "of_who": who,
                    "given": text,
                    "due": first,
                }
            )
    if new:
        connection.execute(insert(alarm_recipient), new)
    for one in changed:
        connection.execute(_AWAITED, one)
    return {who for who in due if before.get(who, ("", None))[1] is None}


def ended(connection: Connection, alarm_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Document and alarm id of the active alarms among these that somebody awaits."""
    rows = connection.execute(_ENDED, {"ids": list(alarm_ids)})
    return [(row.document_id, row.alarm_id) for row in rows]


def end(
    connection: Connection,
    document_id: str,
    alarm_id: str,
    until: float,
    reason: str,
) -> None:
    """Whoever waits for an alarm that was active by *until* is left out."""
    over = select(alarm_event.c.id).where(
        alarm_event.c.alarm_id == alarm_id,
        alarm_event.c.transition == "active",
        alarm_event.c.event_time <= until,
    )
    connection.execute(
        update(alarm_notice)
        .where(_UNTOLD, alarm_notice.c.document_id == document_id)
        .where(alarm_notice.c.event_id.in_(over))
        .values(reason=reason, mail_id=None)
    )


def abandon(connection: Connection, document_id: str, reason: str) -> None:
    """Nobody is told any more of what an alarm notification that goes had waiting."""
    connection.execute(
        update(alarm_notice)
        .where(WAITING, alarm_notice.c.document_id == document_id)
        .values(reason=reason)
    )
    connection.execute(
        delete(alarm_recipient).where(alarm_recipient.c.document_id == document_id)
    )
    connection.execute(
        update(alarm_mail)
        .where(alarm_mail.c.document_id == document_id)
        .where(alarm_mail.c.state == "making")
        .values(state="failed", error=reason)
    )


def sweep(connection: Connection, before: float, live: Mapping[str, float]) -> bool:
    """
    Forget some of what came in before, unless somebody still waits for it.

    *live*: since when a document's mails have links that can be used still. Whether
    there may be more; for nobody else can write meanwhile.
    """
    kept = select(alarm_mail.c.id).where(
        or_(
            false(),
            *(
                and_(alarm_mail.c.document_id == id, alarm_mail.c.created_at > since)
                for id, since in live.items()
            ),
        )
    )
    awaited = select(alarm_notice.c.event_id).where(
        or_(WAITING, alarm_notice.c.mail_id.in_(kept))
    )
    old = (
        select(alarm_event.c.id)
        .where(alarm_event.c.received_at < before)
        .where(alarm_event.c.id.not_in(awaited))
        .limit(SOME)
    )
    gone = connection.execute(delete(alarm_event).where(alarm_event.c.id.in_(old)))
    if gone.rowcount:
        return True
    answers = alarm_acknowledgement.c
    for table, at, mail_id in (
        (alarm_acknowledgement, answers.at, answers.mail_id),
        (alarm_mail, alarm_mail.c.created_at, alarm_mail.c.id),
    ):
        old_ones = delete(table).where(at < before, mail_id.not_in(kept))
        connection.execute(old_ones)
    return False
