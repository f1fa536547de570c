"""The registry's database and Redis go away, under load: predictions do not notice, writes say so, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import digits
from tests.support.admin_load import AdminClient, Writers, admin_client, exported
from tests.support.examples import manifests_for
from tests.support.load import Load, Outcome, Tally, about_digits, loaded
from tests.support.penstock import Penstock
from tests.support.postgres import Postgres
from tests.support.processes import until
from tests.support.redis import Redis
from tests.support.scale import Measured, Scale

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # --full takes its time

WORKERS = 2


@pytest.fixture
def product(doomed_postgres: Postgres, redis: Redis, tmp_path: Path) -> Iterator[Penstock]:
    """Two workers on a fresh database and Redis, not started yet."""
    database = doomed_postgres.url(doomed_postgres.create_database())
    found = Penstock(tmp_path / "run", "--workers", str(WORKERS), "--database", database, "--redis", redis.url)
    try:
        yield found
    finally:
        found.kill()


def begin(product: Penstock) -> None:
    """Start it, with the example digits served."""
    product.start()
    product.apply(manifests_for(None, product.directory / "manifests"))
    product.wait_ready("digits@1", "digits-live")


def only_ok(tally: Tally) -> bool:
    return set(tally.counts) == {Outcome.OK}


def start_predictions(load: Load, product: Penstock) -> None:
    load.start(product, about_digits(), rest=4, grpc_=4)


async def test_a_killed_database_costs_no_prediction_and_no_acknowledged_write(
    product: Penstock, doomed_postgres: Postgres, scale: Scale, measured: Measured
) -> None:
    await asyncio.to_thread(begin, product)
    writers = Writers(product)
    async with loaded(Load(pause_s=0.002)) as load:
        start_predictions(load, product)
        writers.start()
        for _ in range(scale(2, 5)):
            await writers.grown(100)
            doomed_postgres.kill()
            refused, asked = writers.refusals.total(), load.tally.asked
            await reached(lambda at=refused: writers.refusals.total() > at + 20)  # type: ignore[misc]
            await load.asked(asked + 500)
            await asyncio.to_thread(doomed_postgres.start)
            await writers.grown(100)
        await writers.stop()
        tally = await load.stop()

    names = set(await exported(product))
    measured(f"predictions: {tally}")
    measured(f"writes: {len(writers.acknowledged)} acknowledged, refused {dict(writers.refusals)}")
    measured(f"slowest refusal {writers.slowest_refusal_s:.2f} s")
    assert tally.problems == []
    assert only_ok(tally)
    assert writers.unclean == []
    assert set(writers.acknowledged) - names == set()
    assert {name for name in names if name.startswith("w")} - set(writers.acknowledged) <= writers.unknown
    checked = product.cli("db", "check", "--database", product.flags[3])
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_database_and_redis_both_gone_cost_no_prediction(
    product: Penstock, doomed_postgres: Postgres, redis: Redis, *, fault: str, scale: Scale, measured: Measured
) -> None:
    await asyncio.to_thread(begin, product)
    async with loaded(Load(pause_s=0.002)) as load, admin_client(product) as client:
        start_predictions(load, product)
        await load.asked(500)
        before = len(load.tally.times_s)
        fail, mend = faults(fault, doomed_postgres, redis)
        await asyncio.to_thread(fail)
        try:
            gone_at, refused = time.monotonic(), []
            while time.monotonic() - gone_at < scale(5.0, 60.0):
                assert await asyncio.to_thread(lambda: product.get("/v2/health/ready").status) == 200
                refused.append(await client.put_model("meanwhile"))
                await asyncio.sleep(0.5)
            during = len(load.tally.times_s) - before
        finally:
            await asyncio.to_thread(mend)
        await accepted_again(client)
        tally = await load.stop()

    measured(f"{fault}: {tally}; {during} answered meanwhile")
    measured(f"{len(refused)} writes refused, the slowest in {max(reply.seconds for reply in refused):.2f} s")
    assert tally.problems == []
    assert only_ok(tally)
    assert during > 0
    assert all(reply.says_later for reply in refused), refused


def faults(fault: str, postgres: Postgres, redis: Redis) -> tuple[Callable[[], None], Callable[[], None]]:
    """What takes both away, and what brings them back."""

    def kill() -> None:
        postgres.kill()
        redis.kill()

    def start() -> None:
        postgres.start()
        redis.start()

    def pause() -> None:
        postgres.pause()
        redis.pause()

    def resume() -> None:
        postgres.resume()
        redis.resume()

    return (kill, start) if fault == "killed" else (pause, resume)


async def accepted_again(client: AdminClient) -> None:
    """Writes work again by themselves."""
    async with asyncio.timeout(30):
        while (await client.put_model("afterwards")).status not in {200, 201}:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.05)


async def test_a_change_made_after_the_outage_is_served_by_every_worker(
    product: Penstock, doomed_postgres: Postgres, redis: Redis, measured: Measured
) -> None:
    """Redis stays away: polling and the database's own notices are enough."""
    await asyncio.to_thread(begin, product)
    redis.kill()
    doomed_postgres.kill()
    await asyncio.to_thread(doomed_postgres.start)
    async with admin_client(product) as client:
        await accepted_again(client)
        reply = await client.call("POST", "/v1/models/digits/promote", {"alias": "stable", "version": "2"})
        assert reply.status == 200, reply
    acknowledged = time.monotonic()
    body = digits.json_body(digits.images()[:1])

    def everybody_answers_with_2() -> bool:
        answers = [product.call("POST", "/v2/models/digits/infer", body) for _ in range(16)]
        return {answer.json["model_version"] for answer in answers} == {"2"}

    await asyncio.to_thread(until, everybody_answers_with_2, what="the promotion on every worker")
    measured(f"seen by 16 connections to {WORKERS} workers within {time.monotonic() - acknowledged:.2f} s")


async def test_a_gateway_boots_from_its_file_while_the_database_is_away(
    product: Penstock, doomed_postgres: Postgres, redis: Redis, measured: Measured
) -> None:
    await asyncio.to_thread(begin, product)
    assert await asyncio.to_thread(product.stop) == 0
    doomed_postgres.kill()
    redis.kill()

    started = time.monotonic()
    await asyncio.to_thread(product.start)
    await asyncio.to_thread(product.wait_ready, "digits@1", "digits-live")
    measured(f"ready without a database after {time.monotonic() - started:.2f} s")
    assert product.get("/v2/health/ready").status == 200
    async with loaded(Load()) as load, admin_client(product) as client:
        start_predictions(load, product)
        await load.asked(500)
        assert (await client.put_model("meanwhile")).says_later
        await asyncio.to_thread(doomed_postgres.start)
        await accepted_again(client)
        await load.asked(load.tally.asked + 500)
        tally = await load.stop()

    assert tally.problems == []
    assert only_ok(tally)
    assert "afterwards" in await exported(product)


def test_without_database_and_file_it_lives_is_not_ready_and_becomes_it(
    product: Penstock, doomed_postgres: Postgres, measured: Measured
) -> None:
    doomed_postgres.kill()
    product.start()
    looks = [product.get(f"/v2/health/{what}") for what in ("live", "ready") for _ in range(8)]
    assert {answer.status for answer in looks[:8]} == {200}
    assert {answer.status for answer in looks[8:]} == {503}
    assert all(answer.json["ready"] is False and answer.json["error"] for answer in looks[8:])
    refused = product.call("POST", "/v2/models/digits/infer", digits.json_body(digits.images()[:1]))
    assert refused.status == 503  # not 404: nobody knows yet whether the model exists

    doomed_postgres.start()
    up = time.monotonic()
    until(lambda: {product.get("/v2/health/ready").status for _ in range(8)} == {200}, what="readiness")
    measured(f"ready {time.monotonic() - up:.2f} s after the database")


async def reached(condition: Callable[[], bool]) -> None:
    """Wait for it, with a bound."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is counted is counted in other tasks
            await asyncio.sleep(0.01)
