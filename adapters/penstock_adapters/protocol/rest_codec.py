"""The REST codec: JSON and binary tensor bodies to messages and back (protocol policy 6.5 to 6.9). Pure and total on garbage."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock_adapters.protocol import rest_exact, rest_fast
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import BadBackendAnswer, InvalidArgument, PenstockError, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import (
    NO_PARAMETERS,
    Buffer,
    Parameters,
    RequestMessage,
    ResponseMessage,
    Signature,
    Tensor,
)
from penstock_adapters.protocol.numbers_exact import pack_values
from penstock_adapters.protocol.numbers_fast import pack_raw
from penstock_adapters.protocol.rest_write import encode_request, encode_response
from penstock_adapters.protocol.tensors import element_count, join_bytes
from penstock_adapters.protocol.validate import Draft, judge
from penstock_adapters.protocol.wire import RestWire

__all__ = [
    "all_binary",
    "decode_raw",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "read_request",
]


class _Output(msgspec.Struct, gc=False):
    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Any] | None = None


class _ParsedOutput(_Output, gc=False):
    data: Any = None


class _Response(msgspec.Struct, gc=False):
    outputs: list[_Output]
    model_name: str = ""
    model_version: str | None = ""
    id: str | None = ""
    parameters: dict[str, Any] | None = None


class _ParsedResponse(_Response, gc=False):
    outputs: list[_ParsedOutput]  # type: ignore[assignment]


_DECODE: Final = msgspec.json.Decoder(_Response).decode
_NO_REST: Final = memoryview(b"")


def decode_request(wire: RestWire, limits: Limits = DEFAULT_LIMITS) -> tuple[RequestMessage, bool]:
    """The message, and whether the wire bytes may be sent to a Triton server as they are and mean the same.

    Tensors of the binary part are slices of the body. Raises InvalidArgument, Unimplemented or TooLarge.
    """
    found, plain = read_request(wire, limits)
    return (judge(found, None, limits) if isinstance(found, Draft) else found), plain


def read_request(wire: RestWire, limits: Limits = DEFAULT_LIMITS) -> tuple[RequestMessage | Draft, bool]:
    """As `decode_request`, but a request that must be read exactly comes as a draft that nobody has judged yet."""
    text, rest = rest_exact.split(wire, limits)
    if wire.header_length == 0:
        raise InvalidArgument("raw_request")
    found = rest_fast.read(text, rest, binary=wire.header_length is not None)
    if found is not None:
        return found
    return rest_exact.read_draft(text, rest, limits, binary=wire.header_length is not None), False


def decode_raw(wire: RestWire, signature: Signature, limits: Limits = DEFAULT_LIMITS) -> RequestMessage:
    """A body without any JSON (header length 0): the model's one input, a batch of one, all outputs in binary (3.2).

    A BYTES body is one element as it is, without length prefix. Raises InvalidArgument, TooLarge.
    """
    if wire.size > limits.body:
        raise TooLarge("body_too_large", limit=limits.body)
    data: Buffer = wire.parts[0] if len(wire.parts) == 1 else b"".join(wire.parts)
    if len(signature.inputs) != 1:
        raise InvalidArgument("raw_request")
    meta = signature.inputs[0]
    shape = list(meta.shape)
    if signature.max_batch_size and shape and shape[0] == -1:
        shape[0] = 1
    row = DATATYPES[meta.datatype]
    if not row.size:
        data = join_bytes([bytes(data)])
        shape = [1 if dimension == -1 else dimension for dimension in shape]
    elif shape.count(-1) == 1:
        fixed = row.size * element_count(dimension for dimension in shape if dimension != -1)
        shape[shape.index(-1)] = len(data) // fixed if fixed else 0
    if -1 in shape:
        raise InvalidArgument("raw_request")
    return RequestMessage("", (Tensor(meta.name, meta.datatype, tuple(shape), data),), binary_output=True)


def all_binary(request: RequestMessage) -> bool:
    """True if the caller asked for every output in binary and for nothing that we compute."""
    if not request.outputs:
        return request.binary_output
    default = request.binary_output
    return all(
        (default if output.binary is None else output.binary) and not output.classification
        for output in request.outputs
    )


def decode_response(wire: RestWire, limits: Limits = DEFAULT_LIMITS, *, model: str = "") -> ResponseMessage:
    """A backend's answer. Raises BadBackendAnswer, which names `model`, for anything that is not one."""
    try:
        return _response(wire, limits)
    except PenstockError as error:
        problem = error.text
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        problem = "it is not a v2 inference response"
    except _Unfit as error:
        problem = str(error)
    raise BadBackendAnswer("backend_answer", model=model, problem=problem)


class _Unfit(ValueError):
    """An answer that contradicts itself."""


def _response(wire: RestWire, limits: Limits) -> ResponseMessage:
    text, rest = rest_exact.split(wire, limits)
    try:
        answer = _DECODE(text)
    except msgspec.DecodeError:
        # Python servers write NaN and Infinity as bare words, which msgspec refuses.
        answer = msgspec.convert(rest_exact.read_object(text, limits), _ParsedResponse)
    taken = 0
    tensors = []
    for output in answer.outputs:
        parameters = dict(output.parameters) if output.parameters else {}
        size = parameters.pop("binary_data_size", None)
        data: Buffer
        if size is None:
            data = _unpack(output, parameters, limits)
        elif type(size) is int and 0 <= size <= len(rest) - taken and not output.data:
            data = rest[taken : taken + size]
            taken += size
        else:
            raise _Unfit("binary_data_size does not fit the body")
        tensors.append(Tensor(output.name, output.datatype, tuple(output.shape), data, _scalars(parameters)))
    if taken != len(rest):
        raise _Unfit("bytes are left over")
    parameters = answer.parameters or {}
    version, identifier = answer.model_version or "", answer.id or ""
    return ResponseMessage(answer.model_name, version, identifier, tuple(tensors), _scalars(parameters))


def _unpack(output: _Output, parameters: dict[str, Any], limits: Limits) -> bytes:
    """Raw data of a JSON output; `content_type: base64` is consumed."""
    row = DATATYPES.get(output.datatype)
    shape = tuple(output.shape)
    if row is None or min(shape, default=0) < 0:
        raise _Unfit("an output's datatype or shape is unknown")
    base64 = not row.size and parameters.get("content_type") == "base64"
    if base64:
        del parameters["content_type"]
    values: Any = output.data
    if isinstance(values, msgspec.Raw):
        if not base64:
            data = pack_raw(values, row, shape, element_count(shape))
            if data is not None:
                return data
        values = rest_exact.read_object(b'{"data":%b}' % (bytes(values) or b"null"), limits)["data"]
    return pack_values(output.name, row, shape, values, base64=base64, room=limits.body)


def _scalars(parameters: dict[str, Any]) -> Parameters:
    """What v2 can carry: MLServer's answers hold nested parameters, which no other carrier has words for."""
    if not parameters:
        return NO_PARAMETERS
    return {name: value for name, value in parameters.items() if isinstance(value, str | bool | int | float)}
