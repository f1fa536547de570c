"""Many writers at once: nobody's acknowledged write is lost, and every race has exactly one winner."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from penstock_adapters.protocol.errors import Conflict, Unavailable
from penstock_registry.kinds import ModelSpec, Resource
from penstock_registry.registry import Edit, Registry
from penstock_registry.snapshot import Key
from tests.support.postgres import Postgres
from tests.support.registries import edits
from tests.support.resources import model

pytestmark = pytest.mark.system

KEY: Key = ("Model", "m")
CLIENTS = 8
PROMOTES = 20
ROUNDS = 40


def counted(resource: Resource) -> Resource:
    spec = resource.spec
    assert isinstance(spec, ModelSpec)
    return resource.model_copy(update={"spec": spec.model_copy(update={"owner": str(int(spec.owner) + 1)})})


async def promote(registry: Registry) -> None:
    """As a client does it: read, change, write what was expected, and begin anew when somebody was faster."""
    while True:
        current = (await registry.snapshot()).resources[KEY]
        try:
            await registry.write([Edit(KEY, counted(current))], author="ann", expected={KEY: current.revision})
        except Conflict:
            continue
        return


async def owner(registry: Registry) -> str:
    spec = (await registry.snapshot()).resources[KEY].spec
    assert isinstance(spec, ModelSpec)
    return spec.owner


@pytest.mark.parametrize("way", ["update", "compare and set"])
async def test_no_promote_is_lost(registry_url: str, way: str) -> None:
    """R9: a naive read-modify-write lost 668 of 800."""
    clients = [await Registry.open(registry_url) for _ in range(CLIENTS)]
    await clients[0].write(edits(model("m", owner="0")), author="ann")

    async def work(client: Registry) -> None:
        for _ in range(PROMOTES):
            await (client.update(KEY, counted, author="ann") if way == "update" else promote(client))

    await asyncio.gather(*map(work, clients))

    total = CLIENTS * PROMOTES
    assert await owner(clients[0]) == str(total)
    assert await clients[0].head() == total + 1
    revisions = [info.revision for info in await clients[0].history(limit=total + 1)]
    assert revisions == list(range(total + 1, 0, -1))
    await clients[0].verify()
    for client in clients:
        await client.aclose()


async def test_of_two_who_expect_the_same_exactly_one_wins_and_both_are_in_the_audit(registry_url: str) -> None:
    """R10."""
    one, other = await Registry.open(registry_url), await Registry.open(registry_url)
    await one.write(edits(model("m", owner="0")), author="begin")

    async def attempt(client: Registry, author: str, expected: int) -> bool:
        try:
            await client.write(edits(model("m", owner=f"{author} {expected}")), author=author, expected={KEY: expected})
        except Conflict:
            return False
        return True

    for revision in range(1, ROUNDS + 1):
        won = await asyncio.gather(attempt(one, "one", revision), attempt(other, "other", revision))
        assert sorted(won) == [False, True]

    rows = [row for row in await one.audit(limit=1000) if row.author != "begin"]
    assert Counter(row.result for row in rows) == {"ok": ROUNDS, "conflict": ROUNDS}
    assert await one.head() == ROUNDS + 1
    await one.verify()
    await one.aclose()
    await other.aclose()


async def test_a_killed_server_forgets_no_acknowledged_write(doomed_postgres: Postgres) -> None:
    """SIGKILL in mid-load, with fsync and synchronous_commit on as they are by default."""
    url = doomed_postgres.url(doomed_postgres.create_database())
    clients = [await Registry.open(url) for _ in range(CLIENTS)]
    acknowledged: list[str] = []
    unknown: set[str] = set()
    stop = asyncio.Event()

    async def work(number: int, client: Registry) -> None:
        count = 0
        while not stop.is_set():
            name, count = f"c{number}-{count}", count + 1
            try:
                await client.write(edits(model(name)), author="ann")
            except Unavailable as error:
                if error.reason == "write_outcome_unknown":
                    unknown.add(name)
                await asyncio.sleep(0.02)
            else:
                acknowledged.append(name)

    working = [asyncio.create_task(work(number, client)) for number, client in enumerate(clients)]
    for kills in range(1, 3):
        await _grown(acknowledged, by=150)
        await asyncio.to_thread(_replaced, doomed_postgres)
        assert len(acknowledged) >= 150 * kills
    await _grown(acknowledged, by=100)
    stop.set()
    await asyncio.gather(*working)

    names = {name for _, name in (await clients[0].snapshot()).resources}
    assert set(acknowledged) <= names
    assert names - set(acknowledged) <= unknown
    assert await clients[0].head() == len(names)
    await clients[0].verify()
    for client in clients:
        await client.aclose()


def _replaced(server: Postgres) -> None:
    server.kill()
    server.start()


async def _grown(names: list[str], *, by: int) -> None:
    wanted = len(names) + by
    async with asyncio.timeout(60):
        while len(names) < wanted:  # noqa: ASYNC110 - the list grows in other tasks
            await asyncio.sleep(0.01)
