"""GET /metrics: the cells of `penstock_router.metrics` through prometheus-client, off the event loop, over all workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, cast

from prometheus_client.core import Metric, Sample
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from penstock_gateway.metric_files import read_all, worker_file, write_rows
from penstock_gateway.metric_rows import PAUSE_EVERY, PAUSE_S, FamilyRows, WorkerRows, taken
from penstock_router.metrics import Metrics

PREFIX: Final = "penstock_"
WRITE_S: Final = 0.8


class _Samples:
    """A family's samples, made as they are read, with pauses that let the event loop in."""

    def __init__(self, rows: FamilyRows, name: str) -> None:
        self._rows = rows
        self._name = name

    def __iter__(self) -> Iterator[Sample]:
        for index, sample in enumerate(self._all()):
            if index % PAUSE_EVERY == PAUSE_EVERY - 1:
                time.sleep(PAUSE_S)
            yield sample

    def _all(self) -> Iterator[Sample]:
        rows = self._rows
        suffix = "_total" if rows.kind == "counter" else ""
        for values, value in rows.values.items():
            yield Sample(self._name + suffix, dict(zip(rows.labels, values, strict=True)), value)
        for values, (counts, total) in rows.buckets.items():
            yield from self._histogram(dict(zip(rows.labels, values, strict=True)), counts, total)

    def _histogram(self, labels: dict[str, str], counts: Sequence[int], total: float) -> Iterator[Sample]:
        running = 0
        for bound, count in zip((*map(repr, self._rows.bounds), "+Inf"), counts, strict=True):
            running += count
            yield Sample(f"{self._name}_bucket", {**labels, "le": bound}, running)
        yield Sample(f"{self._name}_count", labels, running)
        yield Sample(f"{self._name}_sum", labels, total)


class RowsCollector(Collector):
    """Rows as prometheus-client reads them."""

    def __init__(self, families: Iterable[FamilyRows]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for rows in self._families:
            name = PREFIX + rows.name.removesuffix("_total")
            metric = Metric(name, rows.help, rows.kind)
            metric.samples = cast("list[Sample]", _Samples(rows, name))
            yield metric


def render(families: Iterable[FamilyRows], accept: str) -> tuple[bytes, str]:
    """(page, content type) in the format the Accept header asks for."""
    encoder, content_type = choose_encoder(accept)
    return encoder(RowsCollector(families)), content_type


class Exposition:
    """What this process counted, and with `run_dir` what all workers of the run counted. `key` names this one's file."""

    def __init__(self, metrics: Metrics, run_dir: Path | None = None, key: str = "") -> None:
        self._metrics = metrics
        self._run_dir = run_dir
        self._path = worker_file(run_dir, key) if run_dir is not None else None
        self._one_at_a_time = asyncio.Lock()

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """The metrics page. Scrapes that come together wait for one another: a page of a large site costs a second."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._page, accept)

    async def keep_writing(self) -> None:
        """Write this worker's rows until cancelled, and a last time then."""
        if self._path is None:
            return
        try:
            while True:
                await asyncio.to_thread(self.write)
                await asyncio.sleep(WRITE_S)
        finally:
            self.write()

    def write(self) -> list[FamilyRows]:
        families = taken(self._metrics.families())
        if self._path is not None:
            write_rows(self._path, WorkerRows(families))
        return families

    def _page(self, accept: str) -> tuple[bytes, str]:
        families = self.write()
        return render(read_all(self._run_dir) if self._run_dir is not None else families, accept)
