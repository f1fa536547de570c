"""Triton over gRPC: calls on our own messages, its answers in the JSON form the REST leg gets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Final

import grpc
import grpc.aio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from penstock_adapters.protocol.errors import BadBackendAnswer, Unavailable
from penstock_adapters.protocol.message import Json
from penstock_adapters.protocol.messages import METHODS, ProtoMessage
from penstock_adapters.triton_errors import grpc_error

BACKOFF_MS: Final = {"initial": 100, "min": 100, "max": 1000}
"""Between attempts to connect. The library's defaults keep a channel unusable for seconds after a restart."""
MESSAGE_SLACK: Final = 1 << 20
"""Room for the headers of a message around the tensors."""


class GrpcLeg:
    """One channel to one server. Belongs to one event loop."""

    def __init__(self, target: str, *, body_max: int) -> None:
        options = [
            ("grpc.max_send_message_length", body_max + MESSAGE_SLACK),
            ("grpc.max_receive_message_length", body_max + MESSAGE_SLACK),
            *((f"grpc.{name}_reconnect_backoff_ms", value) for name, value in BACKOFF_MS.items()),
            ("grpc.enable_retries", 0),  # retries are the router's business
            ("grpc.enable_http_proxy", 0),  # a backend is never behind the environment's proxy
            ("grpc.use_local_subchannel_pool", 1),  # this channel's connections are its own
        ]
        # No keepalive: it cannot be set below 10 s, so only a deadline catches a hung server.
        self._channel = grpc.aio.insecure_channel(target, options)
        # Bytes in, bytes out: a garbled answer then fails in our hands instead of as an INTERNAL of the library.
        self._calls = {
            name: self._channel.unary_unary(method.path)
            for name, method in METHODS.items()
            if not (method.client_streaming or method.server_streaming)
        }

    async def call(
        self,
        method: str,
        request: ProtoMessage,
        *,
        deadline: float = inf,
        model: str = "",
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> ProtoMessage:
        """Call one rpc. Cancelling it cancels the call at the server.

        Raises DeadlineExceeded, Unavailable, BadBackendAnswer and what triton_errors makes of the status.
        """
        timeout = deadline - asyncio.get_running_loop().time() if deadline < inf else None
        if timeout is not None and timeout <= 0:
            raise grpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "", model, timeout)
        try:
            data = await self._calls[method](request.SerializeToString(), timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise grpc_error(error.code(), error.details() or "", model, timeout or 0.0) from None
        except grpc.aio.UsageError:
            raise Unavailable("backend_unreachable", model=model) from None  # the channel is closed
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Unavailable("backend_unreachable", model=model) from None  # the channel was closed under the call
        try:
            return METHODS[method].response.FromString(data)
        except DecodeError:
            raise BadBackendAnswer(
                "backend_answer", model=model, problem="it is not the message it should be"
            ) from None

    async def aclose(self) -> None:
        await self._channel.close()


def to_json(message: ProtoMessage) -> Mapping[str, Json]:
    """A message in Triton's JSON form: every plain field present, 64-bit integers as numbers, enums by name.

    protobuf's own JSON form writes 64-bit integers as strings, which no client of the REST extension expects.
    """
    result: dict[str, Json] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"]
            result[field.name] = {str(key): _plain(inner, value[key]) for key in value}
        elif field.is_repeated:
            result[field.name] = [_plain(field, item) for item in value]
        elif field.has_presence:
            if message.HasField(field.name):
                result[field.name] = _plain(field, value)
        else:
            result[field.name] = _plain(field, value)
    return result


def _plain(field: FieldDescriptor, value: Json | ProtoMessage) -> Json:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return to_json(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    return value
