"""Alembic's environment: runs the versions on the connection it is given, in its transaction."""

from __future__ import annotations

from alembic import context

from store.tables import all_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_tables,
    transactional_ddl=True,
)
context.run_migrations()
