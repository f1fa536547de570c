"""A supervisor and its workers, as processes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.test_listeners import REST, Load
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.polling import eventually
from tests.support.raw_http import ask, get


async def requests_counted(gateway: GatewayProcess) -> float:
    page = await ask(gateway.http, get("/metrics"))
    return sum(
        sample.value
        for family in text_string_to_metric_families(page.body.decode())
        if family.name == "penstock_requests"
        for sample in family.samples
    )


async def test_workers_are_replaced_under_load_without_a_loss(tmp_path: Path) -> None:
    async with gateway_process(tmp_path, workers=2) as gateway:
        workers = [await gateway.worker_started() for _ in range(2)]
        load = Load(gateway)

        async def replace() -> None:
            await load.answered(200)
            for pid in workers:
                os.kill(pid, signal.SIGTERM)
                await gateway.worker_started()
            await load.answered(500)

        await load.run_while(replace())
        gateway.stop()
        assert await gateway.ended() == 0

    assert set(load.outcomes) == {"rest 200", "grpc OK"}, load.outcomes
    assert len(set(gateway.workers)) == 4


async def test_a_killed_worker_is_replaced_and_its_counts_remain(tmp_path: Path) -> None:
    async with gateway_process(tmp_path, workers=2) as gateway:
        for _ in range(2):
            await gateway.worker_started()
        for _ in range(40):
            assert (await ask(gateway.http, REST)).status == 200
        seen = await requests_counted(gateway)
        for pid in gateway.workers[:2]:
            os.kill(pid, signal.SIGKILL)
            await gateway.worker_started()
            after = await requests_counted(gateway)
            assert after >= seen
            seen = after
        gateway.stop()

        assert await gateway.ended() == 0
    assert seen > 0


async def test_one_workers_page_shows_what_all_counted(tmp_path: Path) -> None:
    async with gateway_process(tmp_path, workers=2) as gateway:
        for _ in range(2):
            await gateway.worker_started()
        for _ in range(30):
            assert (await ask(gateway.http, REST)).status == 200
        async with asyncio.timeout(10):
            while await requests_counted(gateway) < 30:  # noqa: ASYNC110 - seen by asking only
                await asyncio.sleep(0.05)
        gateway.stop()
        assert await gateway.ended() == 0


async def test_workers_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    async with gateway_process(tmp_path, workers=2) as gateway:
        workers = [await gateway.worker_started() for _ in range(2)]
        gateway.process.kill()
        await gateway.ended()
        await eventually(lambda: not any(alive(pid) for pid in workers), patience_s=15)


async def test_a_worker_that_cannot_start_ends_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "permanent").touch()
    async with gateway_process(tmp_path, workers=2) as gateway:
        assert await gateway.ended() == 78


async def test_workers_that_crash_at_once_are_restarted_with_pauses_until_they_hold(tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    crash.touch()
    async with gateway_process(tmp_path, workers=2) as gateway:
        await asyncio.sleep(0.5)
        crash.unlink()
        for _ in range(2):
            await gateway.worker_started()

        assert (await ask(gateway.http, REST)).status == 200
        gateway.stop()
        assert await gateway.ended() == 0


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
