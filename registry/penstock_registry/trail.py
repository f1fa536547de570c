"""Which resources the last revisions changed: what makes the difference of two near snapshots cheap among 100,000."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from penstock_registry.snapshot import Change, Key, Snapshot

KEPT: Final = 10_000
"""Changes remembered. Who is further behind compares everything."""


class Trail:
    """The changes after some revision, of one history; another history (a higher epoch) begins another trail."""

    def __init__(self, revision: int) -> None:
        self._since = revision
        self._until = revision
        self._steps: deque[tuple[int, Key]] = deque()

    def extend(self, until: int, steps: Iterable[tuple[int, Key]]) -> None:
        """Every change up to revision `until`, oldest first; what is known already may be among them."""
        self._steps.extend(step for step in steps if step[0] > self._until)
        self._until = max(self._until, until)
        while len(self._steps) > KEPT:
            # A revision is kept whole or not at all.
            self._since = self._steps.popleft()[0]
        while self._steps and self._steps[0][0] <= self._since:
            self._steps.popleft()

    def between(self, old: Snapshot, new: Snapshot) -> list[Change] | None:
        """What differs from one snapshot of this history to a later one; None = not remembered."""
        if not self._since <= old.revision <= new.revision <= self._until:
            return None
        keys = dict.fromkeys(key for revision, key in self._steps if old.revision < revision <= new.revision)
        before, after = old.resources, new.resources
        return [Change(key, before.get(key), after.get(key)) for key in keys if before.get(key) is not after.get(key)]
