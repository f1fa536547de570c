"""Deadlines of steps: the caller is answered even if the work does not end."""

from __future__ import annotations

import asyncio

import pytest

from penstock_adapters.protocol.errors import NotFound, Unavailable
from penstock_registry.patience import Patience, Supervisor
from tests.support.polling import eventually


async def test_work_that_ends_gives_its_result() -> None:
    async def work(_: Patience) -> int:
        return 3

    assert await Supervisor(10).run(work) == 3


async def test_work_that_fails_gives_its_error() -> None:
    async def work(_: Patience) -> int:
        raise NotFound("path_not_found", path="/")

    with pytest.raises(NotFound):
        await Supervisor(10).run(work)


async def test_a_caller_does_not_wait_for_work_that_cannot_even_be_cancelled() -> None:
    released = asyncio.Event()
    supervisor = Supervisor(0.01)

    async def stubborn(_: Patience) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(Unavailable) as caught:
        await supervisor.run(stubborn)

    assert caught.value.reason == "store_unavailable"
    released.set()
    await supervisor.aclose(5)


async def test_each_step_has_a_deadline_of_its_own() -> None:
    async def steps(patience: Patience) -> int:
        for _ in range(5):
            patience.renew(5)
            await asyncio.sleep(0.01)
        return 5

    assert await Supervisor(0.03).run(steps) == 5


async def test_the_error_says_what_was_going_on() -> None:
    async def committing(patience: Patience) -> None:
        patience.reason = "write_outcome_unknown"
        await asyncio.Event().wait()

    with pytest.raises(Unavailable) as caught:
        await Supervisor(0.01).run(committing)

    assert caught.value.reason == "write_outcome_unknown"


async def test_a_caller_who_leaves_takes_the_work_along() -> None:
    ended: list[bool] = []

    async def endless(_: Patience) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    caller = asyncio.create_task(Supervisor(10).run(endless))
    await asyncio.sleep(0.01)
    caller.cancel()

    with pytest.raises(asyncio.CancelledError):
        await caller
    await eventually(lambda: bool(ended))


async def test_closing_ends_what_still_runs() -> None:
    supervisor = Supervisor(10)

    async def endless(_: Patience) -> None:
        await asyncio.Event().wait()

    caller = asyncio.create_task(supervisor.run(endless))
    await asyncio.sleep(0.01)
    await supervisor.aclose(5)

    with pytest.raises(Unavailable):
        await caller
