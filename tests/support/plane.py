"""A data plane in memory, over the fake backend with its oracle: what the shells need, without registry or router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from msgspec.structs import replace

from penstock_adapters.adapter import IndexEntry
from penstock_adapters.fake import FakeAdapter, oracle
from penstock_adapters.protocol.errors import NotFound, PenstockError, Unavailable
from penstock_adapters.protocol.message import ModelMetadata, RequestMessage, Signature, Tensor, TensorMetadata
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.plane import Entry

MODELS: Mapping[tuple[str, str], Signature] = {
    ("digits", "1"): Signature(
        inputs=(TensorMetadata("x", "FP32", (-1, 4)),), outputs=(TensorMetadata("y", "FP32", (-1, 3)),)
    ),
    ("digits", "2"): Signature(
        inputs=(TensorMetadata("x", "FP32", (-1, 4)),), outputs=(TensorMetadata("y", "FP32", (-1, 3)),)
    ),
    ("words", "1"): Signature(
        inputs=(TensorMetadata("text", "BYTES", (-1,)),), outputs=(TensorMetadata("label", "BYTES", (-1,)),)
    ),
    ("pair", "1"): Signature(
        inputs=(TensorMetadata("a", "INT64", (2,)), TensorMetadata("b", "BOOL", (2,))),
        outputs=(TensorMetadata("c", "INT64", (2,)),),
    ),
}


class MemoryPlane:
    """A DataPlane. `explode` makes the service raise what no adapter may raise; `degraded` marks every answer."""

    def __init__(self, models: Mapping[tuple[str, str], Signature] = MODELS) -> None:
        self.adapter = FakeAdapter(models)
        self.generation = 7
        self.not_ready_reason = ""
        self.timeout_s = inf
        self.degraded = ""
        self.explode: Exception | None = None
        self.requests: list[InferenceRequest] = []

    def _find(self, name: str, version: str) -> tuple[str, Signature]:
        known = sorted(v for n, v in self.adapter.models if n == name)
        if not known:
            raise NotFound("model_not_found", model=name)
        if version and version not in known:
            raise NotFound("version_not_found", model=name, version=version, known=", ".join(known))
        return version or known[-1], self.adapter.models[name, version or known[-1]]

    def resolve(self, name: str, version: str) -> Entry:
        found, signature = self._find(name, version)

        async def service(request: InferenceRequest) -> InferenceResponse:
            self.requests.append(request)
            request.body.check(signature)
            if self.explode is not None:
                raise self.explode
            try:
                response = await self.adapter.infer(replace(request, model_version=found))
            except PenstockError as error:
                error.served_by = f"{name}-{found}-fake"
                raise
            return InferenceResponse(response.body.renamed(name, found), f"{name}-{found}-fake", self.degraded)

        return Entry(name, version, service, signature, self.timeout_s)

    def names(self) -> Sequence[str]:
        return sorted({name for name, _ in self.adapter.models})

    def model_ready(self, name: str, version: str) -> bool:
        self._find(name, version)
        return name not in self.adapter.not_ready

    def metadata(self, name: str, version: str) -> ModelMetadata:
        _, signature = self._find(name, version)
        if name in self.adapter.not_ready:
            raise Unavailable("model_not_ready", model=name)
        versions = tuple(sorted(v for n, v in self.adapter.models if n == name and version in {"", v}))
        return ModelMetadata(name, versions, "penstock_fake", signature.inputs, signature.outputs)

    def config(self, name: str, version: str) -> Mapping[str, Any]:
        _, signature = self._find(name, version)
        return {
            "name": name,
            "platform": "penstock_fake",
            "max_batch_size": 0,
            "input": [
                {"name": t.name, "data_type": f"TYPE_{t.datatype}", "dims": list(t.shape)} for t in signature.inputs
            ],
            "output": [
                {"name": t.name, "data_type": f"TYPE_{t.datatype}", "dims": list(t.shape)} for t in signature.outputs
            ],
            "model_transaction_policy": {"decoupled": False},
        }

    def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Any]]:
        if name:
            self._find(name, version)
        none = {"count": 0, "ns": 0}
        words = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
        stats = dict.fromkeys((*words, "cache_hit", "cache_miss"), none)
        return [
            {"name": n, "version": v, "inference_count": 0, "execution_count": 0, "inference_stats": stats}
            for n, v in sorted(self.adapter.models)
            if name in {"", n} and version in {"", v}
        ]

    def index(self, *, ready_only: bool) -> Sequence[IndexEntry]:
        rows = [
            IndexEntry(n, v, "UNAVAILABLE", "not ready") if n in self.adapter.not_ready else IndexEntry(n, v, "READY")
            for n, v in sorted(self.adapter.models)
        ]
        return [row for row in rows if row.state == "READY" or not ready_only]

    def right_outputs(self, name: str, version: str, message: RequestMessage) -> tuple[Tensor, ...]:
        """What the oracle says the answer holds."""
        return oracle(name, version, message.id, message.inputs, self.adapter.models[name, version].outputs)


def labels_of(served_by: str) -> tuple[str, str, str]:
    """(model, version, backend) of a deployment of this plane."""
    model, version, backend = served_by.split("-")
    return model, version, backend
