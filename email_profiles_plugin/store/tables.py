"""
The tables. Times are seconds since 1970 (UTC) as numbers.

`migrations/` makes them; a test compares the two. Documents, tokens and messages
refer to a document by its immutable id, so that a rename touches one row.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

document = Table(
    "document",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", String(80), nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("kind", "name"),
)
"""Of every kind, by name; an embedded email profile is one that is not listed."""

reference = Table(
    "reference",
    metadata,
    Column(
        "document_id",
        ForeignKey("document.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("pointer", String(200), primary_key=True),
    Column("target_id", ForeignKey("document.id"), nullable=False, index=True),
)
"""Which document names which other one, and where (a JSON pointer)."""

token = Table(
    "token",
    metadata,
    Column("profile_id", String(80), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("grant_generation", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("sealed", Text),
    Column("expires_at", Float),
    Column("scope", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("has_refresh_token", Boolean, nullable=False),
    Column("error", Text, nullable=False),
    Column("refresh_started", Integer, nullable=False),
    Column("lease_owner", String(36)),
    Column("lease_until", Float),
    Column("retry_at", Float),
    Column("updated_at", Float, nullable=False),
)
"""One token state per profile; *sealed* holds the tokens themselves."""

grant_in_progress = Table(
    "grant_in_progress",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("profile_id", String(80), nullable=False, index=True),
    Column("profile_name", String(80), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("session_hash", String(64), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("sealed", Text),
    Column("actor", String(200), nullable=False),
    Column("step", String(8), nullable=False),
    Column("query_hash", String(64), nullable=False),
    Column("redeemed_at", Float),
    Column("result", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)
"""
Grants that a person was sent to a browser for: begun, redeemed, done. Of `state`,
session and answer only hashes are kept; *sealed* is the provider's, till it is done;
*result* is JSON: a token's status, or an error.
"""

worker = Table(
    "worker",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("lease_s", Float, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("beat_at", Float, nullable=False),
    Column("ended_at", Float),
)
"""Who delivers. Observers count *beats* on their own clocks; times are for people."""

message = Table(
    "message",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("message_id", String(998), nullable=False),
    Column("profile_id", String(80), nullable=False),
    Column("profile_name", String(80), nullable=False),
    Column("origin", String(200), nullable=False),
    Column("idempotency_key", String(200)),
    Column("request_hash", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("mail_from", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("size", Integer, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("state", String(8), nullable=False),
    Column("handed", Boolean, nullable=False),
    Column("owner", String(36)),
    Column("attempt", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("outcome", String(16)),
    Column("error", Text, nullable=False),
    Column("reply", Text),
    Column("queue_id", String(200), nullable=False),
    Column("settled_at", Float),
    Column("settled_by", String(36)),
    Column("announced_at", Float),
    UniqueConstraint("origin", "idempotency_key"),
    Index("ix_message_due", "state", "lane", "due_at"),
    Index("ix_message_profile", "profile_id", "state", "lane", "due_at"),
    Index("ix_message_settled", "state", "settled_at"),
    Index("ix_message_announced", "state", "announced_at"),
    Index("ix_message_owner", "owner"),
)
"""
The outbox: queued, sending or settled. *attempt* fences, *tries* counts failures;
*lane* is 0 (alarm), 1 (normal), 2 (bulk).
"""

octets = Table(
    "octets",
    metadata,
    Column(
        "message_id", ForeignKey("message.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("octets", LargeBinary, nullable=False),
)
"""Apart from the messages, or each claim would rewrite them."""

recipient = Table(
    "recipient",
    metadata,
    Column(
        "message_id", ForeignKey("message.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("position", Integer, primary_key=True),
    Column("address", Text, nullable=False),
    Column("state", String(9), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("reply", Text),
    Column("decided_at", Float, index=True),
)
"""One row each; *reply* is JSON: code, enhanced, text."""

attempt = Table(
    "attempt",
    metadata,
    Column(
        "message_id", ForeignKey("message.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("worker", String(36), nullable=False),
    Column("profile_revision", Integer, nullable=False),
    Column("started_at", Float, nullable=False, index=True),
    Column("handed_at", Float),
    Column("ended_at", Float),
    Column("verdict", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("error", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("queue_id", String(200), nullable=False),
    Column("transcript", Text, nullable=False),
)
"""
Every submission of a message. *part* 0 is what the owner did; a result that came
after the row was somebody else's is kept as part 1.
"""

health = Table(
    "health",
    metadata,
    Column("profile_id", String(80), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("paused_until", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("last_success_at", Float),
    Column("last_failure_at", Float),
    Column("last_failure", Text, nullable=False),
)
"""How a profile fares, and until when it rests after failing."""

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False, index=True),
    Column("actor", String(200), nullable=False),
    Column("action", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject_id", String(80), nullable=False, index=True),
    Column("subject", String(200), nullable=False),
    Column("detail", Text, nullable=False),
)
"""Who changed what; *detail* never holds a value of a secret."""

access_token = Table(
    "access_token",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("role", String(16), nullable=False),
    Column("token_hash", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("used_at", Float),
    Column("revoked_at", Float),
    UniqueConstraint("token_hash"),
)
"""Tokens for the console's API: who has one is let in. *used_at* is of that minute."""

sign_in = Table(
    "sign_in",
    metadata,
    Column("link_hash", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("base_url", Text, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("spent_at", Float),
    Column("session_hash", String(64)),
    Column("ended_at", Float),
    UniqueConstraint("session_hash"),
)
"""Sign-in links of the console, and the session that each was spent for."""

keepsake = Table(
    "keepsake",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)
"""
What is kept for a browser until it comes back: a device's code, a test's verifier.
*sealed* is bound to its purpose, its session and its key.
"""

report_clock = Table(
    "report_clock",
    metadata,
    Column("schedule_id", String(36), primary_key=True),
    Column("timetable", String(300), nullable=False),
    Column("since", Float, nullable=False),
)
"""Up to which moment the firings of a schedule are dealt with, by which timetable."""

report_run = Table(
    "report_run",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("schedule_id", String(36), nullable=False),
    Column("schedule_name", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("asked_by", String(200), nullable=False),
    Column("scheduled_at", Float, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("state", String(8), nullable=False, index=True),
    Column("owner", String(36)),
    Column("tries", Integer, nullable=False),
    Column("started_at", Float, nullable=False, index=True),
    Column("lost_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("row_count", Integer),
    Column("message_id", String(36)),
    Column("recipients", Integer, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("error", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("notes", Text, nullable=False),
    UniqueConstraint("schedule_id", "key"),
    Index("ix_report_run_schedule", "schedule_id", "started_at"),
)
"""
Every run of a report schedule, one for a firing: *key* is the firing, and *missed* how
many before it were made good by it. *message_id* is the message's id in the outbox.
"""
