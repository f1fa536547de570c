"""The gRPC codec: ModelInferRequest and ModelInferResponse to messages and back (protocol policy 6.10).

Typed and raw contents are read; raw contents are written. Messages are duck-typed: ours, tritonclient's, anybody's.
"""

from __future__ import annotations

import struct
from typing import Any

from penstock_adapters.protocol.datatypes import DATATYPES, Datatype
from penstock_adapters.protocol.errors import BadBackendAnswer, InvalidArgument, PenstockError, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import (
    NO_PARAMETERS,
    Buffer,
    Parameters,
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Tensor,
)
from penstock_adapters.protocol.messages import ModelInferRequest, ModelInferResponse
from penstock_adapters.protocol.numbers_exact import pack_integers
from penstock_adapters.protocol.parameters import from_proto, to_proto
from penstock_adapters.protocol.rest_exact import requested_output
from penstock_adapters.protocol.tensors import join_bytes
from penstock_adapters.protocol.validate import Draft, DraftTensor, Pack, element_count, judge


def decode_request(message: Any, limits: Limits = DEFAULT_LIMITS) -> RequestMessage:
    """The message of a ModelInferRequest. Raises InvalidArgument, Unimplemented or TooLarge."""
    found = read_request(message, limits)
    return judge(found, None, limits) if isinstance(found, Draft) else found


def read_request(message: Any, limits: Limits = DEFAULT_LIMITS) -> RequestMessage | Draft:
    """As `decode_request`, but a request with typed contents comes as a draft that nobody has judged yet."""
    raw = message.raw_input_contents
    inputs = message.inputs
    if not raw or len(raw) != len(inputs):
        return read_draft(message, limits)
    tensors = []
    for entry, data in zip(inputs, raw, strict=True):
        if entry.HasField("contents"):
            return read_draft(message, limits)
        parameters = entry.parameters
        tensors.append(
            Tensor(
                entry.name,
                entry.datatype,
                tuple(entry.shape),
                data,
                from_proto(parameters) if parameters else NO_PARAMETERS,
            )
        )
    outputs = message.outputs
    parameters = message.parameters
    return RequestMessage(
        message.id,
        tuple(tensors),
        tuple(map(_requested, outputs)) if outputs else (),
        from_proto(parameters) if parameters else NO_PARAMETERS,
    )


def read_draft(message: Any, limits: Limits) -> Draft:
    """The request as it was written. Raises InvalidArgument where raw and typed contents are mixed or miscounted."""
    raw = message.raw_input_contents
    inputs = message.inputs
    typed = [entry.contents.ListFields() if entry.HasField("contents") else [] for entry in inputs]
    if raw and any(typed):
        raise InvalidArgument("raw_and_typed")
    if raw and len(raw) != len(inputs):
        raise InvalidArgument("raw_count", found=len(raw), expected=len(inputs))
    if sum(map(len, raw)) > limits.body:
        raise TooLarge("body_too_large", limit=limits.body)
    tensors = []
    for index, entry in enumerate(inputs):
        data: Buffer | Pack = raw[index] if raw else _packer(entry.name, typed[index])
        shape: tuple[object, ...] = tuple(entry.shape)
        tensors.append(DraftTensor(entry.name, entry.datatype, shape, data, from_proto(entry.parameters)))
    outputs = tuple(map(_requested, message.outputs))
    return Draft(message.id, tuple(tensors), outputs, from_proto(message.parameters))


def _requested(entry: Any) -> RequestedOutput:
    parameters = entry.parameters
    if not parameters:
        return RequestedOutput(entry.name)
    return requested_output(entry.name, dict(from_proto(parameters)))


def _packer(name: str, fields: list[tuple[Any, Any]]) -> Pack:
    """Packs typed contents: the set fields of one InferTensorContents."""

    def pack(row: Datatype, shape: tuple[int, ...], count: int, room: int) -> bytes:
        wanted = row.contents_field
        for field, _ in fields:
            if field.name != wanted:
                expected = wanted or "raw_input_contents"
                raise InvalidArgument("contents_wrong_field", tensor=name, datatype=row.name, expected=expected)
        values = fields[0][1] if fields else ()
        if len(values) != count:
            raise element_count(name, shape, count, len(values))
        if count * (row.size or 4) > room:
            raise TooLarge("body_too_large", limit=room)
        return _pack(name, row, values)

    return pack


def _pack(name: str, row: Datatype, values: Any) -> bytes:
    if not values:
        return b""
    if row.kind == "bytes":
        return join_bytes(values)
    if row.kind == "bool":
        return bytes(values)
    try:
        return struct.pack(f"<{len(values)}{row.struct_code}", *values)
    except struct.error:  # INT8 to UINT16 travel in 32-bit fields
        return pack_integers(name, row, list(values))


def encode_request(message: RequestMessage, model_name: str, model_version: str) -> Any:
    """A ModelInferRequest with raw contents, addressed to the model. What only we act on is left out."""
    result = ModelInferRequest(model_name=model_name, model_version=model_version, id=message.id)
    for tensor in message.inputs:
        _write(tensor, result.inputs.add())
    for output in message.outputs:
        entry = result.outputs.add(name=output.name)
        if output.parameters:
            to_proto(output.parameters, entry.parameters)
    if message.parameters:
        to_proto(message.parameters, result.parameters)
    result.raw_input_contents.extend([bytes(tensor.data) for tensor in message.inputs])
    return result


def encode_response(message: ResponseMessage) -> Any:
    """A ModelInferResponse with raw contents."""
    result = ModelInferResponse(model_name=message.model_name, model_version=message.model_version, id=message.id)
    for tensor in message.outputs:
        _write(tensor, result.outputs.add())
    if message.parameters:
        to_proto(message.parameters, result.parameters)
    result.raw_output_contents.extend([bytes(tensor.data) for tensor in message.outputs])
    return result


def _write(tensor: Tensor, entry: Any) -> None:
    entry.name = tensor.name
    entry.datatype = tensor.datatype
    entry.shape.extend(tensor.shape)
    if tensor.parameters:
        to_proto(tensor.parameters, entry.parameters)


def decode_response(message: Any, limits: Limits = DEFAULT_LIMITS, *, model: str = "") -> ResponseMessage:
    """A backend's ModelInferResponse, raw or typed. Raises BadBackendAnswer, which names `model`, if it is unusable."""
    try:
        return _response(message, limits)
    except PenstockError as error:
        raise BadBackendAnswer("backend_answer", model=model, problem=error.text) from None


def _response(message: Any, limits: Limits) -> ResponseMessage:
    raw = message.raw_output_contents
    outputs = message.outputs
    if raw and len(raw) != len(outputs):
        raise InvalidArgument("raw_count", found=len(raw), expected=len(outputs))
    tensors = []
    for index, entry in enumerate(outputs):
        shape = tuple(entry.shape)
        data: Buffer = raw[index] if raw else _typed(entry, shape, limits)
        tensors.append(Tensor(entry.name, entry.datatype, shape, data, _parameters(entry.parameters)))
    return ResponseMessage(
        message.model_name, message.model_version, message.id, tuple(tensors), _parameters(message.parameters)
    )


def _typed(entry: Any, shape: tuple[int, ...], limits: Limits) -> bytes:
    row = DATATYPES.get(entry.datatype)
    if row is None or min(shape, default=0) < 0:
        raise InvalidArgument("datatype_unknown", tensor=entry.name, datatype=entry.datatype, known="the v2 datatypes")
    count = 1
    for dimension in shape:
        count *= dimension
    return _packer(entry.name, entry.contents.ListFields())(row, shape, count, limits.body)


def _parameters(entries: Any) -> Parameters:
    return from_proto(entries) if entries else NO_PARAMETERS
