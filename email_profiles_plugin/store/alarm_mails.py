"""Statements on mails that tell of alarms, and on who acknowledged what they tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection, Row, exists, func, insert, select, update

from .alarm_claims import LEASE_S, Mail
from .alarm_tables import (
    alarm_acknowledgement,
    alarm_event,
    alarm_mail,
    alarm_notice,
    alarm_recipient,
)
from .tables import message

_EVENTS_OF_MAIL = alarm_event.join(alarm_notice)


@frozen(kw_only=True)
class Told:
    """
    What a mail tells of: the number of events by transition, the highest rank, the
    first and the last time, and the bodies of the most urgent ones.
    """

    by_transition: dict[str, int]
    rank: int
    first: float
    last: float
    bodies: tuple[str, ...] = field(repr=False)


@frozen(kw_only=True)
class Answer:
    """An acknowledgement; *told_at* None: the host did not take it yet."""

    id: str
    mail_id: str
    who: str
    note: str
    at: float
    told_at: float | None = None
    error: str = ""


def _mail(row: Row[Any]) -> Mail:
    return Mail(
        id=row.id,
        document_id=row.document_id,
        who=row.who,
        addresses=tuple(json.loads(row.addresses)),
        created_at=row.created_at,
        claimed_until=row.claimed_until,
    )


def by_id(connection: Connection, id: str) -> Mail | None:
    """The mail with this id."""
    row = connection.execute(select(alarm_mail).where(alarm_mail.c.id == id)).first()
    return None if row is None else _mail(row)


def events_of(connection: Connection, mail_id: str) -> tuple[str, ...]:
    """The ids of the events that a mail tells of, in their order."""
    return tuple(
        connection.scalars(
            select(alarm_notice.c.event_id)
            .where(alarm_notice.c.mail_id == mail_id)
            .order_by(alarm_notice.c.event_id)
        )
    )


def told(connection: Connection, mail_id: str, most: int) -> Told | None:
    """What a mail tells of, with *most* bodies; None where nothing of it is left."""
    of_mail = alarm_notice.c.mail_id == mail_id
    rows = connection.execute(
        select(
            alarm_event.c.transition,
            func.count().label("count"),
            func.max(alarm_event.c.rank).label("rank"),
            func.min(alarm_event.c.event_time).label("first"),
            func.max(alarm_event.c.event_time).label("last"),
        )
        .select_from(_EVENTS_OF_MAIL)
        .where(of_mail)
        .group_by(alarm_event.c.transition)
    ).all()
    if not rows:
        return None
    bodies = (
        select(alarm_event.c.body)
        .select_from(_EVENTS_OF_MAIL)
        .where(of_mail)
        .order_by(alarm_event.c.rank.desc(), alarm_event.c.event_time, alarm_event.c.id)
        .limit(most)
    )
    return Told(
        by_transition={row.transition: row[1] for row in rows},
        rank=max(row.rank for row in rows),
        first=min(row.first for row in rows),
        last=max(row.last for row in rows),
        bodies=tuple(connection.scalars(bodies)),
    )


def stale(connection: Connection, now: float, limit: int = 500) -> list[Mail]:
    """Mails whose maker did not finish in time; now this caller's."""
    late = (
        select(alarm_mail)
        .where(alarm_mail.c.state == "making")
        .where(alarm_mail.c.claimed_until <= now)
        .order_by(alarm_mail.c.claimed_until)
        .limit(limit)
    )
    found = [_mail(row) for row in connection.execute(late)]
    if found:
        connection.execute(
            update(alarm_mail)
            .where(alarm_mail.c.id.in_([one.id for one in found]))
            .values(claimed_until=now + LEASE_S, error="")
        )
    return found


def put_off(connection: Connection, id: str, until: float, error: str) -> None:
    """It is tried again *until* then; it could not be made, for the reason *error*."""
    connection.execute(
        update(alarm_mail)
        .where(alarm_mail.c.id == id, alarm_mail.c.state == "making")
        .values(claimed_until=until, error=error or "unknown")
    )


def queued_as(connection: Connection, origin: str, key: str) -> str | None:
    """The message that this key already stands for in the outbox."""
    return connection.scalar(
        select(message.c.id)
        .where(message.c.origin == origin)
        .where(message.c.idempotency_key == key)
    )


def settle(
    connection: Connection, id: str, *, message_id: str | None, error: str = ""
) -> None:
    """It is in the outbox, or, without a *message_id*, can't be sent."""
    state = "failed" if message_id is None else "queued"
    connection.execute(
        update(alarm_mail)
        .where(alarm_mail.c.id == id, alarm_mail.c.state != "queued")
        .values(state=state, message_id=message_id, error=error)
    )


def next_due(connection: Connection) -> float | None:
    """When there is something to do next, as far as is known now."""
    moments = (
        select(func.min(alarm_recipient.c.due_at)),
        select(func.min(alarm_mail.c.claimed_until)).where(
            alarm_mail.c.state == "making"
        ),
    )
    found = [connection.scalar(one) for one in moments]
    return min((one for one in found if one is not None), default=None)


def receipts(connection: Connection, mail_ids: Sequence[str]) -> list[Row[Any]]:
    """Id, Message-ID and time of the messages of those mails that are queued."""
    rows: Any = connection.execute(
        select(message.c.id, message.c.message_id, message.c.queued_at)
        .join(alarm_mail, alarm_mail.c.message_id == message.c.id)
        .where(alarm_mail.c.id.in_(mail_ids))
        .order_by(message.c.queued_at)
    )
    return list(rows)


def acknowledge(connection: Connection, answer: Answer) -> list[tuple[str, float]]:
    """
    Note that a mail's events are acknowledged; alarm id and time of those that are new.

    The first to acknowledge an event is who did; nothing new is not noted.
    """
    of_mail = select(alarm_notice.c.event_id).where(
        alarm_notice.c.mail_id == answer.mail_id
    )
    fresh = alarm_event.c.id.in_(of_mail) & alarm_event.c.acknowledgement_id.is_(None)
    found = connection.execute(
        select(alarm_event.c.alarm_id, alarm_event.c.event_time).where(fresh)
    ).all()
    if not found:
        return []
    connection.execute(
        update(alarm_event).where(fresh).values(acknowledgement_id=answer.id)
    )
    connection.execute(
        insert(alarm_acknowledgement).values(
            id=answer.id,
            mail_id=answer.mail_id,
            who=answer.who,
            note=answer.note,
            at=answer.at,
            error="",
        )
    )
    return [(row.alarm_id, row.event_time) for row in found]


def unacknowledged(connection: Connection, mail_id: str) -> bool:
    """Whether a mail tells of something that nobody acknowledged yet."""
    left = (
        select(alarm_event.c.id)
        .select_from(_EVENTS_OF_MAIL)
        .where(alarm_notice.c.mail_id == mail_id)
        .where(alarm_event.c.acknowledgement_id.is_(None))
        .limit(1)
    )
    return connection.scalar(left) is not None


def untold(
    connection: Connection, tried: tuple[float, str], limit: int = 100
) -> list[Answer]:
    """
    Acknowledgements that the host did not take yet: first those never told of.

    Then the others in their order, beginning after *tried*, the time and id of the one
    that was told last, so that what is never taken holds up nothing.
    """
    table = alarm_acknowledgement.c
    waiting = (
        select(alarm_acknowledgement)
        .where(table.told_at.is_(None))
        .order_by(table.at, table.id)
    )
    at, id = tried
    after = (table.at > at) | ((table.at == at) & (table.id > id))
    found: list[Row[Any]] = []
    for which in (table.error == "", (table.error != "") & after):
        some = waiting.where(which).limit(limit - len(found))
        found += connection.execute(some).all()
    return [_answer(row) for row in found]


def answers(connection: Connection, mail_id: str) -> list[Answer]:
    """Who acknowledged what a mail tells of, by this mail or another one."""
    used = exists().where(
        alarm_event.c.acknowledgement_id == alarm_acknowledgement.c.id,
        alarm_event.c.id == alarm_notice.c.event_id,
        alarm_notice.c.mail_id == mail_id,
    )
    rows = connection.execute(
        select(alarm_acknowledgement).where(used).order_by(alarm_acknowledgement.c.at)
    )
    return [_answer(row) for row in rows]


def _answer(row: Row[Any]) -> Answer:
    return Answer(
        id=row.id,
        mail_id=row.mail_id,
        who=row.who,
        note=row.note,
        at=row.at,
        told_at=row.told_at,
        error=row.error,
    )


def tell(connection: Connection, id: str, told_at: float | None, error: str) -> None:
    """The host took an acknowledgement, or did not, for the reason *error*."""
    connection.execute(
        update(alarm_acknowledgement)
        .where(alarm_acknowledgement.c.id == id)
        .values(told_at=told_at, error=error)
    )


def acknowledged(connection: Connection, id: str) -> list[str]:
    """The bodies of the events that an acknowledgement is of, the oldest first."""
    return list(
        connection.scalars(
            select(alarm_event.c.body)
            .where(alarm_event.c.acknowledgement_id == id)
            .order_by(alarm_event.c.event_time, alarm_event.c.id)
        )
    )
