from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from penstock_adapters.protocol.errors import DeadlineExceeded, Internal, NotFound, PenstockError, Unavailable
from penstock_adapters.worker_pool import WorkerPool


class Failed(RuntimeError):
    """What the work raises."""


def translate(error: BaseException, model: str) -> PenstockError:
    assert isinstance(error, Failed)
    return Internal("model_failed", model=model)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(workers=1, queue_max=2, name="test", faults=(Failed,), translate=translate)
    yield made
    await made.aclose()


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


class Held:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.stopped = False

    def __call__(self) -> str:
        self.begun.set()
        assert self.go.wait(10)
        return "done"

    def stop(self) -> None:
        self.stopped = True
        self.go.set()

    async def running(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 5)


async def test_work_runs_on_another_thread_and_its_result_comes_back(pool: WorkerPool) -> None:
    assert await pool.run(threading.get_ident) != threading.get_ident()
    assert await asyncio.gather(*(pool.run(partial(pow, i, 2)) for i in range(3))) == [0, 1, 4]
    assert pool.pending == 0


async def test_errors_come_back_in_our_words_with_their_cause(pool: WorkerPool) -> None:
    cause = Failed("library text")

    with pytest.raises(Internal, match="model 'm' failed") as caught:
        await pool.run(raising(cause), model="m")
    with pytest.raises(NotFound):
        await pool.run(raising(NotFound("path_not_found", path="x")))

    assert caught.value.__cause__ is cause
    assert await pool.run(lambda: "alive") == "alive"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_fault_nobody_foresaw_costs_one_answer_not_a_worker(pool: WorkerPool) -> None:
    for _ in range(3):
        with pytest.raises(Internal):
            await pool.run(raising(LookupError("unforeseen")), model="m")

    assert await pool.run(lambda: "alive") == "alive"


async def test_a_full_queue_refuses(pool: WorkerPool) -> None:
    held = Held()
    calls = [asyncio.create_task(pool.run(held)) for _ in range(3)]
    await held.running()

    with pytest.raises(Unavailable, match="in flight"):
        await pool.run(held, model="m")

    held.go.set()
    assert await asyncio.gather(*calls) == ["done"] * 3


async def test_a_cancelled_caller_s_work_is_never_begun(pool: WorkerPool) -> None:
    held, waiting = Held(), Held()
    first = asyncio.create_task(pool.run(held))
    await held.running()
    second = asyncio.create_task(pool.run(waiting))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second

    held.go.set()
    await first
    await pool.run(lambda: None)

    assert not waiting.begun.is_set()


async def test_work_whose_deadline_passes_in_the_queue_is_never_begun(pool: WorkerPool) -> None:
    held, waiting = Held(), Held()
    first = asyncio.create_task(pool.run(held))
    await held.running()

    with pytest.raises(DeadlineExceeded):
        await pool.run(waiting, deadline=later(0.02))
    with pytest.raises(DeadlineExceeded):
        await pool.run(waiting, deadline=later(-1))

    held.go.set()
    await first
    await pool.run(lambda: None)
    assert not waiting.begun.is_set()


async def test_running_work_is_stopped_at_its_deadline(pool: WorkerPool) -> None:
    held = Held()

    with pytest.raises(DeadlineExceeded):
        await pool.run(held, deadline=later(0.05), stop=held.stop)

    assert held.stopped


async def test_running_work_is_stopped_when_its_caller_goes(pool: WorkerPool) -> None:
    held = Held()
    call = asyncio.create_task(pool.run(held, stop=held.stop))
    await held.running()

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert held.stopped
    assert await pool.run(lambda: "free") == "free"


async def test_aclose_stops_what_runs_drops_what_waits_and_ends_the_threads() -> None:
    pool = WorkerPool(workers=2, queue_max=5, name="closing")
    helds = [Held() for _ in range(4)]
    calls = [asyncio.create_task(pool.run(held, stop=held.stop)) for held in helds]
    await helds[0].running()

    await pool.aclose()
    await pool.aclose()

    assert all(isinstance(outcome, Unavailable) for outcome in await asyncio.gather(*calls, return_exceptions=True))
    assert "closing" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(Unavailable):
        await pool.run(lambda: None)


async def test_many_jobs_from_many_callers_each_get_their_own_result() -> None:
    pool = WorkerPool(workers=3, queue_max=10_000, name="test")

    results = await asyncio.gather(*(pool.run(partial(abs, i), deadline=later(30)) for i in range(5000)))

    assert results == list(range(5000))
    await pool.aclose()
