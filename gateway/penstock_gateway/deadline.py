"""The one timer of a request: it cancels the request's task, and the edge tells that from a client that left."""

from __future__ import annotations

import asyncio
from math import inf

from penstock_adapters.protocol.errors import Cancelled, DeadlineExceeded, PenstockError
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.service import Service

TICK_S = 86_400.0
"""Bounds further away than this are no timer's business (uvloop's timers end at 49 days)."""


class Deadline:
    """Arm it in the request's own task, `stop` it when the work is done, ask `outcome` when CancelledError came up."""

    __slots__ = ("_expired", "_task", "_timer", "limit_s")

    def __init__(self, task: asyncio.Task[object], loop: asyncio.AbstractEventLoop, at: float, limit_s: float) -> None:
        self._task = task
        self._expired = False
        self.limit_s = limit_s
        self._timer = loop.call_at(at, self._expire) if limit_s < TICK_S else None

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def outcome(self) -> PenstockError:
        """What the cancellation meant. Takes back our own one, so that the task may go on to answer."""
        if self._expired:
            self._task.uncancel()
            return deadline_exceeded(self.limit_s)
        return Cancelled("cancelled")


def deadline_exceeded(limit_s: float) -> DeadlineExceeded:
    return DeadlineExceeded("deadline_exceeded", timeout_ms="0" if limit_s == inf else f"{limit_s * 1000:.0f}")


async def under_deadline(service: Service, request: InferenceRequest, limit_s: float) -> InferenceResponse:
    """Call the service in this task until `request.deadline`, which is `limit_s` after the request began.

    Raises DeadlineExceeded when it passes, Cancelled when the caller has gone, and what the service raises.
    """
    task = asyncio.current_task()
    assert task is not None
    deadline = Deadline(task, asyncio.get_running_loop(), request.deadline, limit_s)
    try:
        return await service(request)
    except asyncio.CancelledError:
        raise deadline.outcome() from None
    finally:
        deadline.stop()
