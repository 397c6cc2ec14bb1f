"""
Report schedules: their clocks and their runs.

Revision 0005, of 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "report_clock",
        sa.Column("schedule_id", sa.String(length=36), nullable=False),
        sa.Column("timetable", sa.String(length=300), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("schedule_id", name=op.f("pk_report_clock")),
    )
    op.create_table(
        "report_run",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("schedule_id", sa.String(length=36), nullable=False),
        sa.Column("schedule_name", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("asked_by", sa.String(length=200), nullable=False),
        sa.Column("scheduled_at", sa.Float(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=36), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("lost_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.String(length=36), nullable=True),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_run")),
        sa.UniqueConstraint(
            "schedule_id", "key", name=op.f("uq_report_run_schedule_id")
        ),
    )
    op.create_index(op.f("ix_report_run_state"), "report_run", ["state"], unique=False)
    op.create_index(
        op.f("ix_report_run_started_at"), "report_run", ["started_at"], unique=False
    )
    op.create_index(
        "ix_report_run_schedule",
        "report_run",
        ["schedule_id", "started_at"],
        unique=False,
    )
