"""The gRPC side of the fake server: ModelInfer answered with the oracle; readiness and metadata for who asks first."""

from __future__ import annotations

from typing import Any, cast

import grpc
from tritonclient.grpc import service_pb2

from tests.bench import grpc_wire
from tests.bench.calls import oracle

MESSAGE_MAX = 64 << 20


async def _infer(data: bytes, _context: object) -> bytes:
    request = service_pb2.ModelInferRequest.FromString(data)
    if request.raw_input_contents:
        raw: bytes = request.raw_input_contents[0]
    else:
        raw = grpc_wire.pack(request.inputs[0])
    return grpc_wire.write_answer(request.model_name, request.id, oracle(request.model_name, [raw]))


async def _ready(_data: bytes, _context: object) -> bytes:
    return bytes(service_pb2.ModelReadyResponse(ready=True).SerializeToString())


async def start_grpc(port: int) -> Any:
    """A started grpc.aio server on loopback."""
    handlers = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(_infer),
        "ServerLive": grpc.unary_unary_rpc_method_handler(_ready),
        "ServerReady": grpc.unary_unary_rpc_method_handler(_ready),
        "ModelReady": grpc.unary_unary_rpc_method_handler(_ready),
    }
    options = [("grpc.max_receive_message_length", MESSAGE_MAX), ("grpc.max_send_message_length", MESSAGE_MAX)]
    server = cast("Any", grpc.aio).server(options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server
