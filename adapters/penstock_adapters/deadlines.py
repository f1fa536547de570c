"""Many deadlines, one timer: it is set to the earliest, and most requests end without ever touching it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

TICK_S: Final = 0.001
"""Event loops count timers in milliseconds and may fire this much early."""


class EarliestTimer:
    """Calls `sweep(now)` when the earliest deadline it was told of has come.

    `sweep` ends everything whose deadline is not after `now` and returns the earliest of the rest, `inf` if none is left.
    """

    __slots__ = ("_handle", "_sweep", "at")

    def __init__(self, sweep: Callable[[float], float]) -> None:
        self._sweep = sweep
        self._handle: asyncio.TimerHandle | None = None
        self.at = inf
        """When it fires. A deadline that is not earlier needs no `arm`: ask first, on the hot path."""

    def arm(self, deadline: float) -> None:
        """See that the timer fires at `deadline` or before."""
        if deadline >= self.at:
            return
        if self._handle is not None:
            self._handle.cancel()
        self.at = deadline
        self._handle = asyncio.get_running_loop().call_at(deadline, self._fire)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self.at = None, inf

    def _fire(self) -> None:
        self._handle, self.at = None, inf
        self.arm(self._sweep(asyncio.get_running_loop().time() + TICK_S))
