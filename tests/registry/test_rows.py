"""Reading rows: any number of names, page by page."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from penstock_adapters.protocol.errors import Unavailable
from penstock_registry import rows
from penstock_registry.registry import Registry
from penstock_registry.rows import PAGE
from penstock_registry.snapshot import Key
from penstock_registry.store import Transaction
from tests.support.registries import edits
from tests.support.resources import backend, deployment, model


async def test_names_that_exist_are_found_however_many_are_asked_for(registry: Registry) -> None:
    await registry.write(edits(model("m", "1"), backend("m"), model("it.s")), author="ann")
    asked: list[Key] = [("Model", f"x{number}") for number in range(2 * PAGE + 1)]
    asked += [("Model", "m"), ("Backend", "m"), ("Model", "it.s"), ("Route", "m")]

    found = await registry._store.read(lambda transaction: rows.resources(transaction, asked))

    assert set(found) == {("Model", "m"), ("Backend", "m"), ("Model", "it.s")}
    assert (found["Model", "m"].revision, found["Backend", "m"].kind) == (1, "Backend")


async def test_users_are_found_by_what_they_use(registry: Registry) -> None:
    await registry.write(edits(model("m", "1"), backend("b"), deployment("m@1", "b", "d")), author="ann")

    async def read(transaction: Transaction) -> list[object]:
        return [
            (user.source, user.target, user.selector)
            for user in await rows.users(transaction, [("Model", "m"), ("Backend", "none")])
        ]

    assert await registry._store.read(read) == [(("Deployment", "d"), ("Model", "m"), "version:1")]


async def test_snapshots_and_audit_are_read_from_either_end(registry: Registry) -> None:
    for number in range(3):
        await registry.write(edits(model(f"m{number}")), author="ann")

    async def read(transaction: Transaction) -> list[list[int]]:
        return [
            [row.revision for row in await rows.snapshots(transaction, after=1, limit=9)],
            [row.revision for row in await rows.newest_snapshots(transaction, before=3, limit=9)],
            [row.id for row in await rows.audit(transaction, after=1, limit=1)],
            [row.id for row in await rows.newest_audit(transaction, limit=2)],
        ]

    assert await registry._store.read(read) == [[2, 3], [2, 1], [2], [3, 2]]


async def test_a_database_without_its_head_is_unavailable(registry: Registry) -> None:
    async def forget(transaction: Transaction) -> None:
        await transaction.connection.execute(text("DELETE FROM head"))

    await registry._store.write(forget)

    with pytest.raises(Unavailable):
        await registry.head()
