"""Which target of a route a request goes to: by weight, and for one key always the same.

The key is hashed to a point in [0, 1) and the targets lie side by side on that line in the order of the manifest, so
every gateway agrees without talking, and moving weight from one target to the next moves only that share of the keys.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate

from penstock_adapters.protocol.request import InferenceRequest


def cumulative(weights: Sequence[int]) -> tuple[float, ...]:
    """Right edges of the targets' intervals on [0, 1]; weights are not all 0."""
    total = sum(weights)
    return tuple(edge / total for edge in accumulate(weights))


def choose(edges: Sequence[float], point: float) -> int:
    """The index of the interval that holds `point` in [0, 1). An interval of width 0 is never chosen."""
    return min(bisect_right(edges, point), len(edges) - 1)


def sticky_point(route: str, key: str) -> float:
    """A point in [0, 1) that depends on the route and the key only. The route's name keeps routes independent."""
    digest = blake2b(f"{route}\0{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def sticky_key(by: str, request: InferenceRequest) -> str:
    """The request's value for `header/NAME` or `parameter/NAME`; "" = it has none."""
    where, _, name = by.partition("/")
    if where == "header":
        return request.headers.get(name)
    return str(request.body.parameters.get(name, ""))
