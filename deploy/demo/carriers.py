"""The three ways a request can travel, written out with nothing but the standard library, numpy and grpc.

Every carrier asks the same thing and gives back the same thing: arrays by output name, and who served them.
"""

from __future__ import annotations

import http.client
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from penstock_adapters.protocol.messages import SERVICE_NAME, message_class

Array = npt.NDArray[Any]
DATATYPES: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
TIMEOUT_S = 20


@dataclass(frozen=True)
class Question:
    """One inference: a model's (or route's) name, its one input, and who asks."""

    name: str
    tensor: str
    data: Array
    version: str = ""
    user: str = ""

    @property
    def datatype(self) -> str:
        return "BYTES" if self.data.dtype == object else "FP32"

    @property
    def path(self) -> str:
        return f"/v2/models/{self.name}" + (f"/versions/{self.version}" if self.version else "") + "/infer"

    @property
    def headers(self) -> dict[str, str]:
        return {"x-user": self.user} if self.user else {}


@dataclass(frozen=True)
class Answer:
    """What came back. `served_by` names the deployment, `version` the model version that answered."""

    outputs: Mapping[str, Array]
    served_by: str
    version: str


class RefusedError(Exception):
    """The server said no; the text is the server's."""


def pack(data: Array) -> bytes:
    """A tensor's raw bytes: little-endian numbers, or for BYTES a length before every element."""
    if data.dtype == object:
        return b"".join(struct.pack("<I", len(item)) + item for item in data.ravel())
    return data.astype("<f4").tobytes()


def unpack(datatype: str, shape: Sequence[int], raw: bytes) -> Array:
    """The reverse of `pack`."""
    if datatype != "BYTES":
        return np.frombuffer(raw, DATATYPES[datatype]).reshape(shape)
    items, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        items.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return np.array(items, dtype=object).reshape(shape)


@dataclass
class Rest:
    """One kept-alive HTTP connection, for the two REST forms."""

    port: int
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)

    def json(self, question: Question) -> Answer:
        """Numbers and words as JSON, both ways."""
        data = question.data.ravel().tolist()
        entry = {
            "name": question.tensor,
            "shape": list(question.data.shape),
            "datatype": question.datatype,
            "data": [item.decode() for item in data] if question.datatype == "BYTES" else data,
        }
        body = json.dumps({"inputs": [entry]}).encode()
        return self._answer(question, body, {"content-type": "application/json"})

    def binary(self, question: Question) -> Answer:
        """A JSON part that describes the tensors, then the tensors as they lie in memory, both ways."""
        raw = pack(question.data)
        entry = {
            "name": question.tensor,
            "shape": list(question.data.shape),
            "datatype": question.datatype,
            "parameters": {"binary_data_size": len(raw)},
        }
        head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
        return self._answer(question, head + raw, headers)

    def _answer(self, question: Question, body: bytes, headers: dict[str, str]) -> Answer:
        self.connection.request("POST", question.path, body, {**headers, **question.headers})
        response = self.connection.getresponse()
        payload = response.read()
        length = int(response.headers.get("inference-header-content-length") or len(payload))
        message = json.loads(payload[:length])
        if response.status != 200:
            raise RefusedError(f"HTTP {response.status}: {message.get('error', message)}")
        outputs, at = {}, length
        for output in message["outputs"]:
            shape, datatype = output["shape"], output["datatype"]
            size = output.get("parameters", {}).get("binary_data_size")
            if size is not None:
                outputs[output["name"]] = unpack(datatype, shape, payload[at : at + size])
                at += size
            elif datatype == "BYTES":
                outputs[output["name"]] = np.array([item.encode() for item in output["data"]], dtype=object).reshape(
                    shape
                )
            else:
                outputs[output["name"]] = np.array(output["data"], DATATYPES[datatype]).reshape(shape)
        return Answer(outputs, response.headers.get("penstock-served-by", ""), message.get("model_version", ""))

    def close(self) -> None:
        self.connection.close()


@dataclass
class Grpc:
    """One channel. Any v2 stub would do; these messages are the project's own."""

    port: int
    channel: grpc.Channel = field(init=False)
    call: grpc.UnaryUnaryMultiCallable = field(init=False)

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.call = self.channel.unary_unary(
            f"/{SERVICE_NAME}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_class("inference.ModelInferResponse").FromString,
        )

    def infer(self, question: Question) -> Answer:
        """The tensor's bytes in a protobuf message, both ways."""
        request = message_class("inference.ModelInferRequest")(
            model_name=question.name, model_version=question.version, raw_input_contents=[pack(question.data)]
        )
        request.inputs.add(name=question.tensor, datatype=question.datatype, shape=question.data.shape)
        try:
            response, call = self.call.with_call(
                request, metadata=list(question.headers.items()), timeout=TIMEOUT_S, wait_for_ready=True
            )
        except grpc.RpcError as error:
            raise RefusedError(f"gRPC {error.code().name}: {error.details()}") from error
        outputs = {
            output.name: unpack(output.datatype, output.shape, raw)
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        said = {**dict(call.initial_metadata() or ()), **dict(call.trailing_metadata() or ())}
        return Answer(outputs, str(said.get("penstock-served-by", "")), response.model_version)

    def close(self) -> None:
        self.channel.close()
