"""What the gRPC surface answers besides predictions, as messages of the private pool. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from penstock_adapters.adapter import IndexEntry
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import ModelMetadata, TensorMetadata
from penstock_adapters.protocol.messages import (
    METHODS,
    MessageClass,
    ModelConfigResponse,
    ModelMetadataResponse,
    ModelStatisticsResponse,
    RepositoryIndexResponse,
)

Message = Any
"""A message; protobuf makes the classes at run time, so no type checker knows their fields."""
_ServerMetadataResponse: Final = METHODS["ServerMetadata"].response


def parsed(kind: MessageClass, data: bytes) -> Message:
    """The message in `data`. Raises InvalidArgument: garbage from a client is no fault of ours."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidArgument("protobuf_invalid", message=kind.DESCRIPTOR.name) from None


def server_metadata(version: str, extensions: Sequence[str]) -> Message:
    return _ServerMetadataResponse(name="penstock", version=version, extensions=extensions)


def model_metadata(metadata: ModelMetadata) -> Message:
    answer = ModelMetadataResponse(name=metadata.name, versions=metadata.versions, platform=metadata.platform)
    _describe(answer.inputs, metadata.inputs)
    _describe(answer.outputs, metadata.outputs)
    return answer


def _describe(rows: Message, tensors: Iterable[TensorMetadata]) -> None:
    for tensor in tensors:
        rows.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def model_config(config: Mapping[str, object]) -> Message:
    return json_format.ParseDict({"config": config}, ModelConfigResponse(), ignore_unknown_fields=True)


def model_statistics(rows: Sequence[Mapping[str, object]]) -> Message:
    return json_format.ParseDict({"model_stats": rows}, ModelStatisticsResponse(), ignore_unknown_fields=True)


def repository_index(rows: Sequence[IndexEntry]) -> Message:
    answer = RepositoryIndexResponse()
    for row in rows:
        answer.models.add(name=row.name, version=row.version, state=row.state, reason=row.reason)
    return answer
