"""Bar 2: gRPC pass-through against the grpc.aio proxy people write."""

from __future__ import annotations

from contextlib import ExitStack

from tests.bench import manifests, proxies
from tests.bench.jobs import Job
from tests.bench.penstock import penstock
from tests.bench.results import BarResult, Verdict, cpu_row
from tests.bench.rounds import Contestant, interleave, ratio
from tests.bench.stage import Entry, Stage, grpc_proxy

REQUESTS = 5_000
LIMIT = 0.65


def run(stage: Stage) -> BarResult:
    """CPU per small ModelInfer."""
    with ExitStack() as stack:
        entry = Entry(stack)
        nginx = entry.join(lambda: proxies.nginx(stage.work, stage.upstream.rest.port, stage.upstream.grpc.port))
        haproxy = entry.join(lambda: proxies.haproxy(stage.work, stage.upstream.rest.port, stage.upstream.grpc.port))
        naive = stack.enter_context(grpc_proxy(stage))
        ours = stack.enter_context(penstock(stage.work))
        ours.apply(manifests.proxied(stage.upstream))
        ours.wait_ready("digits")
        servers = {
            "nginx grpc_pass": nginx and nginx.grpc,
            "HAProxy h2": haproxy and haproxy.grpc,
            "Penstock": ours.grpc,
            "naive grpc.aio proxy": naive,
        }
        requests = stage.requests(REQUESTS)
        contestants = [
            Contestant(n, server, Job(server.port, "grpc", requests)) for n, server in servers.items() if server
        ]
        with_deadline = Job(ours.grpc.port, "grpc", requests, deadline_s=30.0)
        contestants.append(Contestant("Penstock, callers with a deadline", ours.grpc, with_deadline))
        series = interleave(stage.load, contestants, stage.rounds)
    measured = ratio(series["Penstock"].us, series["naive grpc.aio proxy"].us)
    return BarResult(
        number=2,
        title="gRPC pass-through",
        method="ModelInfer with 64 FP32 elements as raw contents; 16 callers over 4 HTTP/2 connections. The naive proxy "
        "speaks gRPC to the backend. Penstock goes over the backend's binary HTTP leg, which is cheaper, unless the caller "
        "set a deadline: then over gRPC, because only there Triton stops computing when it passes; that case is the extra "
        "row, and no part of the bar (tritonclient sets no deadline unless told to).",
        rows=tuple(map(cpu_row, series.values())),
        verdicts=(Verdict("gRPC: Penstock / naive grpc.aio proxy", measured, LIMIT, "at most"),),
        missing=tuple(entry.missing),
        series=tuple(series.values()),
    )
