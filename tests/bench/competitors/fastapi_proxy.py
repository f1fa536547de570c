"""The proxy people write: FastAPI with a pydantic model in, one httpx.AsyncClient out, JSON back. argv: PORT UPSTREAM_URL."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx  # type: ignore[import-not-found,unused-ignore]  # lives in this script's own environment
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

PORT, UPSTREAM = int(sys.argv[1]), sys.argv[2]


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any]


class InferRequest(BaseModel):
    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[Tensor]
    outputs: list[dict[str, Any]] | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=UPSTREAM, timeout=60) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v2/models/{model}/infer")
async def infer(model: str, request: Request) -> Any:
    """JSON is validated by the model; a binary body is passed on as it is."""
    client: httpx.AsyncClient = request.app.state.client
    length = request.headers.get("inference-header-content-length")
    if length is None:
        body = InferRequest.model_validate(await request.json())
        answer = await client.post(f"/v2/models/{model}/infer", json=body.model_dump(exclude_none=True))
        return answer.json()
    headers = {"inference-header-content-length": length, "content-type": "application/octet-stream"}
    answer = await client.post(f"/v2/models/{model}/infer", content=await request.body(), headers=headers)
    kept = {name: answer.headers[name] for name in headers if name in answer.headers}
    return Response(answer.content, answer.status_code, kept)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
