"""Counts predictions at the edge: one dict look-up a request, label children made once.

`code` is the HTTP status of the one table for both protocols, so that a rule on `code=~"5.."` means the same on each.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock_router.metrics import Buckets, Metrics, Value

CACHED_MAX = 50_000
"""Cached cells; models come and go, the cache starts afresh instead of growing."""

LabelsOf = Callable[[str], tuple[str, str, str]]
"""Deployment -> (model, version, backend); three empty strings for one nobody knows."""


class PredictionMetrics:
    """The cells of one protocol."""

    __slots__ = ("_cells", "_durations", "_labels_of", "_metrics", "_overhead", "_protocol", "inflight")

    def __init__(self, metrics: Metrics, protocol: str, labels_of: LabelsOf) -> None:
        self._metrics = metrics
        self._protocol = protocol
        self._labels_of = labels_of
        self._cells: dict[tuple[str, str, int], tuple[Value, Buckets]] = {}
        self._overhead = metrics.overhead.cell(protocol)
        self.inflight = metrics.inflight.cell(protocol)

    def count(self, route: str, served_by: str, code: int, seconds: float, upstream_s: float = 0.0) -> None:
        """`route` is a name that resolved, or "" (a caller's invention must not become a label).

        Of `seconds` the backend took `upstream_s`; 0 = nobody answered, and there is no overhead to speak of.
        """
        found = self._cells.get((route, served_by, code))
        if found is None:
            found = self._cell(route, served_by, code)
        found[0].value += 1
        found[1].observe(seconds)
        if upstream_s:
            self._overhead.observe(max(seconds - upstream_s, 0.0))

    def _cell(self, route: str, served_by: str, code: int) -> tuple[Value, Buckets]:
        if len(self._cells) >= CACHED_MAX:
            self._cells.clear()
        model, version, backend = self._labels_of(served_by) if served_by else ("", "", "")
        requests = self._metrics.requests.cell(route, model, version, backend, self._protocol, str(code))
        made = (requests, self._metrics.duration.cell(route, self._protocol))
        self._cells[route, served_by, code] = made
        return made
