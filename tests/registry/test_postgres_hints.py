"""LISTEN/NOTIFY wakes a watch; when the connection is cut, polling takes over and listening begins again."""

from __future__ import annotations

import asyncio

import pytest

from penstock_registry.postgres_hints import PostgresHints
from penstock_registry.registry import Registry
from penstock_registry.watch import Watch
from tests.support.polling import eventually
from tests.support.postgres import Postgres
from tests.support.registries import edits
from tests.support.resources import model

LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = '{}' AND query LIKE 'LISTEN%'"


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.create_database()


async def test_every_commit_of_a_change_is_heard_and_nothing_else(postgres: Postgres, database: str) -> None:
    registry = await Registry.open(postgres.url(database))
    heard: list[None] = []
    listening = asyncio.create_task(PostgresHints(postgres.url(database)).listen(lambda: heard.append(None)))
    await eventually(lambda: len(heard) == 1)

    await registry.write(edits(model("a")), author="ann")
    await eventually(lambda: len(heard) == 2)
    await registry.write(edits(model("b"), model("c")), author="ann", dry_run=True)
    await registry.write(edits(model("b"), model("c")), author="ann")

    await eventually(lambda: len(heard) == 3)
    listening.cancel()
    await registry.aclose()


async def test_a_watch_hears_of_a_change_long_before_it_would_poll(postgres: Postgres, database: str) -> None:
    url = postgres.url(database)
    writer, reader = await Registry.open(url), Registry(url)
    watch = Watch(reader, poll_s=3600, hints=[PostgresHints(url)])
    assert (await anext(watch)).revision == 0

    for revision in range(1, 4):
        await writer.write(edits(model(f"m{revision}")), author="ann")
        assert (await asyncio.wait_for(anext(watch), 10)).revision == revision

    await watch.aclose()
    await reader.aclose()
    await writer.aclose()


async def test_a_listener_that_is_cut_off_listens_again_and_looks_at_once(postgres: Postgres, database: str) -> None:
    """R8: what is sent while nobody listens is lost, so a new connection counts as a hint."""
    url = postgres.url(database)
    writer, reader = await Registry.open(url), Registry(url)
    watch = Watch(reader, poll_s=0.05, hints=[PostgresHints(url)])
    await anext(watch)
    await eventually(lambda: postgres.psql("postgres", LISTENERS.format(database)) != "")
    [first] = postgres.psql("postgres", LISTENERS.format(database)).split()

    coming = asyncio.ensure_future(anext(watch))
    postgres.psql("postgres", f"SELECT pg_terminate_backend({first})")
    await writer.write(edits(model("m")), author="ann")

    assert (await asyncio.wait_for(coming, 10)).revision == 1
    await eventually(
        lambda: postgres.psql("postgres", LISTENERS.format(database)).strip() not in {"", first}, patience_s=20
    )
    await watch.aclose()
    await reader.aclose()
    await writer.aclose()


async def test_a_database_that_is_not_there_is_no_error() -> None:
    heard: list[None] = []
    listening = asyncio.create_task(
        PostgresHints("postgresql+asyncpg://nobody@127.0.0.1:1/none").listen(lambda: heard.append(None))
    )

    done, _ = await asyncio.wait({listening}, timeout=0.3)

    assert not done
    assert heard == []
    listening.cancel()
