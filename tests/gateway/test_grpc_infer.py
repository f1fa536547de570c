"""ModelInfer below the wire: limits in time and size, and what is counted."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from penstock_adapters.fake import Fault
from penstock_adapters.protocol.errors import Cancelled, DeadlineExceeded, InvalidArgument, TooLarge
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.messages import ModelInferRequest, ModelInferResponse
from penstock_gateway.grpc_infer import GrpcInfer, GrpcOptions
from penstock_gateway.grpc_metadata import GrpcHeaders
from penstock_gateway.prediction_metrics import PredictionMetrics
from penstock_router.metrics import Metrics
from tests.support.plane import MemoryPlane, labels_of

NONE = GrpcHeaders({})


def edge(plane: MemoryPlane, metrics: Metrics, options: GrpcOptions | None = None) -> GrpcInfer:
    return GrpcInfer(plane, PredictionMetrics(metrics, "grpc", labels_of), options or GrpcOptions())


def request(**more: Any) -> bytes:
    message = ModelInferRequest(model_name="digits", **more)
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    message.raw_input_contents.append(bytes(16))
    data: bytes = message.SerializeToString()
    return data


def counted(metrics: Metrics) -> dict[str, float]:
    return {labels[-1]: cell.value for labels, cell in metrics.requests.cells.items()}


async def test_answer_and_metadata() -> None:
    plane, metrics = MemoryPlane(), Metrics()
    plane.degraded = "fallback"
    data, metadata = await edge(plane, metrics).answer(request(), NONE, inf)

    assert ModelInferResponse.FromString(data).model_version == "2"
    assert dict(metadata) == {
        "penstock-served-by": "digits-2-fake",
        "penstock-generation": "7",
        "penstock-degraded": "fallback",
    }
    assert counted(metrics) == {"200": 1}


@pytest.mark.parametrize(
    ("headers", "left_s", "route_s", "server_s"),
    [
        (NONE, 0.03, inf, 60.0),
        (GrpcHeaders({"penstock-timeout-ms": "30"}), 5.0, inf, 60.0),
        (NONE, inf, 0.03, 60.0),
        (NONE, inf, inf, 0.03),
    ],
)
async def test_the_smallest_limit_holds(headers: GrpcHeaders, left_s: float, route_s: float, server_s: float) -> None:
    plane, metrics = MemoryPlane(), Metrics()
    plane.adapter.fault = Fault(delay_s=inf)
    plane.timeout_s = route_s
    with pytest.raises(DeadlineExceeded):
        await edge(plane, metrics, GrpcOptions(timeout_s=server_s)).answer(request(), headers, left_s)

    assert counted(metrics) == {"504": 1}
    assert plane.requests[0].caller_deadline is (min(left_s, headers.timeout_s()) <= 0.03)


async def test_size_garbage_and_cancellation_are_counted() -> None:
    plane, metrics = MemoryPlane(), Metrics()
    infer = edge(plane, metrics, GrpcOptions(Limits(body=100)))
    with pytest.raises(TooLarge):
        await infer.answer(bytes(101), NONE, inf)
    with pytest.raises(InvalidArgument):
        await infer.answer(b"\xff", NONE, inf)
    plane.adapter.fault = Fault(delay_s=inf)
    task = asyncio.create_task(infer.answer(request(), NONE, inf))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(Cancelled):
        await task

    assert counted(metrics) == {"413": 1, "400": 1, "499": 1}
    assert metrics.inflight.cell("grpc").value == 0
