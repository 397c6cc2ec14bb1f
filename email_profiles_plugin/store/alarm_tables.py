"""The tables of alarm notification. Times are seconds since 1970 (UTC) as numbers."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from .tables import metadata

alarm_event = Table(
    "alarm_event",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("alarm_id", Text, nullable=False, index=True),
    Column("alarm_key", String(32), nullable=False, index=True),
    Column("transition", String(16), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("event_time", Float, nullable=False),
    Column("received_at", Float, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("acknowledgement_id", String(32), index=True),
)
"""
What hosts told; *id* is made of the host's id, transition and time, *alarm_key* of
source and name. *acknowledgement_id*: by which it was acknowledged from a mail.
"""

_MAILED = text("mail_id IS NOT NULL")
_WAITS = text("mail_id IS NULL AND reason = ''")

alarm_notice = Table(
    "alarm_notice",
    metadata,
    Column("document_id", String(36), primary_key=True),
    Column("who", Text, primary_key=True),
    Column(
        "event_id",
        ForeignKey("alarm_event.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
    Column("alone", Boolean, nullable=False),
    Column("due_at", Float),
    Column("mail_id", String(32)),
    Column("reason", Text, nullable=False),
    Index(
        "ix_alarm_notice_mail_id",
        "mail_id",
        sqlite_where=_MAILED,
        postgresql_where=_MAILED,
    ),
    Index(
        "ix_alarm_notice_waiting",
        "document_id",
        "who",
        "due_at",
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    ),
    sqlite_with_rowid=False,
)
"""
One row for each event and recipient, who is "" where it holds for all: in a mail, left
out for a *reason*, or, with neither, waiting. What one mail tells of lies side by
side: the key begins with whom.
"""

alarm_recipient = Table(
    "alarm_recipient",
    metadata,
    Column("document_id", String(36), primary_key=True),
    Column("who", Text, primary_key=True),
    Column("addresses", Text, nullable=False),
    Column("due_at", Float, index=True),
    Column("mailed_at", Float),
)
"""
A recipient's addresses, when what is gathered for them is due (null: nothing is), and
when the last consolidated message was made.
"""

alarm_mail = Table(
    "alarm_mail",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("document_id", String(36), nullable=False, index=True),
    Column("who", Text, nullable=False),
    Column("addresses", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("message_id", String(36)),
    Column("error", Text, nullable=False),
    Column("created_at", Float, nullable=False, index=True),
    Column("claimed_until", Float, nullable=False),
    Index("ix_alarm_mail_claimed", "state", "claimed_until"),
)
"""
A message to one recipient: being made (`making`), in the outbox under *message_id*
(`queued`), or impossible (`failed`). Which events it tells of never changes.
"""

alarm_acknowledgement = Table(
    "alarm_acknowledgement",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("mail_id", String(32), nullable=False, index=True),
    Column("who", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("told_at", Float, index=True),
    Column("error", Text, nullable=False),
)
"""Who acknowledged what a mail tells of; *told_at*: when the host took it."""
