"""Following the registry: every change arrives, hints or no hints, database or no database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from math import inf
from pathlib import Path

import pytest

from penstock_adapters.protocol.errors import Unavailable
from penstock_registry.registry import Bounds, Registry
from penstock_registry.snapshot import Snapshot
from penstock_registry.watch import Watch
from tests.support.polling import eventually
from tests.support.postgres import Postgres
from tests.support.registries import bodies, edits, texts
from tests.support.resources import model

BOUND_S = 10.0
"""For what takes a fraction of it: a bound, not a measurement."""


@pytest.fixture
async def writer(registry_url: str) -> AsyncIterator[Registry]:
    """Somebody else, with connections of their own."""
    other = await Registry.open(registry_url)
    yield other
    await other.aclose()


async def next_of(watch: Watch) -> Snapshot:
    return await asyncio.wait_for(anext(watch), BOUND_S)


async def test_the_current_snapshot_comes_first_and_then_each_change(registry: Registry, writer: Registry) -> None:
    await writer.write(edits(model("a")), author="ann")
    watch = Watch(registry, poll_s=0.02)

    assert (await next_of(watch)).revision == 1
    await writer.write(edits(model("b")), author="ann")
    following = await next_of(watch)

    assert bodies(following) == texts([model("a"), model("b")])
    assert watch.changes is not None
    assert [(change.key, change.before) for change in watch.changes] == [(("Model", "b"), None)]
    assert watch.problem == ""
    await watch.aclose()


async def test_without_a_change_nothing_comes(registry: Registry) -> None:
    watch = Watch(registry, poll_s=0.005)
    await next_of(watch)

    waiting = asyncio.ensure_future(anext(watch))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)

    assert not done
    waiting.cancel()
    await watch.aclose()


async def test_many_changes_may_come_as_one(registry: Registry, writer: Registry) -> None:
    watch = Watch(registry, poll_s=0.02)
    await next_of(watch)
    for number in range(10):
        await writer.write(edits(model(f"m{number}")), author="ann")

    revision = 0
    while revision < 10:
        revision = (await next_of(watch)).revision

    assert bodies(await registry.snapshot()) == texts(model(f"m{number}") for number in range(10))
    await watch.aclose()


class Bell:
    """A hint that the test rings."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] | None = None
        self.ended = False

    async def listen(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def test_a_hint_makes_it_look_before_the_poll_is_due(registry: Registry, writer: Registry) -> None:
    bell = Bell()
    watch = Watch(registry, poll_s=3600, hints=[bell])
    await next_of(watch)
    await writer.write(edits(model("a")), author="ann")
    coming = asyncio.ensure_future(next_of(watch))
    await eventually(lambda: bell.wake is not None)
    assert bell.wake is not None

    bell.wake()

    assert (await coming).revision == 1
    await watch.aclose()
    assert bell.ended


async def test_a_hint_that_lies_costs_one_look(registry: Registry) -> None:
    bell = Bell()
    watch = Watch(registry, poll_s=3600, hints=[bell])
    await next_of(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await eventually(lambda: bell.wake is not None)
    assert bell.wake is not None

    for _ in range(100):
        bell.wake()
    done, _ = await asyncio.wait({waiting}, timeout=0.1)

    assert not done
    waiting.cancel()
    await watch.aclose()


async def test_its_news_have_an_age(tmp_path: Path) -> None:
    now = [10.0]
    registry = Registry(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    watch = Watch(registry, clock=lambda: now[0])
    assert watch.age_s == inf

    await next_of(watch)
    now[0] += 7

    assert watch.age_s == 7
    await watch.aclose()
    await registry.aclose()


async def test_a_database_that_comes_late_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "not yet"
    registry = Registry(f"sqlite+aiosqlite:///{folder / 'a.db'}")
    watch = Watch(registry, poll_s=0.02)
    waiting = asyncio.ensure_future(next_of(watch))
    await eventually(lambda: watch.problem == "store_unavailable")

    folder.mkdir()

    assert (await waiting).revision == 0
    assert watch.problem == ""
    await watch.aclose()
    await registry.aclose()


async def test_a_database_that_dies_hangs_and_comes_back_loses_nothing(doomed_postgres: Postgres) -> None:
    url = doomed_postgres.url(doomed_postgres.create_database())
    registry, writer = Registry(url, bounds=Bounds(step_s=0.5)), await Registry.open(url)
    watch = Watch(registry, poll_s=0.02)
    await next_of(watch)

    faults = ((doomed_postgres.kill, doomed_postgres.start), (doomed_postgres.pause, doomed_postgres.resume))
    for number, (fault, mend) in enumerate(faults, 1):
        waiting = asyncio.ensure_future(anext(watch))
        fault()
        await eventually(lambda: watch.problem == "store_unavailable", patience_s=BOUND_S)
        assert watch.age_s < BOUND_S
        mend()
        await _written(writer, f"m{number}")
        assert (await asyncio.wait_for(waiting, BOUND_S)).revision == number

    await watch.aclose()
    await registry.aclose()
    await writer.aclose()


async def _written(writer: Registry, name: str) -> None:
    """Write, however often it takes while the server comes up."""
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                await writer.write(edits(model(name)), author="ann")
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return
