"""Level 1 of a body: the request or response as values, each tensor's data still raw bytes in the v2 binary layout.

Every codec decodes to these and encodes from these (N + M, never N × M). Values are frozen; nobody writes into
`parameters` after construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

ParameterValue = str | bool | int | float
Parameters = Mapping[str, ParameterValue]
NO_PARAMETERS: Final[Parameters] = MappingProxyType({})

Json = Any
"""A JSON value that is passed on or printed, and never reasoned about: a backend's configuration, a manifest."""

Buffer = bytes | memoryview
"""Raw tensor data: little-endian elements without padding; BYTES elements are uint32 length + bytes, repeated."""


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """A named tensor. `shape` covers the whole batch; () is a scalar with one element."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer
    parameters: Parameters = NO_PARAMETERS


class RequestedOutput(msgspec.Struct, frozen=True, gc=False):
    """One entry of the request's `outputs`. `binary` None = the request's default decides; `classification` 0 = off."""

    name: str
    binary: bool | None = None
    classification: int = 0
    base64: bool = False
    parameters: Parameters = NO_PARAMETERS
    """What is left: parameters we do not interpret ourselves."""


class RequestMessage(msgspec.Struct, frozen=True, gc=False):
    """An inference request. `id` "" = none given. `outputs` () = all of the model's outputs."""

    id: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    parameters: Parameters = NO_PARAMETERS
    binary_output: bool = False
    """`binary_data_output`: the form of outputs that do not say."""


class ResponseMessage(msgspec.Struct, frozen=True, gc=False):
    """An inference response. `model_version` "" = the server named none."""

    model_name: str
    model_version: str
    id: str
    outputs: tuple[Tensor, ...]
    parameters: Parameters = NO_PARAMETERS


class TensorMetadata(msgspec.Struct, frozen=True):
    """Name, datatype and shape (-1 = any size) of one model input or output, batch dimension included."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


class Signature(msgspec.Struct, frozen=True):
    """What a model version takes and gives. `max_batch_size` 0 = the first dimension is not a batch we know a limit of."""

    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    max_batch_size: int = 0
    text_inputs: frozenset[str] = frozenset()
    """BYTES inputs the runtime holds as text: elements that are not UTF-8 are refused."""


class ModelMetadata(msgspec.Struct, frozen=True):
    """The answer of the metadata operations."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
