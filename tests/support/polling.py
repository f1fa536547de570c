"""Waiting for something to become true, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], *, patience_s: float = 5.0) -> None:
    """Return once the condition holds. Raises TimeoutError if it does not in time."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in code that knows no event of ours
            await asyncio.sleep(0.005)
