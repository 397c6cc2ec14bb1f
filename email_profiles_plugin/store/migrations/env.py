"""Alembic's entry: runs the scripts on the connection that it is given."""

from __future__ import annotations

from alembic import context

from email_profiles_plugin.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction is the only one
)
context.run_migrations()
