"""The registry at the size of a company: one manifest of 10,000 models, many writers, racing promotions; seen by every worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.admin_load import AdminClient, admin_client, exported
from tests.support.load import manifest
from tests.support.penstock import Penstock, penstock
from tests.support.postgres import Postgres
from tests.support.processes import until
from tests.support.scale import Measured, Scale

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # --full takes its time

WORKERS: Final = 2
CLIENTS: Final = 8
TENSORS: Final = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}


@pytest.fixture(scope="module")
def product(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """Two workers on PostgreSQL."""
    database = postgres.url(postgres.create_database())
    directory = tmp_path_factory.mktemp("scale")
    with penstock(directory, "--workers", str(WORKERS), "--database", database) as running:
        yield running


@pytest.fixture
async def client(product: Penstock) -> AsyncIterator[AdminClient]:
    async with admin_client(product, connections=CLIENTS) as opened:
        yield opened


def many(models: int) -> Iterator[dict[str, Any]]:
    """Models with signature, version and alias, each deployed."""
    yield manifest("Backend", "crowd", {"platform": "fake"})
    for number in range(models):
        spec = {"signature": TENSORS, "owner": f"team-{number % 50}", "aliases": {"stable": "1"}}
        yield manifest("Model", f"m{number}", {**spec, "versions": [{"id": "1", "framework": "onnx"}]})
        yield manifest("Deployment", f"m{number}-1", {"model": f"m{number}@1", "backend": "crowd"})


def seen_everywhere(product: Penstock, model: str, status: int = 200) -> bool:
    """By 16 connections, of which the kernel gives each worker its share."""
    return {product.get(f"/v2/models/{model}").status for _ in range(16)} == {status}


def test_many_models_in_one_manifest_are_applied_and_served(
    product: Penstock, tmp_path: Path, scale: Scale, measured: Measured
) -> None:
    models = scale(2_000, 10_000)
    path = tmp_path / "many.yaml"
    path.write_text("---\n".join(json.dumps(resource) + "\n" for resource in many(models)))

    started = time.monotonic()
    first = product.apply(path, timeout_s=300)
    applied_s = time.monotonic() - started
    until(lambda: seen_everywhere(product, f"m{models - 1}"), what="the last model on every worker")
    seen_s = time.monotonic() - started - applied_s
    started = time.monotonic()
    again = product.apply(path, timeout_s=300)
    again_s = time.monotonic() - started

    measured(f"{models} models: applied in {applied_s:.1f} s, seen {seen_s:.2f} s later, again in {again_s:.1f} s")
    assert f"{2 * models + 1} created" in first.stderr
    assert f"{2 * models + 1} unchanged" in again.stderr
    product.wait_ready("m0", f"m{models - 1}")
    assert product.get("/v2/models").json["models"][:2] == ["m0", "m1"]


async def test_single_writes_of_many_clients(
    product: Penstock, client: AdminClient, scale: Scale, measured: Measured
) -> None:
    """Each in a snapshot of its own, beside the many models."""
    writes, numbers = scale(400, 4_000), count()
    acknowledged: list[str] = []
    head = await revision(client)

    async def work() -> None:
        while (number := next(numbers)) < writes:
            reply = await client.put_model(f"single-{number}", owner="ann")
            assert reply.status == 201, reply
            acknowledged.append(f"single-{number}")

    started = time.monotonic()
    await asyncio.gather(*(work() for _ in range(CLIENTS)))
    seconds = time.monotonic() - started
    measured(f"{writes} writes at {writes / seconds:.0f}/s")
    assert set(acknowledged) <= set(await exported(product))
    assert await revision(client) == head + writes


async def test_no_racing_promotion_is_lost(
    product: Penstock, client: AdminClient, scale: Scale, measured: Measured
) -> None:
    """Each reads, adds its own alias to what it read, and writes it back only if nobody was faster."""
    each = scale(25, 100)
    conflicts = 0
    await client.put_model("race", versions=[{"id": "1"}, {"id": "2"}])
    head = await revision(client)

    async def promote(writer: int) -> None:
        nonlocal conflicts
        for number in range(each):
            body = {"alias": f"a{writer}-{number}", "version": str(number % 2 + 1)}
            while True:
                read = await client.call("GET", "/v1/models/race")
                reply = await client.call("POST", "/v1/models/race/promote", body, If_Match=read.etag)
                if reply.status == 200:
                    break
                assert (reply.status, bool(reply.body["error"])) == (409, True), reply
                conflicts += 1

    started = time.monotonic()
    await asyncio.gather(*map(promote, range(CLIENTS)))
    seconds = time.monotonic() - started

    total = CLIENTS * each
    measured(f"{total} promotions at {total / seconds:.0f}/s, {conflicts} lost races")
    expected = {f"a{writer}-{number}": str(number % 2 + 1) for writer in range(CLIENTS) for number in range(each)}
    assert (await exported(product))["race"]["spec"]["aliases"] == expected
    assert await revision(client) == head + total


async def test_a_change_is_seen_by_every_worker(product: Penstock, client: AdminClient, measured: Measured) -> None:
    """Among all of the models above."""
    delays = []
    for number in range(5):
        spec = {"model": f"single-{number}@1", "backend": "crowd"}
        document = manifest("Deployment", f"single-{number}", spec)
        assert (await client.call("PUT", f"/v1/deployments/single-{number}", document)).status == 201
        acknowledged = time.monotonic()
        seen = partial(seen_everywhere, product, f"single-{number}")
        await asyncio.to_thread(until, seen, what="it")
        delays.append(time.monotonic() - acknowledged)

    measured(f"seen by 16 connections after {', '.join(f'{delay:.2f}' for delay in delays)} s")


def test_the_history_is_whole(product: Penstock) -> None:
    done = product.cli("db", "check", "--database", product.flags[3])

    assert done.returncode == 0, done.stderr


async def revision(client: AdminClient) -> int:
    reply = await client.call("GET", "/v1/snapshots?limit=1")
    found: int = reply.body["items"][0]["revision"] if reply.body["items"] else 0
    return found
