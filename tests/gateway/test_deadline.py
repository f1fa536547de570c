"""One timer cancels a request; the edge tells it from a client that left."""

from __future__ import annotations

import asyncio
from math import inf

import pytest
from msgspec.structs import replace

from penstock_adapters.protocol.errors import Cancelled, DeadlineExceeded
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_gateway.deadline import Deadline, under_deadline
from tests.support.park import Park, ask


async def hang(limit_s: float) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    deadline = Deadline(task, loop, loop.time() + limit_s, limit_s)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise deadline.outcome() from None
    finally:
        deadline.stop()


async def test_the_timer_ends_the_work_and_the_task_lives_on() -> None:
    async def edge() -> str:
        try:
            await hang(0.01)
        except DeadlineExceeded as error:
            await asyncio.sleep(0)  # Would raise if the cancellation were still counted.
            return error.text
        return ""

    task = asyncio.create_task(edge())
    assert "10 ms" in await task
    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_is_not_the_deadline() -> None:
    task = asyncio.create_task(hang(60.0))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(Cancelled):
        await task


async def test_no_limit_means_no_timer() -> None:
    task = asyncio.create_task(hang(inf))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(Cancelled):
        await task


async def test_a_stopped_deadline_never_fires() -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    deadline = Deadline(task, loop, loop.time(), 0.0)
    deadline.stop()
    await asyncio.sleep(0.01)

    assert task.cancelling() == 0


async def test_work_under_a_deadline_ends_with_it_and_answers_in_time_are_kept() -> None:
    async def slow(request: InferenceRequest) -> InferenceResponse:
        await asyncio.sleep(60)
        raise AssertionError(request)

    loop = asyncio.get_running_loop()
    park = Park("m@1")
    request = replace(ask("m", "1"), deadline=loop.time() + 0.02)
    with pytest.raises(DeadlineExceeded, match="20 ms"):
        await under_deadline(slow, request, 0.02)
    kept = replace(request, deadline=loop.time() + 60)
    assert (await under_deadline(park.at("").infer, kept, 60)).body.message.outputs
    await asyncio.sleep(0)  # A timer left behind would cancel this.
