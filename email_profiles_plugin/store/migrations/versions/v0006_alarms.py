"""
Alarm notification: events, who is told of them, mails, acknowledgements.

Revision 0006, of 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alarm_event",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("alarm_id", sa.Text(), nullable=False),
        sa.Column("alarm_key", sa.String(length=32), nullable=False),
        sa.Column("transition", sa.String(length=16), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("event_time", sa.Float(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("acknowledgement_id", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_event")),
    )
    _index("alarm_event", "alarm_id", "alarm_key", "received_at", "acknowledgement_id")
    op.create_table(
        "alarm_notice",
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("event_id", sa.String(length=32), nullable=False),
        sa.Column("alone", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("mail_id", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["alarm_event.id"],
            name=op.f("fk_alarm_notice_event_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "document_id", "who", "event_id", name=op.f("pk_alarm_notice")
        ),
        sqlite_with_rowid=False,
    )
    _index("alarm_notice", "event_id")
    mailed = sa.text("mail_id IS NOT NULL")
    op.create_index(
        op.f("ix_alarm_notice_mail_id"),
        "alarm_notice",
        ["mail_id"],
        unique=False,
        sqlite_where=mailed,
        postgresql_where=mailed,
    )
    waits = sa.text("mail_id IS NULL AND reason = ''")
    op.create_index(
        op.f("ix_alarm_notice_waiting"),
        "alarm_notice",
        ["document_id", "who", "due_at"],
        unique=False,
        sqlite_where=waits,
        postgresql_where=waits,
    )
    op.create_table(
        "alarm_recipient",
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("mailed_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("document_id", "who", name=op.f("pk_alarm_recipient")),
    )
    _index("alarm_recipient", "due_at")
    op.create_table(
        "alarm_mail",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("claimed_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_mail")),
    )
    _index("alarm_mail", "document_id", "created_at")
    op.create_index(
        op.f("ix_alarm_mail_claimed"),
        "alarm_mail",
        ["state", "claimed_until"],
        unique=False,
    )
    op.create_table(
        "alarm_acknowledgement",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("mail_id", sa.String(length=32), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_acknowledgement")),
    )
    _index("alarm_acknowledgement", "mail_id", "told_at")


def _index(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)
