"""Follow the registry: every new snapshot, within a second, whatever else fails.

Polling the revision is the truth. Hints (LISTEN/NOTIFY, Redis) only make it look sooner: they may be lost, late, doubled
or wrong. The database may be away for as long as it likes; the watch keeps trying and says how old its news is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Final, Protocol, Self

from penstock_adapters.protocol.errors import PenstockError
from penstock_registry.failures import STORE_ERRORS
from penstock_registry.loading import View
from penstock_registry.registry import Registry
from penstock_registry.snapshot import Change, Snapshot

POLL_S: Final = 0.5
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 1.0
REST_S: Final = 0.02
"""Between two looks, however many hints come: a storm of writes is not a storm of reads."""


class Hint(Protocol):
    """A source of hints."""

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` for each change heard of, until cancelled. Survives its own errors."""
        ...


class Watch(AsyncIterator[Snapshot]):
    """An endless stream of snapshots: the current one first, then each change; several changes at once may come as one.

    For one reader. While the reader works on a snapshot nothing is polled; the next look then comes at once if there was
    a hint. The registry may be constructed without a database that answers.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        poll_s: float = POLL_S,
        hints: Sequence[Hint] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._poll_s = poll_s
        self._hints = hints
        self._clock = clock
        self._hint_heard = asyncio.Event()
        self._listening: list[asyncio.Task[None]] = []
        self._last: View | None = None
        self.changes: list[Change] | None = None
        """What leads from the snapshot before to the last one; None = not known."""
        self._reached_at = -inf
        self._delay_s = 0.0
        self.problem = ""
        """Why the last look failed: a reason, or "" if it did not."""

    @property
    def age_s(self) -> float:
        """Seconds since the registry was last reached; infinite if it never was."""
        return self._clock() - self._reached_at

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Snapshot:
        if not self._listening:
            self._listening = [asyncio.create_task(hint.listen(self._hint_heard.set)) for hint in self._hints]
        while True:
            await self._pause()
            view, last = await self._look(), self._last
            if view is not None and (last is None or view.snapshot is not last.snapshot):
                known = last is not None and view.trail is last.trail
                self.changes = view.trail.between(last.snapshot, view.snapshot) if last and known else None
                self._last = view
                return view.snapshot

    async def _pause(self) -> None:
        if self._delay_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._delay_s):
                    await self._hint_heard.wait()
                    await asyncio.sleep(REST_S)
        self._hint_heard.clear()

    async def _look(self) -> View | None:
        try:
            view = await self._registry.view()
        except (PenstockError, *STORE_ERRORS) as error:
            self.problem = error.reason if isinstance(error, PenstockError) else type(error).__name__
            self._delay_s = min(max(2 * self._delay_s, RETRY_FIRST_S), RETRY_MAX_S)
            return None
        self.problem = ""
        self._reached_at = self._clock()
        self._delay_s = self._poll_s
        return view

    async def aclose(self) -> None:
        """Stop listening. The registry stays open."""
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        self._listening = []
