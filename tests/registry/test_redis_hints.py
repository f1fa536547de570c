"""Redis makes changes visible sooner, and nothing depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock_registry.redis_hints import RedisHints
from penstock_registry.registry import Registry
from penstock_registry.watch import Watch
from tests.support.polling import eventually
from tests.support.redis import Redis
from tests.support.registries import edits
from tests.support.resources import model


@pytest.fixture
async def hints(redis: Redis) -> AsyncIterator[RedisHints]:
    created = RedisHints(redis.url)
    yield created
    await created.aclose()


async def listening(hints: RedisHints, heard: list[None]) -> asyncio.Task[None]:
    task = asyncio.create_task(hints.listen(lambda: heard.append(None)))
    await eventually(lambda: len(heard) >= 1)
    heard.clear()
    return task


async def test_what_is_announced_is_heard(hints: RedisHints) -> None:
    heard: list[None] = []
    task = await listening(hints, heard)

    hints.announce(1)

    await eventually(lambda: len(heard) == 1)
    task.cancel()


async def test_announcements_in_a_row_go_out_as_few_and_the_last_is_among_them(hints: RedisHints) -> None:
    heard: list[None] = []
    task = await listening(hints, heard)

    for revision in range(1, 101):
        hints.announce(revision)

    await eventually(lambda: len(heard) >= 1)
    assert len(heard) <= 3
    task.cancel()


async def test_a_watch_hears_of_a_change_long_before_it_would_poll(registry_url: str, hints: RedisHints) -> None:
    writer = await Registry.open(registry_url, announce=hints.announce)
    reader = Registry(registry_url)
    watch = Watch(reader, poll_s=3600, hints=[hints])
    assert (await anext(watch)).revision == 0

    # The subscription itself is the first hint; the loop makes sure that one of them was a message.
    for revision in range(1, 4):
        await writer.write(edits(model(f"m{revision}")), author="ann")
        assert (await asyncio.wait_for(anext(watch), 10)).revision == revision

    await watch.aclose()
    await reader.aclose()
    await writer.aclose()


async def test_a_listener_that_is_cut_off_listens_again(redis: Redis, hints: RedisHints) -> None:
    heard: list[None] = []
    task = await listening(hints, heard)

    redis.command("CLIENT KILL TYPE pubsub")

    await eventually(lambda: len(heard) >= 1)
    heard.clear()
    hints.announce(2)
    await eventually(lambda: len(heard) >= 1)
    task.cancel()


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_a_redis_that_is_dead_or_hangs_costs_a_write_nothing(redis: Redis, hints: RedisHints, fault: str) -> None:
    heard: list[None] = []
    task = await listening(hints, heard)
    getattr(redis, fault)()

    async with asyncio.timeout(10):
        for revision in range(1000):
            hints.announce(revision)
            await asyncio.sleep(0)
    assert not task.done()

    (redis.start if fault == "kill" else redis.resume)()
    heard.clear()
    await eventually(lambda: _announced(hints, heard), patience_s=20)
    task.cancel()


def _announced(hints: RedisHints, heard: list[None]) -> bool:
    hints.announce(1)
    return bool(heard)
