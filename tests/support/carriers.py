"""Inference requests as plain Python values, and the four ways a client writes them down.

Written without the codecs under test, so that the two can be held against each other.
"""

from __future__ import annotations

import json
import math
import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from penstock_adapters.protocol.message import NO_PARAMETERS, Parameters
from penstock_adapters.protocol.messages import ModelInferRequest
from penstock_adapters.protocol.wire import RestWire

BITS = {"UINT8": 8, "UINT16": 16, "UINT32": 32, "UINT64": 64, "INT8": 8, "INT16": 16, "INT32": 32, "INT64": 64}
CODES = {
    "BOOL": "B",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
} | {"FP64": "d"}
FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
DATATYPES = (*CODES, "BF16", "BYTES")


class Plain(NamedTuple):
    """A tensor as a client thinks of it."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]

    def raw(self) -> bytes:
        if self.datatype == "BYTES":
            return b"".join(struct.pack("<I", len(v)) + v for v in self.values)
        if self.datatype == "BF16":
            return np.array(self.values, np.float32).astype(ml_dtypes.bfloat16).tobytes()
        code = CODES.get(self.datatype)
        return struct.pack(f"<{len(self.values)}{code}", *self.values) if code else b""

    def json_values(self) -> list[Any]:
        if self.datatype == "BYTES":
            return [b64encode(v).decode() for v in self.values]
        return self.values


class Request(NamedTuple):
    """A request as a client thinks of it."""

    inputs: list[Plain]
    outputs: Sequence[str] = ()
    id: str = ""
    parameters: Parameters = NO_PARAMETERS


def rest_json(request: Request) -> RestWire:
    """JSON throughout; BYTES as base64. Bare NaN and Infinity, as Python clients write them."""
    inputs = []
    for tensor in request.inputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        entry["data"] = tensor.json_values()
        if tensor.datatype == "BYTES":
            entry["parameters"] = {"content_type": "base64"}
        inputs.append(entry)
    return RestWire((json.dumps(_body(request, inputs)).encode(),))


def rest_binary(request: Request) -> RestWire:
    """The binary extension, as tritonclient writes it."""
    raws = [tensor.raw() for tensor in request.inputs]
    inputs = [
        {"name": t.name, "shape": t.shape, "datatype": t.datatype, "parameters": {"binary_data_size": len(raw)}}
        for t, raw in zip(request.inputs, raws, strict=True)
    ]
    text = json.dumps(_body(request, inputs)).encode()
    return RestWire((text + b"".join(raws),), len(text))


def _body(request: Request, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {"inputs": inputs}
    if request.outputs:
        body["outputs"] = [{"name": name} for name in request.outputs]
    if request.id:
        body["id"] = request.id
    if request.parameters:
        body["parameters"] = dict(request.parameters)
    return body


def grpc(request: Request, *, typed: bool) -> Any:
    """A ModelInferRequest, parsed from its bytes as a server gets it."""
    message = ModelInferRequest(model_name="m", id=request.id)
    for tensor in request.inputs:
        entry = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if not typed:
            message.raw_input_contents.append(tensor.raw())
        elif tensor.values:
            getattr(entry.contents, FIELDS[tensor.datatype]).extend(tensor.values)
    for name in request.outputs:
        message.outputs.add(name=name)
    for key, value in request.parameters.items():
        entry = message.parameters[key]
        if isinstance(value, bool):
            entry.bool_param = value
        elif isinstance(value, int):
            entry.int64_param = value
        elif isinstance(value, str):
            entry.string_param = value
        else:
            entry.double_param = value
    return ModelInferRequest.FromString(message.SerializeToString())


def carriers(request: Request) -> dict[str, Any]:
    """The request in every carrier that can spell it: RestWire or ModelInferRequest by carrier name."""
    spelled: dict[str, Any] = {
        "JSON": rest_json(request),
        "binary": rest_binary(request),
        "raw": grpc(request, typed=False),
    }
    has_field = all(t.datatype in FIELDS or not t.values for t in request.inputs)
    if has_field and all(v in {0, 1} for t in request.inputs if t.datatype == "BOOL" for v in t.values):
        spelled["typed"] = grpc(request, typed=True)
    return spelled


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    """Elements of a datatype, its extremes among them. Of all NaNs only the one that JSON text means."""
    if datatype == "BOOL":
        return st.booleans()
    if datatype == "BYTES":
        return st.binary(max_size=8)
    if datatype in BITS:
        bits = BITS[datatype]
        signed = datatype.startswith("INT")
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)
    if datatype == "BF16":
        return st.integers(0, 65535).map(_bfloat16)
    if datatype == "FP16":
        floats = st.floats(width=16)
    elif datatype == "FP32":
        floats = st.floats(width=32)
    else:
        floats = st.floats()
    return floats.map(lambda value: math.nan if math.isnan(value) else value)


def _bfloat16(bits: int) -> float:
    value = float(np.array([bits], np.uint16).view(ml_dtypes.bfloat16)[0])
    return math.nan if math.isnan(value) else value


@st.composite
def tensors(draw: st.DrawFn, name: str = "x", datatypes: tuple[str, ...] = DATATYPES) -> Plain:
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape)
    values = draw(st.lists(values_of(datatype), min_size=count, max_size=count))
    return Plain(name, datatype, shape, values)


@st.composite
def requests(draw: st.DrawFn, datatypes: tuple[str, ...] = DATATYPES) -> Request:
    names = draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), max_size=3, unique=True))
    values = st.one_of(st.text(max_size=4), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e300, 1e300))
    return Request(
        [draw(tensors(name, datatypes)) for name in names],
        draw(st.lists(st.text(min_size=1, max_size=3), max_size=2, unique=True)),
        draw(st.text(max_size=4)),
        draw(st.dictionaries(st.text(max_size=4), values, max_size=2)),
    )
