"""Alembic's entry point. The connection is handed in by migrate.py, which also holds the lock and the transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from penstock_registry.tables import METADATA

connection = context.config.attributes["connection"]
assert isinstance(connection, Connection)
context.configure(connection=connection, target_metadata=METADATA)
context.run_migrations()
