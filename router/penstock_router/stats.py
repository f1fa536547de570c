"""What each model version has done: the numbers of Triton's statistics extension, kept by the gateway for every backend."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_adapters.protocol.message import RequestMessage


class VersionStats:
    """Counters of one model version; durations in nanoseconds. Written by the event loop only."""

    __slots__ = ("executions", "fail_count", "fail_ns", "inferences", "last_ms", "success_count", "success_ns")

    def __init__(self) -> None:
        self.inferences = 0
        """Batch elements answered."""
        self.executions = 0
        self.success_count = 0
        self.success_ns = 0
        self.fail_count = 0
        self.fail_ns = 0
        self.last_ms = 0
        """Unix time of the last inference in milliseconds."""

    def succeeded(self, elapsed_s: float, elements: int, unix_s: float) -> None:
        self.inferences += elements
        self.executions += 1
        self.success_count += 1
        self.success_ns += int(elapsed_s * 1e9)
        self.last_ms = int(unix_s * 1e3)

    def failed(self, elapsed_s: float) -> None:
        self.fail_count += 1
        self.fail_ns += int(elapsed_s * 1e9)


class StatsBook:
    """The statistics of every version, across table swaps."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], VersionStats] = {}

    def of(self, model: str, version: str) -> VersionStats:
        row = self._rows.get((model, version))
        if row is None:
            row = self._rows[model, version] = VersionStats()
        return row

    def forget(self, model: str, versions: Sequence[str]) -> None:
        """Drop versions that are gone, so that a registry that turns over does not grow the book."""
        for version in versions:
            self._rows.pop((model, version), None)


def batch_elements(message: RequestMessage, *, batched: bool) -> int:
    """How many inferences a request holds: its batch dimension where the model has one, else 1."""
    if not batched or not message.inputs or not message.inputs[0].shape:
        return 1
    return message.inputs[0].shape[0]
