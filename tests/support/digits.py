"""The digits of deploy/examples: 450 images no training has seen, and the bits the model must answer with.

What is expected is computed here, by ONNX Runtime in this process and one thread a session, from the file that the
manifests name. An answer is right only if label and logits have exactly these bits.
"""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from penstock_adapters.protocol.messages import ModelInferRequest, ModelInferResponse

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "deploy" / "examples"
LENGTH: Final = "inference-header-content-length"

Array = NDArray[Any]


class Answered(NamedTuple):
    """What one request must be answered with, as raw little-endian bytes."""

    label: bytes
    logits: bytes


@lru_cache(maxsize=1)
def images() -> Array:
    """FP32 [450, 64]."""
    with np.load(EXAMPLES / "models" / "digits-test.npz") as held_out:
        return np.ascontiguousarray(held_out["images"], "<f4")


@lru_cache(maxsize=1)
def labels() -> Array:
    """INT64 [450]: what the images show."""
    with np.load(EXAMPLES / "models" / "digits-test.npz") as held_out:
        return np.ascontiguousarray(held_out["labels"], "<i8")


@lru_cache(maxsize=4)
def _session(version: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(EXAMPLES / "models" / f"digits-v{version}.onnx")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def truth(batch: Array, version: str = "1") -> Answered:
    """What the model makes of a batch [n, 64]. Rows computed in other company may differ in their last bits."""
    label, logits = _session(version).run(["label", "logits"], {"image": batch})
    return Answered(label.astype("<i8").tobytes(), logits.astype("<f4").tobytes())


@lru_cache(maxsize=4)
def truths(version: str = "1") -> tuple[Answered, ...]:
    """The answer to each image asked for on its own."""
    return tuple(truth(images()[n : n + 1], version) for n in range(len(images())))


def json_body(batch: Array, request_id: str = "") -> bytes:
    """The request as JSON throughout."""
    entry = {"name": "image", "shape": list(batch.shape), "datatype": "FP32", "data": batch.ravel().tolist()}
    return json.dumps({"inputs": [entry]} | ({"id": request_id} if request_id else {})).encode()


def binary_body(batch: Array) -> tuple[bytes, int]:
    """The request with the binary extension both ways: the body, and the length of its JSON part."""
    raw = batch.astype("<f4").tobytes()
    parameters = {"binary_data_size": len(raw)}
    entry = {"name": "image", "shape": list(batch.shape), "datatype": "FP32", "parameters": parameters}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    return head + raw, len(head)


def grpc_body(model: str, batch: Array, version: str = "") -> Any:
    """The request as a ModelInferRequest with raw contents."""
    request = ModelInferRequest(model_name=model, model_version=version, raw_input_contents=[batch.tobytes()])
    request.inputs.add(name="image", datatype="FP32", shape=batch.shape)
    return request


def from_json(body: bytes) -> Answered:
    """What a JSON answer says. Floats are written as the shortest text that reads back to the same FP32."""
    outputs = {output["name"]: output["data"] for output in json.loads(body)["outputs"]}
    label = struct.pack(f"<{len(outputs['label'])}q", *outputs["label"])
    return Answered(label, np.array(outputs["logits"], "<f4").tobytes())


def from_binary(body: bytes, header_length: int) -> Answered:
    """What an answer with binary outputs says."""
    found, at = {}, header_length
    for output in json.loads(body[:header_length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        found[output["name"]] = body[at : at + size]
        at += size
    assert at == len(body)
    return Answered(found["label"], found["logits"])


def from_grpc(message: Any) -> Answered:
    """What a ModelInferResponse says."""
    assert isinstance(message, ModelInferResponse)
    raw = dict(zip((output.name for output in message.outputs), message.raw_output_contents, strict=True))
    return Answered(raw["label"], raw["logits"])
