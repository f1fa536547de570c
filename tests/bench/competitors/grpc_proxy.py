"""The gRPC proxy people write: a grpc.aio servicer that calls a grpc.aio stub. argv: PORT UPSTREAM_PORT."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import grpc
from tritonclient.grpc import service_pb2_grpc


class Proxy(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        return await self._stub.ModelInfer(request, timeout=context.time_remaining())


async def main(port: int, upstream: int) -> None:
    aio = cast("Any", grpc.aio)
    async with aio.insecure_channel(f"127.0.0.1:{upstream}") as channel:
        server = aio.server()
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Proxy(stub), server)
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
