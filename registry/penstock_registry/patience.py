"""Deadlines for work that talks to a database which may have stopped answering.

A hung server keeps a connection open and says nothing, and a driver's clean-up of such a connection may itself wait for
the server. So the work runs in a task of its own: each step it takes renews a short deadline, and when one passes the
caller gets its error at once while the task is cancelled and tidies up behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

from penstock_adapters.protocol.errors import Unavailable

T = TypeVar("T")


class Patience:
    """The deadline of the step being taken. `renew` it before each step."""

    def __init__(self, step_s: float, late: Callable[[], None]) -> None:
        self.step_s = step_s
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(step_s, late)
        self.reason = "store_unavailable"
        """The row of the reasons table that is raised if the deadline passes."""

    def renew(self, step_s: float | None = None) -> None:
        """The next step may take `step_s` seconds, by default as long as every other."""
        self._timer.cancel()
        self._timer = self._loop.call_later(self.step_s if step_s is None else step_s, self._late)

    def stop(self) -> None:
        self._timer.cancel()


class Supervisor:
    """Runs work under a Patience, and keeps hold of what it had to abandon until that has ended."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._running: set[asyncio.Task[object]] = set()

    async def run(self, work: Callable[[Patience], Coroutine[object, object, T]]) -> T:
        """The work's result. Raises what it raises, or Unavailable when a step takes too long."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def late() -> None:
            if not answer.done():
                answer.set_exception(Unavailable(patience.reason))
            task.cancel()

        def ended(task: asyncio.Task[T]) -> None:
            patience.stop()
            self._running.discard(task)
            error = Unavailable("store_unavailable") if task.cancelled() else task.exception()
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())

        patience = Patience(self._step_s, late)
        task = asyncio.get_running_loop().create_task(work(patience))
        self._running.add(task)
        task.add_done_callback(ended)
        try:
            return await answer
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def aclose(self, timeout_s: float) -> None:
        """Give up what is still running and wait for its end, at most so long."""
        for task in self._running:
            # A second cancellation would interrupt the clean-up after the first.
            if not task.cancelling():
                task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)
