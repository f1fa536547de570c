"""The gRPC surface: GRPCInferenceService, grpc.health.v1 and reflection, on generic handlers over raw bytes.

Handlers parse for themselves, because the library answers a message it cannot parse with INTERNAL and a text of its own.
This is one of the two edges where an error becomes a status, and where an error nobody foresaw becomes INTERNAL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from math import inf
from typing import Final, Never, TypeAlias

import grpc
from grpc_reflection.v1alpha import reflection

from penstock_adapters.protocol.errors import PenstockError, Unimplemented
from penstock_adapters.protocol.messages import (
    HEALTH_METHODS,
    HEALTH_SERVICE_NAME,
    METHODS,
    POOL,
    SERVICE_NAME,
    Method,
)
from penstock_gateway import grpc_answers
from penstock_gateway.grpc_answers import Message, parsed
from penstock_gateway.grpc_health import GrpcHealth
from penstock_gateway.grpc_infer import GrpcInfer, GrpcOptions
from penstock_gateway.grpc_metadata import STATUS, GrpcHeaders, Metadata, error_metadata
from penstock_gateway.incidents import Fault
from penstock_gateway.request_ids import RequestIds
from penstock_gateway.rest import EXTENSIONS
from penstock_router.plane import DataPlane

REQUEST_ID: Final = "x-request-id"
OVERSIZE: Final = 1 << 20
"""Messages up to this much over the cap are read and refused in our own words; beyond it the library does it in its own."""
METADATA_MAX: Final = 16 * 1024

Context: TypeAlias = grpc.aio.ServicerContext
Answer = Callable[[Message], Message]


class GrpcApp:
    """Handlers for every rpc, by service and name."""

    def __init__(self, plane: DataPlane, infer: GrpcInfer, fault: Fault, *, version: str) -> None:
        self._plane = plane
        self._infer = infer
        self._fault = fault
        self._version = version
        self._ids = RequestIds()
        self._health = GrpcHealth(plane)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        answers: dict[str, Answer] = {
            "ServerLive": lambda _: METHODS["ServerLive"].response(live=True),
            "ServerReady": lambda _: METHODS["ServerReady"].response(ready=not self._plane.not_ready_reason),
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _: grpc_answers.server_metadata(self._version, EXTENSIONS),
            "ModelMetadata": lambda m: grpc_answers.model_metadata(self._plane.metadata(m.name, m.version)),
            "ModelConfig": lambda m: grpc_answers.model_config(self._plane.config(m.name, m.version)),
            "ModelStatistics": lambda m: grpc_answers.model_statistics(self._plane.statistics(m.name, m.version)),
            "RepositoryIndex": self._index,
        }
        oip = {name: self._unary(method, answers[name]) for name, method in METHODS.items() if name in answers}
        oip["ModelInfer"] = grpc.unary_unary_rpc_method_handler(self._model_infer)
        for name, method in METHODS.items():
            if name not in oip:
                oip[name] = self._refused(name, method)
        health = {
            "Check": self._unary(HEALTH_METHODS["Check"], self._health.check),
            "List": self._unary(HEALTH_METHODS["List"], self._health.list),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return [
            grpc.method_handlers_generic_handler(SERVICE_NAME, oip),
            grpc.method_handlers_generic_handler(HEALTH_SERVICE_NAME, health),
        ]

    # -- answers -----------------------------------------------------------------------------------------------------

    def _model_ready(self, message: Message) -> Message:
        ready = self._plane.model_ready(message.name, message.version)
        return METHODS["ModelReady"].response(ready=ready)

    def _index(self, message: Message) -> Message:
        if message.repository_name:
            raise Unimplemented("extension_unsupported", extension="naming a repository")
        return grpc_answers.repository_index(self._plane.index(ready_only=message.ready))

    # -- handlers ----------------------------------------------------------------------------------------------------

    async def _model_infer(self, data: bytes, context: Context) -> bytes:
        left_s = context.time_remaining()
        headers = GrpcHeaders(context.invocation_metadata())
        try:
            answer, metadata = await self._infer.answer(data, headers, inf if left_s is None else left_s)
        except PenstockError as error:
            await self._abort(context, error, self._infer.served_metadata(error.served_by))
        except Exception as unforeseen:  # noqa: BLE001 - the edge: see the module's docstring
            await self._abort(context, self._fault(unforeseen))
        context.set_trailing_metadata((*metadata, (REQUEST_ID, self._request_id(headers))))
        return answer

    def _unary(self, method: Method, answer: Answer) -> grpc.RpcMethodHandler:
        async def handle(data: bytes, context: Context) -> bytes:
            try:
                said: bytes = answer(parsed(method.request, data)).SerializeToString()
            except PenstockError as error:
                await self._abort(context, error)
            except Exception as unforeseen:  # noqa: BLE001 - the edge: see the module's docstring
                await self._abort(context, self._fault(unforeseen))
            return said

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _watch(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            async for state in self._health.watch(parsed(HEALTH_METHODS["Watch"].request, data)):
                yield state
        except PenstockError as error:
            await self._abort(context, error)

    def _refused(self, name: str, method: Method) -> grpc.RpcMethodHandler:
        """An rpc of the protocol that is not offered: the same answer as an unknown one, with our text."""

        async def refuse(_: object, context: Context) -> Never:
            await self._abort(context, Unimplemented("rpc_unimplemented", rpc=name))

        if method.client_streaming and method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(refuse)
        return grpc.unary_unary_rpc_method_handler(refuse)

    async def _abort(self, context: Context, error: PenstockError, metadata: Metadata = ()) -> Never:
        headers = GrpcHeaders(context.invocation_metadata())
        trailing = (*error_metadata(error), *metadata, (REQUEST_ID, self._request_id(headers)))
        await context.abort(STATUS[error.code.grpc], error.text, trailing)
        raise AssertionError  # abort always raises; the type checker cannot know.

    def _request_id(self, headers: GrpcHeaders) -> str:
        return self._ids.answering(headers.get(REQUEST_ID).encode() or None).decode()


class GrpcServer:
    """The listener: a grpc.aio server around the handlers."""

    def __init__(self, app: GrpcApp, options: GrpcOptions) -> None:
        limit = options.limits.body + OVERSIZE
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", METADATA_MAX),
                ("grpc.max_concurrent_streams", options.streams_max),
                ("grpc.so_reuseport", int(options.reuse_port)),
                # A peer that is gone without a word is found out; clients may ask the same of us.
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            )
        )
        self._server.add_generic_rpc_handlers(tuple(app.handlers()))
        names = (SERVICE_NAME, HEALTH_SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, pool=POOL)

    async def start(self, address: str) -> int:
        """Listen on host:port; returns the port. Raises RuntimeError if it is taken."""
        port: int = self._server.add_insecure_port(address)
        await self._server.start()
        return port

    async def drain(self, timeout_s: float) -> None:
        """GOAWAY to every client, calls in flight end, what is left at the timeout is cut."""
        await self._server.stop(timeout_s)

    async def aclose(self) -> None:
        await self._server.stop(0)
