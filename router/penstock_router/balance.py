"""Which endpoint a call goes to: power of two choices on load (Mitzenmacher 2001), load = calls in flight × latency.

Latency is a peak-sensitive moving average (as in Finagle and Linkerd): a slow answer counts at once, a fast one slowly,
so a server that stalls loses its traffic after one bad answer and earns it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import Final, Generic, TypeVar

DECAY_S: Final = 10.0
FIRST_LATENCY_S: Final = 0.030
"""Assumed until the first answer, so that a new endpoint is neither flooded nor starved."""


class Load:
    """What one endpoint is carrying. Written by the event loop only."""

    __slots__ = ("_latency_s", "_seen_at", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self._latency_s = FIRST_LATENCY_S
        self._seen_at = 0.0

    @property
    def cost(self) -> float:
        return (self.in_flight + 1) * self._latency_s

    def observe(self, latency_s: float, now: float) -> None:
        """One answer took `latency_s`, seen at `now` (monotonic seconds)."""
        if latency_s >= self._latency_s:
            self._latency_s = latency_s
        else:
            keep = exp(-max(now - self._seen_at, 0.0) / DECAY_S)
            self._latency_s = self._latency_s * keep + latency_s * (1.0 - keep)
        self._seen_at = now


Item = TypeVar("Item")


class Choice(Generic[Item]):
    """One candidate: who, its load, its share of the traffic."""

    __slots__ = ("item", "load", "weight")

    def __init__(self, item: Item, load: Load, weight: int = 1) -> None:
        self.item = item
        self.load = load
        self.weight = weight


def pick(candidates: Sequence[Choice[Item]], random: Callable[[], float]) -> Choice[Item]:
    """The less loaded of two drawn by weight; `candidates` is not empty, `random` gives [0, 1)."""
    if len(candidates) == 1:
        return candidates[0]
    first = _draw(candidates, random())
    second = _draw([c for c in candidates if c is not first], random())
    return second if second.load.cost < first.load.cost else first


def _draw(candidates: Sequence[Choice[Item]], point: float) -> Choice[Item]:
    total = sum(c.weight for c in candidates)
    if total == 0:
        return candidates[int(point * len(candidates))]
    left = point * total
    for candidate in candidates:
        left -= candidate.weight
        if left < 0:
            return candidate
    return candidates[-1]
