"""
Grants in progress.

Revision 0002, of 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "grant_in_progress",
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("profile_id", sa.String(length=80), nullable=False),
        sa.Column("profile_name", sa.String(length=80), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("step", sa.String(length=8), nullable=False),
        sa.Column("query_hash", sa.String(length=64), nullable=False),
        sa.Column("redeemed_at", sa.Float(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_grant_in_progress")),
    )
    op.create_index(
        op.f("ix_grant_in_progress_profile_id"),
        "grant_in_progress",
        ["profile_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_grant_in_progress_expires_at"),
        "grant_in_progress",
        ["expires_at"],
        unique=False,
    )
