"""Counters the hot path can afford: plain numbers in slots, rendered elsewhere through prometheus-client.

`Counter.inc` of prometheus-client costs 1.1-1.4 µs and a histogram twice that, under a lock; a request needs six of them.
A cell here costs a tenth. All cells are written by the event loop's thread only, so they need no lock; whoever renders
reads a number at a time. A family is made once at start; its children (cells) are cached by their users.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, Generic, Literal, TypeVar

LABELSETS_MAX: Final = 10_000
"""Children per family; beyond it every new label set is counted under "other", so a flood of names costs no memory."""
OTHER: Final = "other"
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

MetricKind = Literal["counter", "gauge", "histogram"]


class Value:
    """One number: a counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Buckets:
    """One histogram: a count per bucket (not cumulative; the last is +Inf) and the sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


Cell = TypeVar("Cell", Value, Buckets)


class Family(Generic[Cell]):
    """A named metric with its children by label values. `name` carries no prefix; rendering adds `penstock_`."""

    def __init__(
        self, name: str, kind: MetricKind, help_text: str, labels: Sequence[str], bounds: Sequence[float] = ()
    ) -> None:
        self.name = name
        self.kind: MetricKind = kind
        self.help = help_text
        self.labels = tuple(labels)
        self.bounds = tuple(bounds)
        self.cells: dict[tuple[str, ...], Cell] = {}

    def cell(self, *values: str) -> Cell:
        """The child for these label values; cache it where it is used often."""
        found = self.cells.get(values)
        if found is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, not {len(values)} of them")
            if len(self.cells) >= LABELSETS_MAX:
                values = (OTHER,) * len(self.labels)
            found = self.cells.setdefault(values, self._make())
        return found

    def forget(self, *values: str) -> None:
        """Stop showing a child whose subject is gone."""
        self.cells.pop(values, None)

    def _make(self) -> Cell:
        return Buckets(self.bounds) if self.kind == "histogram" else Value()  # type: ignore[return-value]


def counter(name: str, help_text: str, *labels: str) -> Family[Value]:
    return Family(name, "counter", help_text, labels)


def gauge(name: str, help_text: str, *labels: str) -> Family[Value]:
    return Family(name, "gauge", help_text, labels)


def histogram(name: str, help_text: str, *labels: str, bounds: Sequence[float] = SECONDS) -> Family[Buckets]:
    return Family(name, "histogram", help_text, labels, bounds)


class Metrics:
    """Every metric of a process, made once by the composition root and handed to who counts."""

    def __init__(self) -> None:
        self.requests = counter(
            "requests_total",
            "Requests answered, by outcome.",
            "route",
            "model",
            "version",
            "backend",
            "protocol",
            "code",
        )
        self.duration = histogram(
            "request_duration_seconds", "Time from the request's last byte to the answer.", "route", "protocol"
        )
        self.overhead = histogram("overhead_seconds", "The gateway's own share of the time.", "protocol")
        self.upstream = histogram("upstream_duration_seconds", "Time the backend took.", "backend", "model")
        self.inflight = gauge("inflight", "Requests being answered now.", "protocol")
        self.retries = counter("retries_total", "Calls made again after one that reached nobody.", "backend")
        self.backend_up = gauge("backend_up", "1 if the endpoint answers its health check.", "backend", "endpoint")
        self.route_weight = gauge("route_weight", "Weight of a route's target.", "route", "target")
        self.model_loaded = gauge("model_loaded", "1 if the deployment is ready.", "model", "version", "backend")
        self.load_duration = histogram("model_load_duration_seconds", "Time to load a model.", "backend")
        self.config_generation = gauge("config_generation", "Revision of the registry being served.")
        self.config_age = gauge("config_age_seconds", "Time since the registry was last reached.")
        self.build_info = gauge("build_info", "1, with the version as label.", "version")

    def families(self) -> Iterable[Family[Value] | Family[Buckets]]:
        return tuple(vars(self).values())
