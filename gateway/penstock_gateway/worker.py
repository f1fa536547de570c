"""One serving process: a node behind its edges (REST, gRPC, admin), from start to drain."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Final, cast

import structlog
from msgspec.structs import replace
from uvicorn._types import ASGIApplication

from penstock_adapters.adapter import Adapter, Connect, EndpointSpec
from penstock_adapters.platforms import PLATFORMS, preload
from penstock_gateway.admin import create_admin
from penstock_gateway.exposition import Exposition
from penstock_gateway.grpc_infer import GrpcInfer, GrpcOptions
from penstock_gateway.grpc_server import GrpcApp
from penstock_gateway.h2_server import H2Server
from penstock_gateway.http_server import HttpServer
from penstock_gateway.incidents import fault_reporter
from penstock_gateway.listeners import Addresses, Drain, Listeners, WorkerSockets, serve
from penstock_gateway.node import Node
from penstock_gateway.prediction_metrics import PredictionMetrics
from penstock_gateway.rest import RestApp
from penstock_gateway.rest_infer import RestInfer, RestOptions
from penstock_gateway.settings import Settings
from penstock_gateway.workers import WorkerSeat
from penstock_router.metrics import Metrics

GC_THRESHOLDS: Final = (5_000, 2, 2_000)
"""Requests make few cycles, and a collection stops them all: the young ones are kept to milliseconds even while a large
registry is read, and the oldest to almost never: what is read from the registry is frozen."""
SWITCH_S: Final = 0.001
"""How long a thread that plans or renders much keeps a request waiting for the interpreter; Python's own is 5 ms."""

Started = Callable[[Addresses], None]


def platforms(settings: Settings) -> Mapping[str, Connect]:
    """Every platform; the in-process one gets its threads from the settings unless the backend says otherwise."""
    preload(PLATFORMS)
    connect = PLATFORMS["onnxruntime"]

    async def local(spec: EndpointSpec) -> Adapter:
        threads = {"workers": settings.model_threads} if settings.model_threads else {}
        return await connect(replace(spec, options={**threads, **spec.options}))

    return {**PLATFORMS, "onnxruntime": local}


async def serve_worker(
    settings: Settings, sockets: WorkerSockets, seat: WorkerSeat | None, run_dir: Path | None, started: Started
) -> int:
    """Serve until told to stop. `seat` None = the only process. Returns how many connections the drain cut."""
    version = distribution_version("penstock")
    metrics = Metrics()
    metrics.build_info.cell(version).value = 1
    leads = seat is None or seat.index == 0
    node = Node(settings, platforms(settings), metrics, leads=leads)
    exposition = Exposition(metrics, run_dir, seat.key if seat else "")
    writing = asyncio.create_task(exposition.keep_writing())
    try:
        # Before anything is read: the defaults walk a growing registry again and again, for seconds.
        gc.set_threshold(*GC_THRESHOLDS)
        sys.setswitchinterval(SWITCH_S)
        await node.start()
        gc.collect()
        gc.freeze()  # What stands now stays: keep it out of every later collection.

        log = structlog.get_logger("penstock")

        def draining() -> None:
            node.plane.draining = True
            log.info("stopping", drain_seconds=settings.drain_seconds)

        listeners = _listeners(settings, node, exposition, version)
        parent = seat.parent if seat else None
        cut = await serve(listeners, sockets, started=started, draining=draining, parent=parent)
        log.info("stopped", connections_cut=cut)
        return cut
    finally:
        await node.aclose()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


def _listeners(settings: Settings, node: Node, exposition: Exposition, version: str) -> Listeners:
    fault = fault_reporter(structlog.get_logger("penstock.edge"))
    timeout_s = settings.request_timeout_ms / 1000
    plane, metrics = node.plane, node.metrics
    rest_options = RestOptions(settings.limits, timeout_s, settings.gzip)
    rest = RestInfer(plane, PredictionMetrics(metrics, "rest", node.labels_of), rest_options)
    http = HttpServer(RestApp(plane, rest, exposition.scrape, fault, version=version), settings.limits)
    grpc_options = GrpcOptions(settings.limits, timeout_s)
    grpc = GrpcInfer(plane, PredictionMetrics(metrics, "grpc", node.labels_of), grpc_options)
    grpc_server = H2Server(GrpcApp(plane, grpc, fault, version=version), settings.limits)
    admin = create_admin(
        node.opened,
        node.observed,
        plane,
        version=version,
        allowed_hosts=settings.allowed_hosts,
        body_max_bytes=settings.admin_body_max_bytes,
    )
    return Listeners(http, grpc_server, cast("ASGIApplication", admin), Drain(patience_s=settings.drain_seconds))
