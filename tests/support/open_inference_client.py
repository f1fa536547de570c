"""Asks Penstock with the clients generated from the protocol's files and prints what they made of it, as JSON.

argv: HTTP_PORT GRPC_PORT IMAGES.json, a list of rows of 64 numbers. Runs in an environment where nothing of this project is
installed.
"""

from __future__ import annotations

# mypy: ignore-errors
import asyncio
import json
import sys
from pathlib import Path

import grpc
from open_inference.grpc.protocol import (
    ModelInferRequest,
    ModelMetadataRequest,
    ModelReadyRequest,
    ServerLiveRequest,
    ServerMetadataRequest,
    ServerReadyRequest,
)
from open_inference.grpc.service import GRPCInferenceServiceStub
from open_inference.openapi.client import AsyncOpenInferenceClient, OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors import BadRequestError, NotFoundError
from open_inference.openapi.types import InferenceRequest


def request(rows):  # noqa: ANN001, ANN201
    """The request as the package's page shows it: nested data."""
    tensor = {"name": "image", "shape": [len(rows), 64], "datatype": "FP32", "data": rows}
    return InferenceRequest(id="generated", inputs=[tensor])


def told(answer) -> dict:  # noqa: ANN001
    outputs = {output.name: json.loads(output.json())["data"] for output in answer.outputs}
    return {"id": answer.id, "model": answer.model_name, "version": answer.model_version, "outputs": outputs}


def over_rest(base: str, rows: list) -> dict:
    client = OpenInferenceClient(base_url=base)
    client.check_server_liveness()  # each raises if it is not
    client.check_server_readiness()
    client.check_model_readiness("digits")
    client.check_model_version_readiness("digits", "2")
    server, model = client.read_server_metadata(), client.read_model_metadata("digits")
    version = client.read_model_version_metadata("digits", "2")
    return {
        "server": server.name,
        "versions": [model.versions, version.versions],
        "inputs": [[tensor.name, tensor.datatype, tensor.shape] for tensor in model.inputs],
        "digits": told(client.model_infer("digits", request=request(rows))),
        "digits-triton": told(client.model_infer("digits-triton", request=request(rows))),
        "digits 2": told(client.model_version_infer("digits", "2", request=request(rows))),
        "unknown": refused(ApiError, lambda: client.model_infer("nobody", request=request(rows))),
        "not ready": refused(NotFoundError, lambda: client.check_model_readiness("nobody")),
        "wrong": refused(BadRequestError, lambda: client.model_infer("digits", request=request([[0.0] * 63]))),
    }


def refused(kind, call) -> str:  # noqa: ANN001
    """The words of the error that the package has for it."""
    try:
        call()
    except kind as error:
        return json.dumps(error.body, default=lambda found: found.dict())
    return ""


async def over_rest_aio(base: str, rows: list) -> dict:
    client = AsyncOpenInferenceClient(base_url=base)
    await client.check_server_readiness()
    return {"digits": told(await client.model_infer("digits", request=request(rows)))}


def over_grpc(port: str, rows: list) -> dict:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = GRPCInferenceServiceStub(channel)
        infer = ModelInferRequest(model_name="digits", id="generated")
        tensor = infer.inputs.add(name="image", datatype="FP32", shape=[len(rows), 64])
        tensor.contents.fp32_contents.extend(value for row in rows for value in row)
        answer = client.ModelInfer(infer)
        return {
            "live": client.ServerLive(ServerLiveRequest()).live,
            "ready": client.ServerReady(ServerReadyRequest()).ready,
            "model ready": client.ModelReady(ModelReadyRequest(name="digits", version="2")).ready,
            "server": client.ServerMetadata(ServerMetadataRequest()).name,
            "versions": list(client.ModelMetadata(ModelMetadataRequest(name="digits")).versions),
            "id": answer.id,
            "version": answer.model_version,
            "outputs": {o.name: r.hex() for o, r in zip(answer.outputs, answer.raw_output_contents, strict=True)},
        }


def main(http_port: str, grpc_port: str, images: str) -> None:
    rows, base = json.loads(Path(images).read_text()), f"http://127.0.0.1:{http_port}"
    aio = asyncio.run(over_rest_aio(base, rows))
    print(json.dumps({"rest": over_rest(base, rows), "rest.aio": aio, "grpc": over_grpc(grpc_port, rows)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
