"""Inference requests, made where a test needs them."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.message import (
    NO_PARAMETERS,
    Parameters,
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Tensor,
)
from penstock_adapters.protocol.request import InferenceRequest
from penstock_adapters.protocol.tensors import from_array, to_array


class NoHeaders:
    """Satisfies protocol.request.Headers."""

    def get(self, name: str, default: str = "", /) -> str:  # noqa: ARG002  (the protocol's signature)
        return default


def request(
    model: str,
    *inputs: Tensor,
    version: str = "",
    id: str = "",  # noqa: A002  (the protocol's word)
    outputs: tuple[str, ...] = (),
    parameters: Parameters = NO_PARAMETERS,
    within_s: float = inf,
    caller_deadline: bool = False,
) -> InferenceRequest:
    """A request for a model, its deadline counted from now."""
    message = RequestMessage(id, inputs, tuple(map(RequestedOutput, outputs)), parameters)
    deadline = asyncio.get_running_loop().time() + within_s if within_s < inf else inf
    return InferenceRequest(
        model, RequestBody(message=message), NoHeaders(), version, deadline=deadline, caller_deadline=caller_deadline
    )


def fp32(name: str, values: Any) -> Tensor:
    return from_array(name, np.array(values, np.float32))


def arrays(message: ResponseMessage) -> dict[str, NDArray[Any]]:
    """The outputs by name."""
    return {tensor.name: to_array(tensor) for tensor in message.outputs}
