"""Questions with their right answers, and the requests that ask them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf

import msgspec
import numpy as np

from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.message import NO_PARAMETERS, RequestedOutput, RequestMessage, Tensor
from penstock_adapters.protocol.request import InferenceRequest
from penstock_adapters.protocol.tensors import from_array, join_bytes
from penstock_adapters.testing.carriers import CARRIERS, CarrierName


class Case(msgspec.Struct, frozen=True):
    """A question and its right answer: `inputs` for a model, and the outputs it must give, by name."""

    model: str
    version: str
    inputs: tuple[Tensor, ...]
    outputs: Mapping[str, Tensor]


class _NoHeaders:
    def get(self, name: str, default: str = "", /) -> str:  # noqa: ARG002  (the protocol's signature)
        return default


def sample(datatype: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor of this datatype and shape, its elements all different where the datatype allows."""
    row = DATATYPES[datatype]
    count = int(np.prod(shape, dtype=np.int64))
    if not row.size:
        words = [f"wörd {i}\0".encode() for i in range(count)]
        return Tensor("x", datatype, shape, join_bytes(words))
    values = (
        np.arange(count) % 2 if row.kind == "bool" else np.arange(count) % 100 + (0.5 if row.kind == "float" else 0)
    )
    return from_array("x", values.astype(row.dtype).reshape(shape), datatype)


def bits(tensor: Tensor) -> bytes:
    """The data as one piece, to be compared."""
    return bytes(tensor.data)


def request_for(
    case: Case,
    *,
    carrier: CarrierName = "binary",
    request_id: str = "",
    version: str | None = None,
    outputs: tuple[str, ...] = (),
    within_s: float = inf,
    caller_deadline: bool = False,
) -> InferenceRequest:
    """The case as it would come from the edge, its deadline counted from now."""
    wanted = tuple(RequestedOutput(name, binary=True) for name in outputs)
    message = RequestMessage(request_id, case.inputs, wanted, NO_PARAMETERS, binary_output=not outputs)
    body: RequestBody = CARRIERS[carrier](message)
    deadline = asyncio.get_running_loop().time() + within_s if within_s < inf else inf
    return InferenceRequest(
        case.model,
        body,
        _NoHeaders(),
        case.version if version is None else version,
        deadline=deadline,
        caller_deadline=caller_deadline,
    )
