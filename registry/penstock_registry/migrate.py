"""Bring a database to the schema this version needs: Alembic, run from inside, one process at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from penstock_adapters.protocol.errors import Unavailable
from penstock_registry.store import Store, Transaction

TIMEOUT_S: Final = 600.0
LOCK: Final = 0x50454E53544F434B
"""PostgreSQL's advisory lock for migrations: "PENSTOCK"."""


def known() -> list[str]:
    """The schema versions this package has, oldest first."""
    script = ScriptDirectory.from_config(_config())
    return [step.revision for step in reversed(list(script.walk_revisions()))]


async def current(store: Store) -> str:
    """The database's schema version, "" if it has none yet. Raises Unavailable."""

    async def read(transaction: Transaction) -> str:
        transaction.patience.renew()
        return await transaction.connection.run_sync(_version)

    return await store.read(read)


async def ensure(store: Store, *, upgrade: bool) -> None:
    """Upgrade an older schema, or refuse it. Reading suffices when there is nothing to do.

    Raises Unavailable("schema_outdated") without `upgrade`, ("schema_unknown") if a newer version was here,
    ("store_unavailable") if the database cannot be reached.
    """
    found, versions = await current(store), known()
    if found == versions[-1]:
        return
    if found and found not in versions:
        raise Unavailable("schema_unknown", found=found)
    if not upgrade:
        raise Unavailable("schema_outdated", found=found or "none", needed=versions[-1])
    # Alembic keeps the migration it runs in module globals: one at a time in this process too.
    async with store.migrating:
        if await current(store) != versions[-1]:
            await store.migrate(_upgrade, TIMEOUT_S)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Two processes may start at once; the second finds nothing left to do. SQLite's BEGIN IMMEDIATE does the same.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _version(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
