"""One request in each of the encodings it can arrive in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from penstock_adapters.protocol import grpc_codec, rest_codec
from penstock_adapters.protocol.body import RequestBody, RestWire
from penstock_adapters.protocol.message import RequestMessage
from penstock_adapters.protocol.rest_write import json_data

CarrierName = Literal["json", "binary", "grpc"]


def json_body(message: RequestMessage) -> RequestBody:
    """REST with every tensor as JSON."""
    inputs = []
    for tensor in message.inputs:
        data, parameters = json_data(tensor)
        entry = {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype, "data": msgspec.Raw(data)}
        inputs.append(
            entry | ({"parameters": {**tensor.parameters, **parameters}} if tensor.parameters or parameters else {})
        )
    head: dict[str, object] = {"id": message.id} if message.id else {}
    if message.parameters:
        head["parameters"] = dict(message.parameters)
    if message.outputs:
        head["outputs"] = [{"name": output.name} for output in message.outputs]
    return RequestBody(rest=RestWire((msgspec.json.encode({**head, "inputs": inputs}),)))


def binary_body(message: RequestMessage) -> RequestBody:
    """REST with binary tensors, as one buffer, the way it comes off a socket."""
    wire = rest_codec.encode_request(message)
    return RequestBody(rest=RestWire((b"".join(wire.parts),), wire.header_length))


def grpc_body(message: RequestMessage) -> RequestBody:
    """A ModelInferRequest with raw contents."""
    return RequestBody(grpc=grpc_codec.encode_request(message, "any", "any"))


CARRIERS: Final[Mapping[CarrierName, Callable[[RequestMessage], RequestBody]]] = {
    "json": json_body,
    "binary": binary_body,
    "grpc": grpc_body,
}
