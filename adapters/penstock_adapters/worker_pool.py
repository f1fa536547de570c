"""Threads for work that must not run on the event loop: a bounded queue in front, a few microseconds around each job.

concurrent.futures would do, at several times the cost: a condition, two futures and a wake-up of the loop for every job.
Here the queue is C code, and results that are ready together come back to the loop in one wake-up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from math import inf
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from penstock_adapters.deadlines import EarliestTimer
from penstock_adapters.protocol.errors import DeadlineExceeded, Internal, PenstockError, Unavailable

T = TypeVar("T")


class _Job(Generic[T]):
    """One piece of work. `dropped` is set on the loop and read by the worker: nobody waits for it any more."""

    __slots__ = ("deadline", "dropped", "future", "left_s", "model", "stop", "work")

    def __init__(self, work: Callable[[], T], deadline: float, model: str, stop: Callable[[], None] | None) -> None:
        self.work = work
        self.deadline = deadline
        self.model = model
        self.stop = stop
        self.dropped = False
        loop = asyncio.get_running_loop()
        self.left_s = deadline - loop.time()
        self.future: asyncio.Future[T] = loop.create_future()

    def drop(self) -> None:
        self.dropped = True
        if self.stop is not None:
            self.stop()


class WorkerPool:
    """Belongs to the event loop it was made on.

    `faults` are the exceptions that work may raise besides PenstockError; `translate` makes a PenstockError of one.
    """

    def __init__(
        self,
        *,
        workers: int,
        queue_max: int,
        name: str,
        faults: tuple[type[BaseException], ...] = (),
        translate: Callable[[BaseException, str], PenstockError] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = workers + queue_max
        self._name = name
        self._faults: tuple[type[BaseException], ...] = (PenstockError, *faults)
        self._translate = translate
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._jobs: set[_Job[Any]] = set()
        self._done: deque[tuple[_Job[Any], Any, BaseException | None]] = deque()
        self._waking = False
        self._closed = False
        self._idle = asyncio.Event()
        self._timer = EarliestTimer(self._sweep)
        self._threads: list[threading.Thread] = []
        for _ in range(workers):
            self._start_worker()

    @property
    def pending(self) -> int:
        """Jobs waiting or running."""
        return len(self._jobs)

    async def run(
        self,
        work: Callable[[], T],
        *,
        deadline: float = inf,
        model: str = "",
        stop: Callable[[], None] | None = None,
    ) -> T:
        """Do the work in a thread. `stop` is called, on the loop, when nobody waits for it any more.

        Work whose caller has gone, or whose deadline passed while it waited, is never begun. Raises Unavailable when too
        many jobs wait, DeadlineExceeded, and what the work raises.
        """
        if self._closed:
            raise Unavailable("draining")
        if len(self._jobs) >= self._limit:
            raise Unavailable("overloaded", limit=self._limit, model=model)
        job = _Job(work, deadline, model, stop)
        if deadline < self._timer.at:
            self._timer.arm(deadline)
        self._jobs.add(job)
        self._queue.put(job)
        try:
            return await job.future
        except asyncio.CancelledError:
            job.drop()
            raise

    async def aclose(self) -> None:
        """Refuse new work, drop what waits, stop what runs, end the threads. May be called twice."""
        self._closed = True
        self._timer.cancel()
        for job in tuple(self._jobs):
            job.drop()
            if not job.future.done():
                job.future.set_exception(Unavailable("draining"))
        for _ in self._threads:
            self._queue.put(None)
        while self._jobs:
            self._idle.clear()
            await self._idle.wait()
        for thread in self._threads:
            thread.join()  # its last job is done: it only has to read the None
        self._threads.clear()

    # -- on the worker threads --

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        get, clock = self._queue.get, time.monotonic
        while (job := get()) is not None:
            result, error = None, None
            crashed = True
            try:
                if not job.dropped and clock() < job.deadline:
                    result = job.work()
                crashed = False
            except self._faults as fault:
                error = fault
                crashed = False
            finally:
                if (
                    crashed
                ):  # a fault nobody foresaw ends this thread, loudly; its caller and its place must not be lost
                    error = Internal("model_failed", model=job.model)
                    self._start_worker()
                self._hand_back(job, result, error)
            job = result = error = None  # an idle worker keeps no tensors alive

    def _hand_back(self, job: _Job[T], result: object, error: BaseException | None) -> None:
        self._done.append((job, result, error))
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._deliver)

    # -- on the loop --

    def _deliver(self) -> None:
        self._waking = False  # before the last look: what is appended from here on wakes us again
        done = self._done
        while done:
            job, result, error = done.popleft()
            self._jobs.discard(job)
            if job.future.done():
                continue
            if error is not None:
                job.future.set_exception(self._ours(error, job.model))
            elif job.dropped or (result is None and job.deadline <= time.monotonic()):
                job.future.set_exception(self._late(job))
            else:
                job.future.set_result(result)
        if not self._jobs:
            self._idle.set()

    def _ours(self, error: BaseException, model: str) -> BaseException:
        if isinstance(error, PenstockError) or self._translate is None:
            return error
        ours = self._translate(error, model)
        ours.__cause__ = error
        return ours

    @staticmethod
    def _late(job: _Job[T]) -> DeadlineExceeded:
        return DeadlineExceeded("deadline_exceeded", timeout_ms=max(0, round(job.left_s * 1000)))

    def _sweep(self, now: float) -> float:
        nearest = inf
        for job in self._jobs:
            if job.future.done():
                continue
            if job.deadline <= now:
                job.drop()
                job.future.set_exception(self._late(job))
            else:
                nearest = min(nearest, job.deadline)
        return nearest
