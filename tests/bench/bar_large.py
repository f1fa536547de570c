"""Bar 4: 16 MB binary tensors, in and out, against nginx; and what Penstock's memory does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from tests.bench import cpu, manifests, proxies
from tests.bench.jobs import Job, Payload
from tests.bench.penstock import penstock
from tests.bench.results import BarResult, Row, Verdict
from tests.bench.rounds import Contestant, Series, interleave, ratio
from tests.bench.servers import Server
from tests.bench.stage import Entry, Stage

ELEMENTS = 4 << 20
TENSOR_BYTES = 4 * ELEMENTS
REQUESTS = 120
CONNECTIONS = 4
SPEED_LIMIT = 0.5
MEMORY_LIMIT = 2.5
SAMPLE_S = 0.01
DIRECTIONS: tuple[Payload, ...] = ("upload", "download")


class Watch:
    """Samples the resident memory of a process tree; keeps the highest value."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self.before = self.peak = cpu.resident_bytes(pid)

    def run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self.peak = max(self.peak, cpu.resident_bytes(self._pid))

    def stop(self) -> None:
        self._stop.set()

    @property
    def growth(self) -> int:
        return self.peak - self.before


@contextmanager
def watch(server: Server) -> Iterator[Watch]:
    """A watch that samples while the block runs."""
    made = Watch(server.pid)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()


def run(stage: Stage) -> BarResult:
    """Bytes per second by the wall clock, memory growth over the idle process."""
    results = [_direction(stage, direction) for direction in DIRECTIONS]
    return BarResult(
        number=4,
        title="16 MB binary tensors",
        method=f"One FP32 tensor of {TENSOR_BYTES >> 20} MiB in (answer: its checksum) or out, {CONNECTIONS} connections, "
        f"so {CONNECTIONS * TENSOR_BYTES >> 20} MiB of payload in flight. Bytes per second by the wall clock, the loader "
        "and the backend sharing one CPU; resident memory sampled every 10 ms, growth over the process after 500 small "
        "requests. nginx with the buffers that suit it best.",
        rows=tuple(row for result in results for row in result.rows),
        verdicts=tuple(verdict for result in results for verdict in result.verdicts),
        missing=tuple(dict.fromkeys(text for result in results for text in result.missing)),
        series=tuple(series for result in results for series in result.series),
    )


def _direction(stage: Stage, direction: Payload) -> BarResult:
    """One direction, with a Penstock of its own, so that memory kept from the other does not count."""
    requests = max(int(REQUESTS * stage.scale), 20)
    with ExitStack() as stack:
        entry = Entry(stack)
        ports = stage.upstream.rest.port, stage.upstream.grpc.port
        nginx = entry.join(lambda: proxies.nginx(stage.work, *ports, small=False))
        ours = stack.enter_context(penstock(stage.work, name=f"penstock-{direction}"))
        ours.apply(manifests.proxied(stage.upstream))
        ours.wait_ready(direction)
        stage.load.run(Job(ours.rest.port, "binary", 500, CONNECTIONS))
        job = Job(0, "binary", requests, CONNECTIONS, direction, distinct=1, payload=direction, elements=ELEMENTS)
        servers = {"Penstock": ours.rest} | ({"nginx": nginx.rest} if nginx else {})
        contestants = [
            Contestant(f"{name}, {direction}", server, msgspec.structs.replace(job, port=server.port))
            for name, server in servers.items()
        ]
        with watch(ours.rest) as memory:
            series = interleave(stage.load, contestants, stage.rounds)
    rows = [row for one in series.values() for row in _rows(one)]
    rows.append(Row(f"Penstock, {direction}, memory growth", memory.growth / 1e6, "MB"))
    growth = memory.growth / (CONNECTIONS * TENSOR_BYTES)
    verdicts = [Verdict(f"16 MB {direction}: memory growth / payload in flight", growth, MEMORY_LIMIT, "at most")]
    if nginx:
        speed = ratio(series[f"Penstock, {direction}"].rates, series[f"nginx, {direction}"].rates)
        promise = f"16 MB {direction}: Penstock / nginx, bytes per second"
        verdicts.insert(0, Verdict(promise, speed, SPEED_LIMIT, "at least"))
    return BarResult(
        number=4,
        title=direction,
        method="",
        rows=tuple(rows),
        verdicts=tuple(verdicts),
        missing=tuple(entry.missing),
        series=tuple(series.values()),
    )


def _rows(series: Series) -> list[Row]:
    rates = series.rates
    speed = Row(
        series.name, series.median_rate * TENSOR_BYTES / 1e6, "MB/s", (max(rates) - min(rates)) / series.median_rate
    )
    return [speed, Row(f"{series.name}, CPU", series.median_us / 1e3, "ms", series.spread, "per request")]
