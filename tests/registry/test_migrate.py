"""The schema: made when there is none, left alone when it fits, refused when it does not."""

from __future__ import annotations

import asyncio
import sys

import pytest
from sqlalchemy import text

from penstock_adapters.protocol.errors import Unavailable
from penstock_registry import migrate
from penstock_registry.registry import Registry
from penstock_registry.store import Store, Transaction


async def execute(store: Store, statement: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.connection.execute(text(statement))

    await store.write(work)


async def test_an_empty_database_gets_the_newest_schema(empty_url: str) -> None:
    store = Store(empty_url)

    assert await migrate.current(store) == ""
    await migrate.ensure(store, upgrade=True)
    await migrate.ensure(store, upgrade=False)

    assert await migrate.current(store) == migrate.known()[-1]
    await store.aclose()


async def test_without_leave_to_upgrade_an_older_schema_is_refused(empty_url: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await Registry.open(empty_url, upgrade=False)

    assert caught.value.text == (
        f"the registry's database has schema none, and this version needs {migrate.known()[-1]}; run penstock db upgrade"
    )


async def test_a_schema_of_the_future_is_left_alone(empty_url: str) -> None:
    store = Store(empty_url)
    await migrate.ensure(store, upgrade=True)
    await execute(store, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(Unavailable) as caught:
        await migrate.ensure(store, upgrade=True)

    assert caught.value.reason == "schema_unknown"
    assert await migrate.current(store) == "9999"
    await store.aclose()


async def test_many_that_start_at_once_make_one_schema(empty_url: str) -> None:
    registry = Registry(empty_url)

    await asyncio.gather(*(registry.head() for _ in range(8)))

    assert await registry.head() == 0
    await registry.aclose()


async def test_processes_that_start_at_once_make_one_schema(empty_url: str) -> None:
    code = (
        "import asyncio, sys; from penstock_registry.registry import Registry\n"
        "async def main():\n"
        "    registry = await Registry.open(sys.argv[1]); print(await registry.head()); await registry.aclose()\n"
        "asyncio.run(main())\n"
    )
    pipe = asyncio.subprocess.PIPE
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_url, stdout=pipe, stderr=pipe)
        for _ in range(3)
    ]

    answers = [await process.communicate() for process in started]

    assert [out for out, _ in answers] == [b"0\n"] * 3, answers
