"""Calls as serialized ModelInferRequest messages, and answers back to values.

tritonclient's stubs are used on purpose: the load side must not share its code with the product under test.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from tritonclient.grpc import service_pb2

from tests.bench.calls import DTYPES, Answer, Call, Tensor

INFER: Final = "/inference.GRPCInferenceService/ModelInfer"


def encode_call(call: Call) -> bytes:
    """The request with raw contents, as tritonclient sends it."""
    request = service_pb2.ModelInferRequest(model_name=call.model, id=call.id)
    for tensor in call.inputs:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        request.raw_input_contents.append(tensor.array.tobytes())
    return bytes(request.SerializeToString())


def read_answer(data: bytes) -> Answer:
    """The answer's values, raw or typed. Raises ValueError or KeyError on what is not one."""
    response = service_pb2.ModelInferResponse.FromString(data)
    outputs = []
    for index, output in enumerate(response.outputs):
        dtype, shape = DTYPES[output.datatype], tuple(output.shape)
        if response.raw_output_contents:
            array = np.frombuffer(response.raw_output_contents[index], dtype).reshape(shape)
        else:
            array = np.array(_typed(output), dtype).reshape(shape)
        outputs.append(Tensor(output.name, array))
    return Answer(response.model_name, response.id, tuple(outputs))


def write_answer(model: str, id_: str, outputs: tuple[Tensor, ...]) -> bytes:
    """A ModelInferResponse with raw contents."""
    response = service_pb2.ModelInferResponse(model_name=model, model_version="1", id=id_)
    for tensor in outputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        response.raw_output_contents.append(tensor.array.tobytes())
    return bytes(response.SerializeToString())


def _typed(output: Any) -> Any:
    return output.contents.fp32_contents if output.datatype == "FP32" else output.contents.int64_contents


def pack(tensor: Any) -> bytes:
    """The raw bytes of an input tensor that came with typed contents."""
    return np.array(_typed(tensor), DTYPES[tensor.datatype]).tobytes()
