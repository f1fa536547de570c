"""The gRPC surface: GRPCInferenceService, grpc.health.v1 and reflection, over raw bytes.

This is one of the two edges where an error becomes a status, and where an error nobody foresaw becomes INTERNAL.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from math import inf
from typing import Final

from grpc_reflection.v1alpha import reflection, reflection_pb2

from penstock_adapters.protocol.errors import (
    Code,
    InvalidArgument,
    PenstockError,
    Unimplemented,
)
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
from penstock_gateway.grpc_infer import GrpcInfer
from penstock_gateway.grpc_metadata import GrpcHeaders, Metadata, error_metadata
from penstock_gateway.grpc_wire import error_trailers, ok_trailers, timeout_s
from penstock_gateway.h2_headers import literal
from penstock_gateway.h2_stream import Stream
from penstock_gateway.incidents import Fault
from penstock_gateway.request_ids import RequestIds
from penstock_gateway.rest import EXTENSIONS
from penstock_router.plane import DataPlane

REQUEST_ID: Final = "x-request-id"
OK_CACHE_MAX: Final = 10_000
_REFLECTION: Final = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"
_GRPC: Final = re.compile(r"application/grpc(?:[+;]|$)")
_INFER: Final = METHODS["ModelInfer"].path

Answer = Callable[[Message], Message]
Streaming = Callable[[Stream], AsyncIterator[bytes]]
Unary = Callable[[Stream, bytes], Awaitable[tuple[bytes, Metadata]]]


class GrpcApp:
    """Answers every rpc; what `h2_connection` calls."""

    def __init__(self, plane: DataPlane, infer: GrpcInfer, fault: Fault, *, version: str) -> None:
        self._plane = plane
        self._infer = infer
        self._fault = fault
        self._version = version
        self._ids = RequestIds()
        self._health = GrpcHealth(plane)
        self._ok: dict[Metadata, bytes] = {}
        names = (SERVICE_NAME, HEALTH_SERVICE_NAME, reflection.SERVICE_NAME)
        self._reflection = reflection.aio.ReflectionServicer(names, pool=POOL)
        self._unary: dict[str, Unary] = {_INFER: self._model_infer, **self._simple()}
        self._streaming: dict[str, Streaming] = {
            HEALTH_METHODS["Watch"].path: self._watch,
            _REFLECTION: self._reflect,
        }
        self._unoffered = {method.path: name for name, method in METHODS.items() if method.path not in self._unary}

    def _simple(self) -> dict[str, Unary]:
        """The rpcs that are answered from memory at once."""
        plane = self._plane
        answers: dict[str, Answer] = {
            "ServerLive": lambda _: METHODS["ServerLive"].response(live=True),
            "ServerReady": lambda _: METHODS["ServerReady"].response(ready=not plane.not_ready_reason),
            "ModelReady": lambda m: METHODS["ModelReady"].response(ready=plane.model_ready(m.name, m.version)),
            "ServerMetadata": lambda _: grpc_answers.server_metadata(self._version, EXTENSIONS),
            "ModelMetadata": lambda m: grpc_answers.model_metadata(plane.metadata(m.name, m.version)),
            "ModelConfig": lambda m: grpc_answers.model_config(plane.config(m.name, m.version)),
            "ModelStatistics": lambda m: grpc_answers.model_statistics(plane.statistics(m.name, m.version)),
            "RepositoryIndex": self._index,
        }
        rows = [(METHODS[name], answer) for name, answer in answers.items()]
        rows += [(HEALTH_METHODS["Check"], self._health.check), (HEALTH_METHODS["List"], self._health.list)]
        return {method.path: _at_once(method, answer) for method, answer in rows}

    def _index(self, message: Message) -> Message:
        if message.repository_name:
            raise Unimplemented("extension_unsupported", extension="naming a repository")
        return grpc_answers.repository_index(self._plane.index(ready_only=message.ready))

    # -- what the connection calls -----------------------------------------------------------------------------------

    def begin(self, stream: Stream) -> None:
        """A call's headers are here: refuse what cannot be answered, start what streams."""
        fields = stream.fields
        path = fields.get(":path", "")
        if fields.get(":method") != "POST" or not _GRPC.match(fields.get("content-type", "")):
            self.refuse(stream, InvalidArgument("framing_invalid", problem="it is not a gRPC call"))
        elif path in self._unary:
            return
        elif stream.ended and path not in self._streaming:
            self.refuse(stream, self._unknown(path))
        else:
            stream.streaming = True
            answers = self._streaming.get(path, self._unimplemented)
            stream.task = asyncio.get_running_loop().create_task(self._stream(stream, answers))

    def ready(self, stream: Stream) -> None:
        """A unary call's request is complete."""
        stream.task = asyncio.get_running_loop().create_task(self._call(stream, self._unary[stream.fields[":path"]]))

    def refuse(self, stream: Stream, error: PenstockError, metadata: Metadata = ()) -> None:
        trailing = (*error_metadata(error), *metadata, (REQUEST_ID, self._request_id(stream).decode()))
        stream.finish(error_trailers(error.code.grpc, error.text, trailing))

    # -- the edge ----------------------------------------------------------------------------------------------------

    async def _call(self, stream: Stream, answer: Unary) -> None:
        try:
            # Whoever compresses may send what takes long to inflate: not on the loop.
            data = await asyncio.to_thread(stream.message) if "grpc-encoding" in stream.fields else stream.message()
            message, metadata = await answer(stream, data)
        except PenstockError as error:
            if error.code is not Code.CANCELLED:
                self.refuse(stream, error, self._infer.served_metadata(error.served_by))
        except asyncio.CancelledError:
            return  # The client left, or the connection did.
        except Exception as unforeseen:  # noqa: BLE001 - the edge: see the module's docstring
            self.refuse(stream, self._fault(unforeseen))
        else:
            stream.reply(message, self._ok_block(metadata) + literal(b"x-request-id", self._request_id(stream)))

    async def _stream(self, stream: Stream, answers: Streaming) -> None:
        try:
            async for message in answers(stream):
                stream.send(message)
        except PenstockError as error:
            self.refuse(stream, error)
        except asyncio.CancelledError:
            return
        except Exception as unforeseen:  # noqa: BLE001 - the edge: see the module's docstring
            self.refuse(stream, self._fault(unforeseen))
        else:
            stream.finish(self._ok_block(()))

    def _ok_block(self, metadata: Metadata) -> bytes:
        found = self._ok.get(metadata)
        if found is None:
            if len(self._ok) >= OK_CACHE_MAX:
                self._ok.clear()
            found = self._ok[metadata] = ok_trailers(metadata)
        return found

    def _request_id(self, stream: Stream) -> bytes:
        given = stream.fields.get(REQUEST_ID)
        return self._ids.answering(None if given is None else given.encode("latin-1"))

    # -- the rpcs that wait ------------------------------------------------------------------------------------------

    async def _model_infer(self, stream: Stream, data: bytes) -> tuple[bytes, Metadata]:
        given = stream.fields.get("grpc-timeout")
        left_s = inf if given is None else timeout_s(given)
        return await self._infer.answer(data, GrpcHeaders(stream.fields), left_s)

    async def _unimplemented(self, stream: Stream) -> AsyncIterator[bytes]:
        # Only once the caller has spoken: grpcio takes an end before its first message for a broken stream.
        await stream.next_message()
        for answer in self._answers_of(stream.fields.get(":path", "")):
            yield answer

    def _answers_of(self, unoffered: str) -> Iterable[bytes]:
        raise self._unknown(unoffered)

    def _unknown(self, path: str) -> Unimplemented:
        return Unimplemented("rpc_unimplemented", rpc=self._unoffered.get(path) or path)

    async def _watch(self, stream: Stream) -> AsyncIterator[bytes]:
        data = await stream.next_message()
        async for state in self._health.watch(parsed(HEALTH_METHODS["Watch"].request, data or b"")):
            yield state

    async def _reflect(self, stream: Stream) -> AsyncIterator[bytes]:
        async def requests() -> AsyncIterator[Message]:
            while (data := await stream.next_message()) is not None:
                yield parsed(reflection_pb2.ServerReflectionRequest, data)

        async for answer in self._reflection.ServerReflectionInfo(requests(), None):
            yield answer.SerializeToString()


def _at_once(method: Method, answer: Answer) -> Unary:
    async def call(_: Stream, data: bytes) -> tuple[bytes, Metadata]:
        said: bytes = answer(parsed(method.request, data)).SerializeToString()
        return said, ()

    return call
