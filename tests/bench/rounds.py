"""Measuring side by side: contestants take turns, round after round, so that what disturbs one disturbs all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import IO, Final, cast

import msgspec

from tests.bench import cpu
from tests.bench.jobs import Job, Result
from tests.bench.servers import LOAD_CPUS, REPOSITORY, Server, bench_module

JOB_TIMEOUT_S: Final = 300


class Unsound(Exception):
    """A run with wrong or failed answers: its numbers mean nothing."""


class Contestant(msgspec.Struct, frozen=True):
    """A server under load, and the load."""

    name: str
    server: Server
    job: Job


class Sample(msgspec.Struct, frozen=True):
    """One contestant's one round."""

    us_per_request: float
    """CPU of the whole process tree."""
    result: Result


class Series(msgspec.Struct, frozen=True):
    """All rounds of a contestant."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def us(self) -> list[float]:
        return [sample.us_per_request for sample in self.samples]

    @property
    def median_us(self) -> float:
        return median(self.us)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median over the rounds."""
        return (max(self.us) - min(self.us)) / self.median_us

    @property
    def latencies_us(self) -> list[float]:
        """The callers' median, round by round."""
        return [sample.result.latency_us_p50 for sample in self.samples]

    @property
    def rates(self) -> list[float]:
        """Requests per second of wall clock, round by round."""
        return [sample.result.ok / sample.result.elapsed_s for sample in self.samples]

    @property
    def median_latency_us(self) -> float:
        return median(self.latencies_us)

    @property
    def median_rate(self) -> float:
        return median(self.rates)


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Median over the rounds of one / other, each pair measured within seconds of each other."""
    return median(a / b for a, b in zip(one, other, strict=True))


class Loader:
    """The load process, at the other end of a pipe."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._stdin = cast("IO[bytes]", process.stdin)
        self._stdout = cast("IO[bytes]", process.stdout)

    def run(self, job: Job) -> Result:
        """Run one job. Raises Unsound unless every answer was right."""
        self._stdin.write(msgspec.json.encode(job) + b"\n")
        self._stdin.flush()
        line = self._stdout.readline()
        if not line:
            raise Unsound("the loader died; its error is above")
        result = msgspec.json.decode(line, type=Result)
        if result.ok != job.requests:
            counts = f"{result.ok} right, {result.wrong} wrong, {result.failed} failed of {job.requests}"
            raise Unsound(f"{counts}; first: {result.first_complaint}")
        return result


@contextmanager
def loader() -> Iterator[Loader]:
    """A load process on the load side's CPU."""
    command = ["taskset", "-c", ",".join(map(str, LOAD_CPUS)), *map(str, bench_module("loader"))]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Loader(process)
        finally:
            process.kill()


def measure(load: Loader, contestant: Contestant) -> Sample:
    """One run of one contestant. Raises Unsound."""
    before = contestant.server.cpu()
    try:
        result = load.run(contestant.job)
        used = contestant.server.cpu().since(before)
    except (Unsound, cpu.TreeChanged) as error:
        raise Unsound(f"{contestant.name}: {error} (log: {contestant.server.log})") from None
    return Sample(used / 1e3 / contestant.job.requests, result)


def interleave(load: Loader, contestants: Sequence[Contestant], rounds: int) -> Mapping[str, Series]:
    """Warm every contestant up, then let them take turns; the first of a round is another one each time."""
    for contestant in contestants:
        warm_up = msgspec.structs.replace(contestant.job, requests=max(contestant.job.requests // 5, 1))
        measure(load, msgspec.structs.replace(contestant, job=warm_up))
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in (*contestants[first:], *contestants[:first]):
            samples[contestant.name].append(measure(load, contestant))
    return {name: Series(name, tuple(taken)) for name, taken in samples.items()}
