"""Bar 1: REST pass-through against nginx and against the proxy people write."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from tests.bench import manifests, proxies
from tests.bench.jobs import Form, Job
from tests.bench.penstock import penstock
from tests.bench.results import BarResult, Verdict, cpu_row
from tests.bench.rounds import Contestant, Series, interleave, ratio
from tests.bench.servers import Server
from tests.bench.stage import Entry, Stage, fastapi_proxy

REQUESTS = 20_000
SLOW_SHARE = 10
"""The naive proxy answers every tenth of the requests the others answer, so that it does not take the whole run."""
LIMITS: Mapping[Form, float] = {"binary": 4.0, "json": 5.0}
NAIVE_LIMIT = 12.0


def run(stage: Stage) -> BarResult:
    """CPU per small request, both forms."""
    with ExitStack() as stack:
        entry = Entry(stack)
        nginx = entry.join(lambda: proxies.nginx(stage.work, stage.upstream.rest.port, stage.upstream.grpc.port))
        haproxy = entry.join(lambda: proxies.haproxy(stage.work, stage.upstream.rest.port, stage.upstream.grpc.port))
        naive = entry.join(lambda: fastapi_proxy(stage))
        ours = stack.enter_context(penstock(stage.work))
        ours.apply(manifests.proxied(stage.upstream))
        ours.wait_ready("digits")
        servers = {
            "nginx proxy_pass": nginx and nginx.rest,
            "HAProxy": haproxy and haproxy.rest,
            "Penstock": ours.rest,
            "FastAPI + httpx": naive,
        }
        measured = {form: _measure(stage, form, {k: v for k, v in servers.items() if v}) for form in LIMITS}
    return BarResult(
        number=1,
        title="REST pass-through",
        method="64 FP32 elements; JSON as Python writes float32 lists, binary as tritonclient sends it; 16 keep-alive "
        "connections, one request in flight on each. Penstock checks every request against the model's signature.",
        rows=tuple(cpu_row(series) for by_name in measured.values() for series in by_name.values()),
        verdicts=tuple(verdict for form, by_name in measured.items() for verdict in _verdicts(form, by_name)),
        missing=tuple(entry.missing),
        series=tuple(series for by_name in measured.values() for series in by_name.values()),
    )


def _measure(stage: Stage, form: Form, servers: Mapping[str, Server]) -> dict[str, Series]:
    contestants = [
        Contestant(
            f"{name}, {form}",
            server,
            Job(server.port, form, stage.requests(REQUESTS) // (SLOW_SHARE if "httpx" in name else 1)),
        )
        for name, server in servers.items()
    ]
    return dict(interleave(stage.load, contestants, stage.rounds))


def _verdicts(form: Form, series: Mapping[str, Series]) -> list[Verdict]:
    ours, found = series[f"Penstock, {form}"].us, []
    nginx, naive = series.get(f"nginx proxy_pass, {form}"), series.get(f"FastAPI + httpx, {form}")
    if nginx:
        promise = f"REST {form}: Penstock / nginx"
        found.append(Verdict(promise, ratio(ours, nginx.us), LIMITS[form], "at most"))
    if naive:
        promise = f"REST {form}: FastAPI + httpx / Penstock"
        found.append(Verdict(promise, ratio(naive.us, ours), NAIVE_LIMIT, "at least"))
    return found
