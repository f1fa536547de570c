"""The tables in code and the tables that the migrations make are the same."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from penstock_registry.registry import Registry
from penstock_registry.store import Transaction
from penstock_registry.tables import METADATA


async def test_the_migrations_lead_to_the_tables(registry: Registry) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    async def work(transaction: Transaction) -> list[object]:
        return await transaction.connection.run_sync(differences)

    assert await registry._store.read(work) == []
