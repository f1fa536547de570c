"""The v2 gRPC messages, from our own descriptor set in a private pool.

The default pool belongs to whoever imports first: tritonclient, kserve and mlserver each register other messages under the
same names, and two of them in one process is an error. Here nothing global is touched, so all of them may be loaded too.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE_NAME: Final = "inference.GRPCInferenceService"
HEALTH_SERVICE_NAME: Final = "grpc.health.v1.Health"

MessageClass = Any
"""A generated message class; protobuf makes it at run time, so no type checker knows its fields."""
ProtoMessage = Any
"""An instance of one."""


class Method(NamedTuple):
    """One rpc: its full path on the wire, its message classes, and which sides stream."""

    path: str
    request: MessageClass
    response: MessageClass
    client_streaming: bool
    server_streaming: bool


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    data = (files("penstock_adapters.protocol") / "inference.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    return pool


POOL: Final[Any] = _load()
"""Also what gRPC reflection serves."""


def message_class(name: str) -> MessageClass:
    """The class of a message by its full name, `inference.ModelInferRequest`. Raises KeyError if there is none."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def _methods(service: str) -> dict[str, Method]:
    return {
        method.name: Method(
            f"/{service}/{method.name}",
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
            method.client_streaming,
            method.server_streaming,
        )
        for method in POOL.FindServiceByName(service).methods
    }


METHODS: Final[dict[str, Method]] = _methods(SERVICE_NAME)
HEALTH_METHODS: Final[dict[str, Method]] = _methods(HEALTH_SERVICE_NAME)

InferParameter: Final[MessageClass] = message_class("inference.InferParameter")
ModelInferRequest: Final[MessageClass] = message_class("inference.ModelInferRequest")
ModelInferResponse: Final[MessageClass] = message_class("inference.ModelInferResponse")
ModelStreamInferResponse: Final[MessageClass] = message_class("inference.ModelStreamInferResponse")
ModelMetadataResponse: Final[MessageClass] = message_class("inference.ModelMetadataResponse")
ModelConfigResponse: Final[MessageClass] = message_class("inference.ModelConfigResponse")
ModelStatisticsResponse: Final[MessageClass] = message_class("inference.ModelStatisticsResponse")
RepositoryIndexResponse: Final[MessageClass] = message_class("inference.RepositoryIndexResponse")
