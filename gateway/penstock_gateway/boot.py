"""The composition root: the one place that knows every part, and puts them together into a serving process."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Mapping
from importlib.metadata import version as distribution_version

import structlog
import uvicorn
import uvloop
from msgspec.structs import replace

from penstock_adapters.adapter import Adapter, Connect, EndpointSpec
from penstock_gateway.admin import create_admin
from penstock_gateway.grpc_infer import GrpcInfer, GrpcOptions
from penstock_gateway.grpc_server import GrpcApp, GrpcServer
from penstock_gateway.http_server import HttpServer
from penstock_gateway.incidents import fault_reporter
from penstock_gateway.node import Node
from penstock_gateway.prediction_metrics import PredictionMetrics
from penstock_gateway.rest import RestApp
from penstock_gateway.rest_infer import RestInfer, RestOptions
from penstock_gateway.settings import Settings
from penstock_router.metrics import Metrics


def platforms(settings: Settings) -> Mapping[str, Connect]:
    """Every platform there is, the in-process one with the threads the settings give it."""
    from penstock_adapters import fake, onnxruntime

    async def local(spec: EndpointSpec) -> Adapter:
        threads = {"workers": settings.model_threads} if settings.model_threads else {}
        return await onnxruntime.connect(replace(spec, options={**threads, **spec.options}))

    known: dict[str, Connect] = {"onnxruntime": local, "fake": fake.connect}
    try:
        from penstock_adapters import triton

        known["triton"] = triton.connect
    except ImportError:
        pass
    return known


async def _scrape(accept: str) -> tuple[bytes, str]:
    return b"", "text/plain"


async def serve(settings: Settings) -> None:
    version = distribution_version("penstock")
    log = structlog.get_logger("penstock")
    metrics = Metrics()
    node = Node(settings, platforms(settings), metrics, leads=True)
    await node.start()
    fault = fault_reporter(log)
    timeout_s = settings.request_timeout_ms / 1000
    rest = RestInfer(
        node.plane,
        PredictionMetrics(metrics, "rest", node.labels_of),
        RestOptions(settings.limits, timeout_s, settings.gzip),
    )
    http = HttpServer(RestApp(node.plane, rest, _scrape, fault, version=version), settings.limits)
    sock = socket.create_server((settings.http_host, settings.http_port), backlog=2048)
    await http.start([sock])
    options = GrpcOptions(settings.limits, timeout_s)
    grpc_app = GrpcApp(
        node.plane,
        GrpcInfer(node.plane, PredictionMetrics(metrics, "grpc", node.labels_of), options),
        fault,
        version=version,
    )
    grpc_server = GrpcServer(grpc_app, options)
    await grpc_server.start(f"{settings.grpc_host}:{settings.grpc_port}")
    admin = create_admin(node.opened, node.observed, node.plane, version=version, allowed_hosts=settings.allowed_hosts)
    admin_server = uvicorn.Server(
        uvicorn.Config(admin, host=settings.admin_host, port=settings.admin_port, log_level="warning", access_log=False)
    )
    admin_task = asyncio.create_task(admin_server.serve())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.3)
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop.set)
    await stop.wait()
    node.plane.draining = True
    await asyncio.gather(http.drain(settings.drain_seconds, linger_s=1.0), grpc_server.drain(settings.drain_seconds))
    admin_server.should_exit = True
    await admin_task
    await node.aclose()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    uvloop.run(serve(settings))
