"""Bar 3: a model in process against MLServer and KServe serving the same file, and against the bare model."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from statistics import median

from tests.bench import inprocess, manifests
from tests.bench.jobs import Form, Job
from tests.bench.penstock import penstock
from tests.bench.results import BarResult, Row, Verdict, cpu_row
from tests.bench.rounds import Contestant, interleave, ratio
from tests.bench.servers import REPOSITORY, Server, bench_module
from tests.bench.stage import Entry, Stage

REQUESTS = 10_000
SLOW_REQUESTS = 3_000
TIMES_LESS = 8.0
ABOVE_BARE_US = 120.0


def run(stage: Stage) -> BarResult:
    """CPU per small request, whole process tree; the model's own share is measured alone."""
    with ExitStack() as stack:
        entry = Entry(stack)
        others: dict[str, Server | None] = {
            "MLServer 1.7.1 as installed": entry.join(lambda: inprocess.mlserver(stage.work, lean=False)),
            "MLServer 1.7.1 at its leanest": entry.join(lambda: inprocess.mlserver(stage.work, lean=True)),
            "KServe 0.21.0 as installed": entry.join(lambda: inprocess.kserve(stage.work, lean=False)),
            "KServe 0.21.0 at its leanest": entry.join(lambda: inprocess.kserve(stage.work, lean=True)),
        }
        ours = stack.enter_context(penstock(stage.work))
        ours.apply(manifests.embedded(inprocess.MODEL_FILE))
        ours.wait_ready("digits")
        contestants = [
            _contestant(stage, "Penstock, REST JSON", ours.rest, "json"),
            _contestant(stage, "Penstock, REST binary", ours.rest, "binary"),
            _contestant(stage, "Penstock, gRPC", ours.grpc, "grpc"),
        ]
        contestants += [_contestant(stage, name, server, "json") for name, server in others.items() if server]
        bare = [_bare_us() for _ in range(stage.rounds)]
        series = interleave(stage.load, contestants, stage.rounds)
    ours_json = series["Penstock, REST JSON"]
    verdicts = [
        Verdict(f"{name} / Penstock", ratio(series[name].us, ours_json.us), TIMES_LESS, "at least")
        for name in others
        if name in series
    ]
    above = ours_json.median_us - median(bare)
    verdicts.append(Verdict("Penstock above bare session.run", above, ABOVE_BARE_US, "at most", "µs"))
    bare_row = Row("session.run alone", median(bare), "µs", (max(bare) - min(bare)) / median(bare))
    return BarResult(
        number=3,
        title="A model in process",
        method="deploy/examples/models/digits-v2.onnx with one intra-op thread everywhere, one image a request, 16 "
        "keep-alive connections; REST JSON is what all of them speak, and what is compared. “As installed” is a server "
        "with its default settings (MLServer: one inference worker process, compression, debug log; KServe: access and "
        "timing log); “at its leanest” all of that is switched off, which few people do.",
        rows=(bare_row, *map(cpu_row, series.values())),
        verdicts=tuple(verdicts),
        missing=tuple(entry.missing),
        series=tuple(series.values()),
    )


def _contestant(stage: Stage, name: str, server: Server, form: Form) -> Contestant:
    return Contestant(name, server, Job(server.port, form, stage.requests(REQUESTS), onnx=str(inprocess.MODEL_FILE)))


def _bare_us() -> float:
    command = [str(part) for part in bench_module("bare_session", str(inprocess.MODEL_FILE), python=sys.executable)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, cwd=REPOSITORY)
    return float(done.stdout)
