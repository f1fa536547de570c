"""Bar 5: many models, changes seen by every worker, two workers against one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from tests.bench import manifests, quota
from tests.bench.jobs import Job
from tests.bench.penstock import Penstock, penstock
from tests.bench.results import BarResult, Row, Verdict, cpu_row
from tests.bench.rounds import Contestant, Unsound, interleave, ratio
from tests.bench.servers import CPUS
from tests.bench.stage import Stage, upstream
from tests.bench.visibility import seconds_until_seen

SIZES = (10, 1_000, 100_000)
QUICK_SIZES = (10, 1_000, 10_000)
REQUESTS = 8_000
DISTINCT = 512
FLAT = 1.15
"""What counts as flat: rounds of one and the same server differ by about a tenth."""
VISIBLE_S = 1.0
CHANGES = 10
SCALE_LIMIT = 1.8
SHARE = 0.25
"""Of a core, for each worker in the scaling run."""
SETTLE_CPU = 0.03
"""A gateway has settled when it uses less than this share of a core while nobody calls."""
SETTLE_TIMEOUT_S = 300.0


def run(stage: Stage) -> BarResult:
    """Three measurements, one result."""
    sizes = SIZES if stage.scale == 1 else QUICK_SIZES
    parts = [_sizes(stage, sizes), *(_visible(stage, size) for size in sizes[1:]), _workers(stage)]
    return BarResult(
        number=5,
        title="Many models, many workers",
        method=f"REST JSON, 64 floats, {DISTINCT} requests spread over all models. “Flat” allows {FLAT - 1:.0%}, about what "
        f"rounds of one server differ by. Visibility: a model is created through the admin API; the time runs from its "
        f"answer until none of 32 connections, spread over two workers, answers 404 for it; worst of {CHANGES}. Workers: "
        f"two cores cannot hold two busy workers, a loader and a backend, so each worker is held to {SHARE:.0%} of a core "
        "by a control group and the rates by the wall clock are compared; where groups cannot be made, twice the ratio of "
        "CPU per request stands in (two workers that cost no more per request do twice the work).",
        rows=tuple(row for part in parts for row in part.rows),
        verdicts=tuple(verdict for part in parts for verdict in part.verdicts),
        missing=tuple(text for part in parts for text in part.missing),
        series=tuple(series for part in parts for series in part.series),
    )


def _sizes(stage: Stage, sizes: Sequence[int]) -> BarResult:
    """The same load on registries of different sizes."""
    rows, contestants = [], []
    with ExitStack() as stack:
        for size in sizes:
            behind = stack.enter_context(upstream(stage.work, models=size))
            ours = stack.enter_context(penstock(stage.work, name=f"penstock-{size}-models"))
            ours.apply(manifests.proxied(behind))
            rows.append(Row(f"apply {size:,} models", ours.apply(manifests.many(size)), "s"))
            ours.wait_ready(f"m{size - 1}", SETTLE_TIMEOUT_S)
            rows.append(Row(f"until idle with {size:,} models", settle(ours), "s"))
            job = Job(ours.rest.port, "json", stage.requests(REQUESTS), model="m{}", models=size, distinct=DISTINCT)
            contestants.append(Contestant(f"{size:,} models", ours.rest, job))
        series = list(interleave(stage.load, contestants, stage.rounds).values())
    few, many = series[0], series[-1]
    slower = ratio(many.latencies_us, few.latencies_us)
    return BarResult(
        number=5,
        title="sizes",
        method="",
        rows=(*rows, *map(cpu_row, series)),
        verdicts=(
            Verdict(f"{many.name} / {few.name}, CPU per request", ratio(many.us, few.us), FLAT, "at most"),
            Verdict(f"{many.name} / {few.name}, median latency", slower, FLAT, "at most"),
        ),
        series=tuple(series),
    )


def _visible(stage: Stage, size: int) -> BarResult:
    """Changes to a registry of `size` models, served by two workers."""
    with ExitStack() as stack:
        behind = stack.enter_context(upstream(stage.work, models=size))
        ours = stack.enter_context(penstock(stage.work, name=f"penstock-changes-{size}", workers=2, cpus=CPUS))
        ours.apply(manifests.proxied(behind))
        ours.apply(manifests.many(size))
        ours.wait_ready(f"m{size - 1}", SETTLE_TIMEOUT_S)
        settle(ours)
        seconds = [seconds_until_seen(ours, number) for number in range(CHANGES)]
    rows = (Row(f"a change among {size:,} models is seen by every worker, median", median(seconds), "s"),)
    promise = f"a change among {size:,} models is seen by every worker, worst"
    verdict = Verdict(promise, max(seconds), VISIBLE_S, "at most", "s")
    return BarResult(number=5, title="visible", method="", rows=rows, verdicts=(verdict,))


def _workers(stage: Stage) -> BarResult:
    """One worker and two, each held to a share of a core."""
    missing = []
    with ExitStack() as stack:
        contestants = []
        for workers in (1, 2):
            ours = stack.enter_context(
                penstock(stage.work, name=f"penstock-{workers}-workers", workers=workers, cpus=CPUS)
            )
            ours.apply(manifests.proxied(stage.upstream))
            ours.wait_ready("digits")
            settle(ours)
            job = Job(ours.rest.port, "json", stage.requests(REQUESTS), connections=32)
            contestants.append(Contestant(f"{workers} worker{'s' if workers > 1 else ''}", ours.rest, job))
        try:
            for contestant, workers in zip(contestants, (1, 2), strict=True):
                stack.enter_context(quota.limited(busiest(stage, contestant, workers), SHARE))
            limited = True
        except quota.NoQuota as error:
            missing.append(f"{error}; scaling is judged by CPU per request")
            limited = False
        one, two = interleave(stage.load, contestants, stage.rounds).values()
    by_cpu = 2 * ratio(one.us, two.us)
    by_rate = ratio(two.rates, one.rates)
    return BarResult(
        number=5,
        title="workers",
        method="",
        rows=(cpu_row(one), cpu_row(two), Row("2 workers / 1, by CPU per request", by_cpu, "×")),
        verdicts=(
            Verdict("2 workers / 1, requests per second", by_rate if limited else by_cpu, SCALE_LIMIT, "at least"),
        ),
        missing=tuple(missing),
        series=(one, two),
    )


def busiest(stage: Stage, contestant: Contestant, count: int) -> list[int]:
    """The `count` processes of a server that do the work, found by giving it some."""
    before = contestant.server.cpu()
    stage.load.run(contestant.job)
    used = contestant.server.cpu().each_since(before)
    return sorted(used, key=lambda pid: used[pid], reverse=True)[:count]


def settle(ours: Penstock) -> float:
    """Seconds until the gateway is idle, up to a limit. Raises Unsound past it."""
    started = time.monotonic()
    while time.monotonic() - started < SETTLE_TIMEOUT_S:
        before = ours.rest.cpu()
        time.sleep(1)
        if ours.rest.cpu().since(before) < SETTLE_CPU * 1e9:
            return time.monotonic() - started
    raise Unsound(f"{ours.rest.name} was still busy after {SETTLE_TIMEOUT_S:.0f} s of no calls")
