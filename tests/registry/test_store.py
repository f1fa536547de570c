"""Connections and transactions: short deadlines, honest answers, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from penstock_adapters.protocol.errors import InvalidArgument, Unavailable
from penstock_registry.store import ROWS_AT_ONCE, Bounds, Store, Transaction
from tests.support.postgres import Postgres

NUMBERS = Table("numbers", MetaData(), Column("n", Integer, primary_key=True))
QUICK = Bounds(step_s=0.4, lock_s=1.0)
BOUND_S = 20.0


@pytest.fixture
async def store(empty_url: str) -> AsyncIterator[Store]:
    opened = Store(empty_url, QUICK)
    await opened.write(create)
    yield opened
    await opened.aclose()


async def create(transaction: Transaction) -> None:
    await transaction.connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))


async def insert_one(transaction: Transaction) -> None:
    await transaction.run(insert(NUMBERS), [{"n": 1}])


async def count(transaction: Transaction) -> int:
    [(found,)] = await transaction.rows(select(func.count()).select_from(NUMBERS))
    return int(found)


async def test_a_long_computation_keeps_nobody_waiting_and_its_connection(store: Store) -> None:
    """Longer than a step, and than the server lets a silent transaction be."""
    turns = 0

    def slow() -> int:
        time.sleep(3 * QUICK.step_s)
        return 7

    async def work(transaction: Transaction) -> int:
        await insert_one(transaction)
        return await transaction.compute(slow)

    writing = asyncio.ensure_future(store.write(work))
    while not writing.done():
        turns += 1
        await asyncio.sleep(0.01)

    assert await writing == 7
    assert turns > 10
    assert await store.read(count) == 1


@pytest.mark.parametrize(
    "url",
    ["", "x", "sqlite:///a.db", "postgresql://h/d", "sqlite+aiosqlite://", "postgresql+asyncpg://h", "mysql://h/d"],
)
def test_only_our_two_databases_are_taken(url: str) -> None:
    with pytest.raises(InvalidArgument):
        Store(url)


async def test_what_is_written_is_read(store: Store) -> None:
    await store.write(insert_one)

    assert await store.read(count) == 1


async def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    async def fail(transaction: Transaction) -> None:
        await insert_one(transaction)
        raise InvalidArgument("path_not_found", path="/")

    with pytest.raises(InvalidArgument):
        await store.write(fail)

    assert await store.read(count) == 0
    await store.write(insert_one)


async def test_a_wrong_statement_is_not_called_an_outage(store: Store) -> None:
    await store.write(insert_one)

    with pytest.raises(DBAPIError):
        await store.write(insert_one)


async def test_a_reader_sees_one_moment(store: Store) -> None:
    async def twice(transaction: Transaction) -> tuple[int, int]:
        before = await count(transaction)
        await store.write(insert_one)
        return before, await count(transaction)

    assert await store.read(twice) == (0, 0)
    assert await store.read(count) == 1


async def test_many_rows_go_in_portions(store: Store) -> None:
    async def many(transaction: Transaction) -> int:
        await transaction.run(insert(NUMBERS), [{"n": n} for n in range(2 * ROWS_AT_ONCE + 1)])
        await transaction.run(insert(NUMBERS), [])
        return await count(transaction)

    assert await store.write(many) == 2 * ROWS_AT_ONCE + 1


async def test_a_long_computation_outlives_the_deadline_of_a_step_if_it_breathes(store: Store) -> None:
    async def work(transaction: Transaction) -> int:
        until = asyncio.get_running_loop().time() + 3.5 * QUICK.step_s
        while asyncio.get_running_loop().time() < until:
            await transaction.breathe()
        return await count(transaction)

    assert await store.read(work) == 0


async def test_a_parameter_may_be_given(store: Store) -> None:
    async def read(transaction: Transaction) -> object:
        [(value,)] = await transaction.rows(select(bindparam("value", type_=Integer)), {"value": 7})
        return value

    assert await store.read(read) == 7


async def test_a_writer_that_waits_too_long_for_another_is_told_it_is_busy(empty_url: str, store: Store) -> None:
    other = Store(empty_url, QUICK)
    held, release = asyncio.Event(), asyncio.Event()

    async def hold(transaction: Transaction) -> None:
        if transaction.postgresql:
            await transaction.connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await transaction.connection.execute(text("LOCK TABLE numbers"))
        else:
            await insert_one(transaction)
        transaction.patience.renew(BOUND_S)
        held.set()
        await release.wait()

    holding = asyncio.create_task(other.write(hold))
    await held.wait()

    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(store.write(insert_one), BOUND_S)

    assert caught.value.reason == "store_busy"
    release.set()
    await holding
    await other.aclose()


async def test_writers_of_one_process_take_turns(store: Store) -> None:
    async def add(transaction: Transaction) -> None:
        if transaction.postgresql:
            await transaction.connection.execute(text("LOCK TABLE numbers"))
        await transaction.run(insert(NUMBERS), [{"n": await count(transaction)}])

    await asyncio.gather(*(store.write(add) for _ in range(30)))

    assert await store.read(count) == 30


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_hung_server_is_unavailable_and_the_caller_does_not_wait_for_it(
    doomed_postgres: Postgres, when: str
) -> None:
    store = Store(doomed_postgres.url(doomed_postgres.create_database()), QUICK)
    await store.write(create)

    async def work(transaction: Transaction) -> None:
        if when == "during":
            doomed_postgres.pause()
        await insert_one(transaction)

    if when == "before":
        doomed_postgres.pause()
    asked = [*(store.write(work) for _ in range(3)), *([store.read(count)] if when == "before" else [])]
    found = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), BOUND_S)

    doomed_postgres.resume()
    assert {type(answer) for answer in found} == {Unavailable}, found
    assert {getattr(answer, "reason", "") for answer in found} == {"store_unavailable"}
    assert await _again(store) == 0
    await store.aclose()


async def test_a_killed_server_is_unavailable_and_then_comes_back(doomed_postgres: Postgres) -> None:
    store = Store(doomed_postgres.url(doomed_postgres.create_database()), QUICK)
    await store.write(create)
    await store.write(insert_one)
    doomed_postgres.kill()

    with pytest.raises(Unavailable):
        await asyncio.wait_for(store.read(count), BOUND_S)
    doomed_postgres.start()

    assert await _again(store) == 1
    await store.aclose()


async def test_a_commit_that_is_not_answered_is_neither_done_nor_undone(doomed_postgres: Postgres) -> None:
    store = Store(doomed_postgres.url(doomed_postgres.create_database()), Bounds(step_s=0.4, commit_s=0.4))
    await store.write(create)

    async def work(transaction: Transaction) -> None:
        await insert_one(transaction)
        doomed_postgres.pause()

    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(store.write(work), BOUND_S)

    doomed_postgres.resume()
    assert caught.value.reason == "write_outcome_unknown"
    assert await _again(store) in {0, 1}
    await store.aclose()


async def test_a_read_only_server_refuses_writes_and_serves_reads(postgres: Postgres) -> None:
    """R3: SQLSTATE 25006."""
    database = postgres.create_database()
    store = Store(postgres.url(database), QUICK)
    await store.write(create)
    await store.aclose()
    postgres.psql("postgres", f"ALTER DATABASE {database} SET default_transaction_read_only = on")

    store = Store(postgres.url(database), QUICK)
    with pytest.raises(Unavailable) as caught:
        await store.write(insert_one)

    assert caught.value.reason == "store_unavailable"
    assert await store.read(count) == 0
    await store.aclose()


async def test_a_server_without_free_connections_is_unavailable(postgres: Postgres) -> None:
    """R4: SQLSTATE 53300."""
    database = postgres.create_database()
    postgres.psql("postgres", f"ALTER DATABASE {database} CONNECTION LIMIT 0")
    postgres.psql("postgres", "CREATE ROLE plain LOGIN")
    store = Store(postgres.url(database).replace("test@", "plain@"), QUICK)

    with pytest.raises(Unavailable):
        await store.read(count)

    await store.aclose()


async def test_connections_are_bounded_however_many_ask(postgres: Postgres) -> None:
    database = postgres.create_database()
    store = Store(postgres.url(database), Bounds(connections=2))
    most = 0

    async def look(_: Transaction) -> None:
        nonlocal most
        asked = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
        most = max(most, int(await asyncio.to_thread(postgres.psql, "postgres", asked)))

    await asyncio.gather(*(store.read(look) for _ in range(6)), *(store.write(look) for _ in range(6)))

    assert most <= 4
    await store.aclose()


async def test_a_damaged_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all" * 1000)
    store = Store(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}", QUICK)

    with pytest.raises(Unavailable):
        await store.read(count)

    await store.aclose()


async def test_sqlite_is_durable_and_lets_readers_read(tmp_path: Path) -> None:
    store = Store(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}", QUICK)

    async def settings(transaction: Transaction) -> list[object]:
        asked = ("PRAGMA journal_mode", "PRAGMA synchronous")
        return [(await transaction.connection.exec_driver_sql(words)).scalar_one() for words in asked]

    assert await store.read(settings) == ["wal", 2]
    await store.aclose()
    with sqlite3.connect(tmp_path / "a.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def _again(store: Store) -> int:
    """Read, however often it takes while the server comes up."""
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                return await store.read(count)
            except Unavailable:
                await asyncio.sleep(0.05)
