"""Any stored value that is changed behind the registry's back is found, and the place is named."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from penstock_adapters.protocol.errors import Internal
from penstock_registry.registry import Registry
from penstock_registry.store import Transaction
from tests.support.registries import deletes, edits
from tests.support.resources import backend, deployment, model


async def written(registry: Registry) -> None:
    await registry.write(edits(backend("b"), model("m", "1"), deployment("m@1", "b", "d")), author="ann", reason="one")
    await registry.write(edits(model("m", "1", "2"), model("n")), author="bob", reason="two")
    await registry.write(deletes(("Model", "n")), author="ann", reason="three")


async def execute(registry: Registry, statement: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.connection.execute(text(statement))

    await registry._store.write(work)


async def test_an_honest_history_verifies(registry: Registry) -> None:
    await written(registry)

    await registry.verify()


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE snapshot SET author = 'eve' WHERE revision = 2", "revision 2"),
        ("UPDATE snapshot SET reason = 'other' WHERE revision = 1", "revision 1"),
        ("UPDATE snapshot SET created_at = '2020-01-01T00:00:00+00:00' WHERE revision = 3", "revision 3"),
        ("UPDATE snapshot SET changed = 9 WHERE revision = 2", "revision 2"),
        ("UPDATE snapshot SET previous_hash = hash WHERE revision = 2", "revision 2"),
        ("UPDATE snapshot SET hash = previous_hash WHERE revision = 2", "revision 2"),
        ("DELETE FROM snapshot WHERE revision = 1", "revision 1"),
        ("DELETE FROM snapshot WHERE revision = 2", "revision"),
        ("DELETE FROM snapshot WHERE revision = 3", "revision 3"),
        ("UPDATE change SET after = before WHERE revision = 2 AND name = 'm'", "revision 2"),
        ("UPDATE change SET before = after WHERE revision = 2 AND name = 'm'", "revision 2"),
        ("UPDATE change SET before_revision = 0 WHERE revision = 3", "revision 3"),
        ("UPDATE change SET name = 'x' WHERE revision = 2 AND name = 'n'", "revision 2"),
        ("DELETE FROM change WHERE revision = 2 AND name = 'n'", "revision 2"),
        ("INSERT INTO change SELECT 9, kind, name, 0, before, after FROM change WHERE revision = 3", "revision 9"),
        ("UPDATE resource SET body = replace(body, '\"2\"', '\"3\"') WHERE name = 'm'", "revision 2"),
        ("UPDATE resource SET revision = 1 WHERE name = 'm'", "revision 1"),
        ("DELETE FROM resource WHERE name = 'b'", "revision 1"),
        ("INSERT INTO resource SELECT kind, 'x', revision, body FROM resource WHERE name = 'b'", "revision 1"),
        ("DELETE FROM resource_reference WHERE target_kind = 'Backend'", "references"),
        ("UPDATE head SET revision = 2", "revision 2"),
        ("UPDATE head SET hash = audit_hash", "revision 3"),
        ("UPDATE audit SET author = 'eve' WHERE id = 2", "audit row 2"),
        ("UPDATE audit SET result = 'ok', count = 2 WHERE id = 1", "audit row 1"),
        ("DELETE FROM audit WHERE id = 1", "audit row 1"),
        ("DELETE FROM audit WHERE id = 3", "audit row 3"),
    ],
)
async def test_a_changed_value_is_found(registry: Registry, statement: str, place: str) -> None:
    await written(registry)
    await execute(registry, statement)

    with pytest.raises(Internal, match=place) as caught:
        await registry.verify()

    assert caught.value.reason == "registry_tampered"
