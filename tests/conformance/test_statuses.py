"""Every row of the status table, met in both protocols: the same error, its number on each side, the same words."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from penstock_adapters.fake import Fault
from penstock_adapters.protocol.errors import Code, PenstockError
from penstock_adapters.protocol.messages import METHODS, ModelInferRequest
from penstock_adapters.protocol.reasons import REASONS
from tests.support.edges import grpc_listener, rest_listener
from tests.support.plane import MemoryPlane
from tests.support.raw_http import NOTHING, RawConnection, post

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()
PROMISED = {401: "www-authenticate", 415: "accept-encoding", 429: "retry-after", 503: "retry-after"}


def grpc_request() -> bytes:
    message = ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    message.raw_input_contents.append(bytes(16))
    data: bytes = message.SerializeToString()
    return data


def failing(kind: type[PenstockError]) -> MemoryPlane:
    plane = MemoryPlane()
    plane.adapter.fault = Fault(error=kind("draining"))
    return plane


@pytest.mark.parametrize("kind", PenstockError.__subclasses__(), ids=lambda kind: kind.__name__)
async def test_an_error_has_its_status_in_both_protocols(kind: type[PenstockError]) -> None:
    async with rest_listener(failing(kind)) as rest, await RawConnection.open(rest.port) as connection:
        if kind.code is Code.CANCELLED:
            return  # There is nobody to answer; test_rest_infer and test_grpc_infer count it.
        await connection.send(post("/v2/models/digits/infer", BODY))
        over_rest = await connection.answer()
    async with (
        grpc_listener(failing(kind)) as listener,
        grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHODS["ModelInfer"].path)(grpc_request())
    over_grpc: Any = caught.value
    trailing = {str(key): str(value) for key, value in over_grpc.trailing_metadata()}

    assert over_rest != NOTHING
    assert over_rest.status == kind.code.http
    assert over_grpc.code().value[0] == kind.code.grpc
    assert over_rest.json == {"error": over_grpc.details()} == {"error": REASONS["draining"]}
    assert over_rest.headers["penstock-reason"] == trailing["penstock-reason"] == "draining"
    assert over_rest.headers["penstock-served-by"] == trailing["penstock-served-by"] == "digits-2-fake"
    assert over_rest.status not in PROMISED or PROMISED[over_rest.status] in over_rest.headers
    assert (trailing.get("grpc-retry-pushback-ms") == "-1") is (over_rest.status in {413, 431})
