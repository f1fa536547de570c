"""A fake v2 server fast enough to disappear: httptools on a bare asyncio.Protocol, answering with the oracle.

It speaks what a gateway asks of a Triton: health, metadata, config, index, statistics, infer as JSON and as binary
tensors; and ModelInfer over gRPC for the gRPC runs. Every model name exists.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from functools import partial
from typing import Any, Final, cast

import httptools
import orjson
import uvloop

from tests.bench import rest_wire
from tests.bench.calls import DOWNLOAD, LOGITS, UPLOAD, oracle
from tests.bench.grpc_upstream import start_grpc

MODEL_PATH: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/[^/]+)?(?:/(\w+))?$")
EXTENSIONS: Final = ["model_repository", "binary_tensor_data", "statistics", "model_configuration"]
NEW_MODELS: Final = 100
"""n0, n1, ...: listed from the beginning, for a gateway to be told of later."""
_TYPES: Final = {"FP32": "TYPE_FP32", "INT64": "TYPE_INT64"}
_HEADER: Final = rest_wire.LENGTH_HEADER.lower().encode()


def signature(model: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs of a model as its metadata tells them."""
    if model.startswith(UPLOAD):
        return [_tensor("blob", "FP32", [-1])], [_tensor("check", "INT64", [1])]
    if model.startswith(DOWNLOAD):
        return [_tensor("count", "INT64", [1])], [_tensor("blob", "FP32", [-1])]
    return [_tensor("image", "FP32", [-1, 64])], [
        _tensor("logits", "FP32", [-1, LOGITS]),
        _tensor("check", "INT64", [1]),
    ]


def index(many: int) -> bytes:
    """The repository index: the three models of the runs, `many` m0, m1, ..., and some to come."""
    names = ["digits", UPLOAD, DOWNLOAD, *(f"n{n}" for n in range(NEW_MODELS)), *(f"m{n}" for n in range(many))]
    return orjson.dumps([{"name": name, "version": "1", "state": "READY"} for name in names])


def management(method: str, path: str) -> tuple[int, object]:
    """Status and JSON of everything but infer."""
    if path in {"/v2/health/live", "/v2/health/ready"}:
        return 200, {}
    if path == "/v2":
        return 200, {"name": "triton", "version": "2.51.0", "extensions": EXTENSIONS}
    found = MODEL_PATH.match(path)
    if found is None:
        loads = method == "POST" and path.startswith("/v2/repository/models/")
        return (200, {}) if loads else (404, {"error": "Not Found"})
    return _model(found[1], found[2])


def _model(name: str, what: str | None) -> tuple[int, object]:
    inputs, outputs = signature(name)
    match what:
        case "ready":
            return 200, {}
        case "config":
            return 200, {
                "name": name,
                "platform": "onnxruntime_onnx",
                "max_batch_size": 0,
                "input": [_config(tensor) for tensor in inputs],
                "output": [_config(tensor) for tensor in outputs],
            }
        case "stats":
            return 200, {"model_stats": [{"name": name, "version": "1", "inference_count": 0, "execution_count": 0}]}
        case None:
            return 200, {
                "name": name,
                "versions": ["1"],
                "platform": "onnxruntime_onnx",
                "inputs": inputs,
                "outputs": outputs,
            }
        case _:
            return 404, {"error": "Not Found"}


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _config(tensor: dict[str, Any]) -> dict[str, Any]:
    return {"name": tensor["name"], "data_type": _TYPES[tensor["datatype"]], "dims": tensor["shape"]}


def infer(model: str, body: list[bytes], header_length: int | None) -> tuple[bytes, list[memoryview]]:
    """JSON part and raw tensors of the oracle's answer, in binary if the request asked for it anywhere."""
    if header_length is None:
        document = orjson.loads(body[0] if len(body) == 1 else b"".join(body))
        (tensor,) = document["inputs"]
        raw: list[bytes | memoryview] = [rest_wire.pack(tensor)]
        return rest_wire.write_answer(model, document.get("id", ""), oracle(model, raw), binary=_asks_binary(document))
    while len(body[0]) < header_length:
        body[:2] = [body[0] + body[1]]
    first = memoryview(body[0])
    document = orjson.loads(first[:header_length])
    return rest_wire.write_answer(
        model,
        document.get("id", ""),
        oracle(model, [first[header_length:], *body[1:]]),
        binary=_asks_binary(document),
    )


def _asks_binary(document: dict[str, Any]) -> bool:
    if document.get("parameters", {}).get("binary_data_output"):
        return True
    return any(output.get("parameters", {}).get("binary_data") for output in document.get("outputs", ()))


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, listing: bytes = b"[]") -> None:
        self._listing = listing
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._path = ""
        self._header_length: int | None = None
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._header_length, self._body, self._path = None, [], ""

    def on_url(self, url: bytes) -> None:
        self._path += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == _HEADER:
            self._header_length = int(value)
        elif name.lower() == b"expect":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        path = self._path.partition("?")[0]
        if path == "/v2/repository/index":
            self._send(200, self._listing, [])
            return
        if not path.endswith("/infer"):
            status, document = management(self._parser.get_method().decode(), path)
            self._send(status, orjson.dumps(document), [])
            return
        found = MODEL_PATH.match(path)
        assert found is not None
        try:
            document_bytes, raw = infer(found[1], self._body, self._header_length)
        except (ValueError, KeyError, IndexError) as error:
            self._send(400, orjson.dumps({"error": repr(error)}), [])
            return
        self._send(200, document_bytes, raw)

    def _send(self, status: int, document: bytes, raw: list[memoryview]) -> None:
        length = len(document) + sum(map(len, raw))
        kind = f"application/octet-stream\r\n{rest_wire.LENGTH_HEADER}: {len(document)}" if raw else "application/json"
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
        if length < 65536:
            self._transport.write(b"".join((head, document, *raw)))
            return
        self._transport.write(head + document)
        for part in raw:
            self._transport.write(part)


async def serve(http_port: int, grpc_port: int, models: int) -> None:
    """Serve on loopback until cancelled."""
    make = partial(Connection, index(models))
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", http_port, backlog=1024)
    grpc_server = await start_grpc(grpc_port) if grpc_port else None
    try:
        await server.serve_forever()
    finally:
        if grpc_server is not None:
            await grpc_server.stop(None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, default=0)
    parser.add_argument("--models", type=int, default=0, help="so many names m0, m1, ... are in the index")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.http_port, arguments.grpc_port, arguments.models))
