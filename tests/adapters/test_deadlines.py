from __future__ import annotations

import asyncio
from math import inf

from penstock_adapters.deadlines import EarliestTimer


class Deadlines:
    """What a pool holds: deadlines, and which of them came."""

    def __init__(self) -> None:
        self.left: set[float] = set()
        self.ended: list[float] = []
        self.sweeps = 0
        self.changed = asyncio.Event()
        self.timer = EarliestTimer(self.sweep)

    def add(self, deadline: float) -> None:
        self.left.add(deadline)
        self.timer.arm(deadline)

    def sweep(self, now: float) -> float:
        self.sweeps += 1
        due = {deadline for deadline in self.left if deadline <= now}
        self.ended += sorted(due)
        self.left -= due
        self.changed.set()
        return min(self.left, default=inf)


async def test_deadlines_end_in_their_order_whatever_the_order_they_came_in() -> None:
    now = asyncio.get_running_loop().time()
    deadlines = Deadlines()
    for after in (0.06, 0.02, 0.04):
        deadlines.add(now + after)

    async with asyncio.timeout(5):
        while deadlines.left:
            deadlines.changed.clear()
            await deadlines.changed.wait()

    assert deadlines.ended == sorted(deadlines.ended)
    assert deadlines.timer.at == inf


async def test_a_deadline_that_is_not_the_earliest_sets_no_timer() -> None:
    now = asyncio.get_running_loop().time()
    deadlines = Deadlines()
    deadlines.add(now + 60)
    deadlines.add(now + 61)

    assert deadlines.timer.at == now + 60
    deadlines.timer.cancel()
    assert deadlines.timer.at == inf


async def test_one_that_has_passed_ends_at_once() -> None:
    deadlines = Deadlines()
    deadlines.add(asyncio.get_running_loop().time() - 1)

    async with asyncio.timeout(5):
        await deadlines.changed.wait()

    assert not deadlines.left
