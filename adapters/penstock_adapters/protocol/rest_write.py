"""Messages as REST bodies: requests in binary, responses output by output in the form the request asked for (6.7 to 6.9)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

import numpy as np
import orjson

from penstock_adapters.protocol.datatypes import DATATYPES, Datatype
from penstock_adapters.protocol.message import (
    Buffer,
    ParameterValue,
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Tensor,
)
from penstock_adapters.protocol.tensors import iterate_bytes
from penstock_adapters.protocol.wire import RestWire

_dumps = orjson.dumps
_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY
_BASE64: Final = {"content_type": "base64"}
_DEFAULT: Final = RequestedOutput("")


def encode_request(message: RequestMessage) -> RestWire:
    """The request with binary tensors, asking for every output in binary. What only we act on is left out."""
    inputs = []
    buffers: list[Buffer] = []
    for tensor in message.inputs:
        parameters: dict[str, ParameterValue] = {"binary_data_size": len(tensor.data)}
        if tensor.parameters:
            parameters |= tensor.parameters
        entry = {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype, "parameters": parameters}
        inputs.append(entry)
        buffers.append(tensor.data)
    head: dict[str, object] = {"id": message.id} if message.id else {}
    shared = dict(message.parameters)
    if message.outputs:
        head["outputs"] = [
            {"name": output.name, "parameters": {**output.parameters, "binary_data": True}}
            for output in message.outputs
        ]
    else:
        shared["binary_data_output"] = True
    if shared:
        head["parameters"] = shared
    head["inputs"] = inputs
    text = _dumps(head)
    return RestWire((text, *buffers), len(text))


def encode_response(message: ResponseMessage, request: RequestMessage) -> RestWire:
    """The answer, each output as JSON or binary as asked; plain JSON without a header length if no binary bytes follow."""
    parts = [b'{"model_name":', _dumps(message.model_name)]
    if message.model_version:
        parts += b',"model_version":', _dumps(message.model_version)
    if message.id:
        parts += b',"id":', _dumps(message.id)
    if message.parameters:
        parts += b',"parameters":', _dumps(dict(message.parameters))
    parts.append(b',"outputs":[')
    asked = {output.name: output for output in request.outputs} if request.outputs else None
    buffers: list[Buffer] = []
    comma = b'{"name":'
    for tensor in message.outputs:
        form = asked.get(tensor.name, _DEFAULT) if asked else _DEFAULT
        binary = request.binary_output if form.binary is None else form.binary
        parts += (
            comma,
            _dumps(tensor.name),
            b',"datatype":"',
            tensor.datatype.encode(),
            b'","shape":',
            _dumps(tensor.shape),
        )
        comma = b',{"name":'
        if binary and len(tensor.data):
            parts += b',"parameters":', _dumps({**tensor.parameters, "binary_data_size": len(tensor.data)}), b"}"
            buffers.append(tensor.data)
        else:
            data, extra = json_data(tensor, base64=form.base64)
            if tensor.parameters or extra:
                parts += b',"parameters":', _dumps({**tensor.parameters, **extra})
            parts += b',"data":', data, b"}"
    parts.append(b"]}")
    text = b"".join(parts)
    return RestWire((text, *buffers), len(text)) if buffers else RestWire((text,))


def json_data(tensor: Tensor, *, base64: bool = False) -> tuple[bytes, Mapping[str, ParameterValue]]:
    """The `data` member, flat, and the parameters that tell how to read it. The tensor must have passed a check."""
    row = DATATYPES[tensor.datatype]
    if not len(tensor.data):
        return b"[]", {}
    if row.size:
        return _numbers(row, tensor.data), {}
    elements = list(iterate_bytes(tensor.data))
    if not base64:
        try:
            return _dumps([element.decode() for element in elements]), {}
        except UnicodeDecodeError:
            pass  # JSON has no bare bytes: the whole tensor goes as base64
    return _dumps([b64encode(element).decode() for element in elements]), _BASE64


def _numbers(row: Datatype, data: Buffer) -> bytes:
    """Shortest decimals that round-trip in the datatype; FP16 and BF16 print as the double they equal."""
    array = np.frombuffer(data, row.dtype)
    if row.kind != "float":
        return _dumps(array, option=_NUMPY)
    if row.size == 2:
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
            array = array.astype(np.float64)
    text = _dumps(array, option=_NUMPY)
    if b"null" not in text:
        return text
    elements = text[1:-1].split(b",")
    for index in np.flatnonzero(~np.isfinite(array)):
        value = float(array[index])
        elements[index] = b'"Infinity"' if value > 0 else b'"-Infinity"' if value < 0 else b'"NaN"'
    return b"[" + b",".join(elements) + b"]"
