"""Asks Penstock with KServe's own clients and prints what they made of it, as JSON. argv: HTTP_PORT GRPC_PORT IMAGES.npz

Runs in the environment of kserve_environment, where nothing of this project is installed.
"""

from __future__ import annotations

# mypy: ignore-errors
import asyncio
import json
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

MODELS = ("digits", "digits-live", "digits-triton", "intent")
SENTENCES = [["please reset my password"], ["Where is my parcel?"]]


def digits(model: str, batch: np.ndarray, *, binary: bool, outputs: bool, version: str | None = None) -> InferRequest:
    """A request as KServe's examples make it."""
    image = InferInput("image", list(batch.shape), "FP32")
    image.set_data_from_numpy(batch, binary_data=binary)
    wanted = [RequestedOutput(name, parameters={"binary_data": binary}) for name in ("label", "logits")]
    return InferRequest(
        model, [image], request_id="from-kserve", request_outputs=wanted if outputs else None, model_version=version
    )


def intent(*, binary: bool) -> InferRequest:
    text = InferInput("text", [2, 1], "BYTES")
    text.set_data_from_numpy(np.array(SENTENCES, dtype=object), binary_data=binary)
    return InferRequest("intent", [text], request_id="words")


def told(answer) -> dict:  # noqa: ANN001
    """An InferResponse as JSON; arrays as hex of their bytes, text as text."""
    outputs = {}
    for output in answer.outputs:
        array = output.as_numpy()
        words = (
            [w.decode() if isinstance(w, bytes) else str(w) for w in array.ravel()] if array.dtype == object else None
        )
        outputs[output.name] = words or array.tobytes().hex()
    return {"id": answer.id, "model": answer.model_name, "version": answer.model_version, "outputs": outputs}


async def over_rest(port: int, batch: np.ndarray) -> dict:
    base = f"http://127.0.0.1:{port}"
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        found = {
            "live": await client.is_server_live(base),
            "ready": await client.is_server_ready(base),
            "models": {name: await client.is_model_ready(base, name) for name in (*MODELS, "nobody")},
        }
        for form, binary, outputs in (("json", False, False), ("json-outputs", False, True), ("binary", True, True)):
            for model in ("digits", "digits-triton"):
                request = digits(model, batch, binary=binary, outputs=outputs)
                found[f"{model} {form}"] = told(await client.infer(base, request, model_name=model))
        found["intent json"] = told(await client.infer(base, intent(binary=False), model_name="intent"))
        found["intent binary"] = told(await client.infer(base, intent(binary=True), model_name="intent"))
        as_dict = {
            "inputs": [{"name": "image", "shape": list(batch.shape), "datatype": "FP32", "data": batch.tolist()}]
        }
        found["digits dict"] = told(await client.infer(base, as_dict, model_name="digits"))
        found["error"] = await refused(
            client.infer(base, digits("nobody", batch, binary=False, outputs=False), "nobody")
        )
    return found


async def over_grpc(port: int, batch: np.ndarray) -> dict:
    async with InferenceGRPCClient(f"127.0.0.1:{port}") as client:
        found = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "models": {name: await client.is_model_ready(name) for name in MODELS},
            "unknown": await refused(client.is_model_ready("nobody")),
        }
        for form, binary in (("typed", False), ("raw", True)):
            for model in ("digits", "digits-triton"):
                answer = await client.infer(digits(model, batch, binary=binary, outputs=False))
                found[f"{model} {form}"] = told(answer)
            found[f"intent {form}"] = told(await client.infer(intent(binary=binary)))
        found["version 2"] = told(await client.infer(digits("digits", batch, binary=True, outputs=True, version="2")))
        found["error"] = await refused(client.infer(digits("nobody", batch, binary=True, outputs=False)))
    return found


async def refused(call) -> str:  # noqa: ANN001
    """The text of the error a call must end with."""
    try:
        await call
    except (httpx.HTTPStatusError, grpc.RpcError) as error:
        return str(error)
    return ""


async def main(http_port: int, grpc_port: int, images: str) -> None:
    with np.load(images) as held_out:
        batch = held_out["images"][:5].astype(np.float32)
    print(json.dumps({"rest": await over_rest(http_port, batch), "grpc": await over_grpc(grpc_port, batch)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
