"""Calls as HTTP/1.1 requests, ready to send, and answers back to values: REST JSON and REST with binary tensors."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import orjson

from tests.bench.calls import DTYPES, Answer, Call, Tensor

LENGTH_HEADER: Final = "Inference-Header-Content-Length"


def json_body(call: Call) -> bytes:
    """The request with its data as JSON numbers, written as Python's json module writes float32 lists."""
    inputs = [_header(tensor) | {"data": tensor.array.ravel().tolist()} for tensor in call.inputs]
    return orjson.dumps({"id": call.id, "inputs": inputs})


def binary_body(call: Call) -> tuple[bytes, bytes]:
    """The JSON part and the raw tensors behind it; every output is asked for in binary."""
    inputs = [_header(tensor) | {"parameters": {"binary_data_size": tensor.array.nbytes}} for tensor in call.inputs]
    document = {"id": call.id, "parameters": {"binary_data_output": True}, "inputs": inputs}
    return orjson.dumps(document), b"".join(tensor.array.tobytes() for tensor in call.inputs)


def http_request(call: Call, form: str, port: int) -> bytes:
    """The whole request in bytes. `form` is "json" or "binary"."""
    if form == "json":
        body, extra = json_body(call), "Content-Type: application/json\r\n"
    else:
        header, raw = binary_body(call)
        body = header + raw
        extra = f"Content-Type: application/octet-stream\r\n{LENGTH_HEADER}: {len(header)}\r\n"
    head = (
        f"POST /v2/models/{call.model}/infer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"{extra}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_answer(body: bytes, header_length: int | None) -> Answer:
    """The answer's values. Raises ValueError or KeyError on what is not a v2 answer."""
    view = memoryview(body)
    document = orjson.loads(view if header_length is None else view[:header_length])
    offset = header_length or 0
    outputs = []
    for output in document["outputs"]:
        dtype, shape = DTYPES[output["datatype"]], tuple(output["shape"])
        size = (output.get("parameters") or {}).get("binary_data_size")  # KServe sends null
        if size is None:
            array = np.array(output["data"], dtype).reshape(shape)
        else:
            array = np.frombuffer(view[offset : offset + size], dtype).reshape(shape)
            offset += size
        outputs.append(Tensor(output["name"], array))
    if header_length is not None and offset != len(body):
        raise ValueError(f"{len(body) - offset} bytes are left over")
    return Answer(document["model_name"], document.get("id") or "", tuple(outputs))


def write_answer(model: str, id_: str, outputs: tuple[Tensor, ...], *, binary: bool) -> tuple[bytes, list[memoryview]]:
    """The JSON part of an answer and its raw tensors (none unless `binary`)."""
    entries: list[dict[str, Any]] = []
    raw: list[memoryview] = []
    for tensor in outputs:
        if binary:
            entries.append(_header(tensor) | {"parameters": {"binary_data_size": tensor.array.nbytes}})
            raw.append(np.ascontiguousarray(tensor.array).data.cast("B"))
        else:
            entries.append(_header(tensor) | {"data": tensor.array.ravel().tolist()})
    document: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": entries}
    if id_:
        document["id"] = id_
    return orjson.dumps(document), raw


def _header(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.array.shape)}


def pack(tensor: dict[str, Any]) -> bytes:
    """The raw bytes of a tensor that came as JSON. Raises ValueError when there are too few or too many elements."""
    return np.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(tensor["shape"]).tobytes()
