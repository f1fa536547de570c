"""A REST listener over a data plane in memory, on a free port."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from penstock_gateway.grpc_infer import GrpcInfer, GrpcOptions
from penstock_gateway.grpc_server import GrpcApp
from penstock_gateway.h2_server import H2Server
from penstock_gateway.http_server import HttpServer
from penstock_gateway.incidents import fault_reporter
from penstock_gateway.prediction_metrics import PredictionMetrics
from penstock_gateway.rest import RestApp, Scrape
from penstock_gateway.rest_infer import RestInfer, RestOptions
from penstock_router.metrics import Metrics
from tests.support.plane import MemoryPlane, labels_of


async def no_metrics(accept: str) -> tuple[bytes, str]:
    return b"# EOF\n", f"text/plain; asked={accept or 'nothing'}"


class RestListener:
    """What a test holds: the plane behind, the metrics, the server and its port."""

    def __init__(
        self,
        plane: MemoryPlane,
        options: RestOptions,
        metrics: Metrics | None = None,
        scrape: Scrape = no_metrics,
    ) -> None:
        self.plane = plane
        self.metrics = metrics or Metrics()
        infer = RestInfer(plane, PredictionMetrics(self.metrics, "rest", labels_of), options)
        self.app = RestApp(plane, infer, scrape, fault_reporter(structlog.get_logger()), version="0.0-test")
        self.server = HttpServer(self.app, options.limits)

    @property
    def port(self) -> int:
        return self.server.ports[0]

    def counted(self) -> dict[tuple[str, ...], float]:
        return {labels: cell.value for labels, cell in self.metrics.requests.cells.items()}


@asynccontextmanager
async def rest_listener(
    plane: MemoryPlane | None = None, options: RestOptions | None = None
) -> AsyncIterator[RestListener]:
    listener = RestListener(plane or MemoryPlane(), options or RestOptions())
    await listener.server.start([socket.create_server(("127.0.0.1", 0))])
    try:
        yield listener
    finally:
        await listener.server.aclose()


class GrpcListener:
    """The same for gRPC."""

    def __init__(self, plane: MemoryPlane, options: GrpcOptions, metrics: Metrics | None = None) -> None:
        self.plane = plane
        self.metrics = metrics or Metrics()
        infer = GrpcInfer(plane, PredictionMetrics(self.metrics, "grpc", labels_of), options)
        self.app = GrpcApp(plane, infer, fault_reporter(structlog.get_logger()), version="0.0-test")
        self.server = H2Server(self.app, options.limits)

    @property
    def port(self) -> int:
        return self.server.ports[0]

    def counted(self) -> dict[tuple[str, ...], float]:
        return {labels: cell.value for labels, cell in self.metrics.requests.cells.items()}


@asynccontextmanager
async def grpc_listener(
    plane: MemoryPlane | None = None, options: GrpcOptions | None = None
) -> AsyncIterator[GrpcListener]:
    listener = GrpcListener(plane or MemoryPlane(), options or GrpcOptions())
    await listener.server.start([socket.create_server(("127.0.0.1", 0))])
    try:
        yield listener
    finally:
        await listener.server.aclose()
