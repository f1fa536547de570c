"""A model server that is not one: for tests of everything around a backend, and for trying Penstock without models.

It carries an oracle: every answer is a keyed function of model, version, id and input bytes, and `oracle` computes it
again. A wrong, stale or swapped answer is therefore seen, whatever its status. Faults are scripted, calls are recorded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from hashlib import shake_256
from math import inf
from typing import Final

import msgspec
import numpy as np

from penstock_adapters.adapter import EndpointSpec, IndexEntry
from penstock_adapters.protocol.body import ResponseBody
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import DeadlineExceeded, InvalidArgument, NotFound, PenstockError, Unavailable
from penstock_adapters.protocol.message import Json, ModelMetadata, ResponseMessage, Signature, Tensor, TensorMetadata
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_adapters.protocol.tensors import element_count, join_bytes

PLATFORM: Final = "penstock_fake"
CALLS_MAX: Final = 100_000
"""Calls that are remembered; older ones are forgotten."""
SIGNATURE: Final = Signature(
    inputs=(TensorMetadata("x", "FP32", (-1, -1)),), outputs=(TensorMetadata("y", "FP32", (-1, -1)),)
)
"""What a model takes and gives when nobody says otherwise."""


class Fault(msgspec.Struct, frozen=True):
    """What happens to one call: first the delay, then the error or the wrong answer, if any."""

    delay_s: float = 0.0
    """`inf` = it hangs until its deadline or its cancellation."""
    error: PenstockError | None = None
    wrong: bool = False
    """The answer is well-formed, and not the oracle's."""


class Call(msgspec.Struct, frozen=True):
    """One call of infer."""

    model_name: str
    model_version: str
    id: str
    deadline: float


def oracle(
    model: str, version: str, request_id: str, inputs: Sequence[Tensor], outputs: Sequence[TensorMetadata]
) -> tuple[Tensor, ...]:
    """The right answer. A variable dimension of an output is the first input's at that place, or 1."""
    state = shake_256(repr((model, version, request_id)).encode())
    for tensor in inputs:
        state.update(repr((tensor.name, tensor.datatype, tensor.shape, len(tensor.data))).encode())
        state.update(tensor.data)
    like = inputs[0].shape if inputs else ()
    return tuple(_tensor(meta, like, state.digest(8)) for meta in outputs)


def _tensor(meta: TensorMetadata, like: Sequence[int], seed: bytes) -> Tensor:
    shape = tuple(
        size if size >= 0 else (like[index] if index < len(like) else 1) for index, size in enumerate(meta.shape)
    )
    row = DATATYPES[meta.datatype]
    raw = np.frombuffer(shake_256(seed + meta.name.encode()).digest(element_count(shape)), np.uint8)
    if not row.size:
        return Tensor(meta.name, meta.datatype, shape, join_bytes(b"%d" % value for value in raw.tolist()))
    # Below 128 every numeric datatype holds the value exactly, and a BOOL is one of its two bytes.
    values = (raw & 1 if row.kind == "bool" else raw & 127).astype(row.dtype)
    return Tensor(meta.name, meta.datatype, shape, values.tobytes())


class FakeAdapter:
    """An Adapter with Repository and Statistics. `fault` happens to every call, `faults` to the next ones, one each."""

    def __init__(self, models: Mapping[tuple[str, str], Signature] | None = None) -> None:
        self.models: dict[tuple[str, str], Signature] = dict(models or {("echo", "1"): SIGNATURE})
        """(name, version) -> signature of what is loaded."""
        self.fault = Fault()
        self.faults: deque[Fault] = deque()
        self.not_ready: set[str] = set()
        """Names that are loaded but not ready; "" is the server."""
        self.load_error: PenstockError | None = None
        self.calls: deque[Call] = deque(maxlen=CALLS_MAX)
        self.in_flight = 0
        self.cancelled = 0
        self.closed = False
        self._counts: dict[tuple[str, str], list[int]] = {}  # [succeeded, failed, inferences, ns]

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        message = request.body.message
        self.calls.append(Call(request.model_name, request.model_version, message.id, request.deadline))
        fault = self.faults.popleft() if self.faults else self.fault
        try:
            version, signature = self._find(request.model_name, request.model_version)
        except NotFound:
            raise Unavailable("model_not_ready", model=request.model_name) from None
        counts = self._counts.setdefault((request.model_name, version), [0, 0, 0, 0])
        started = asyncio.get_running_loop().time()
        self.in_flight += 1
        try:
            await self._suffer(fault, request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        except PenstockError:
            counts[1] += 1
            raise
        finally:
            self.in_flight -= 1
        wanted = {meta.name: meta for meta in signature.outputs}
        if any(output.name not in wanted for output in message.outputs):
            raise InvalidArgument("backend_refused", model=request.model_name)
        metas = [wanted[output.name] for output in message.outputs] or signature.outputs
        name = request.model_name + ("?" if fault.wrong else "")
        outputs = oracle(name, version, message.id, message.inputs, metas)
        counts[0] += 1
        counts[2] += message.inputs[0].shape[0] if message.inputs and message.inputs[0].shape else 1
        counts[3] += int((asyncio.get_running_loop().time() - started) * 1e9)
        return InferenceResponse(ResponseBody(ResponseMessage(request.model_name, version, message.id, outputs)))

    async def _suffer(self, fault: Fault, request: InferenceRequest) -> None:
        if self.closed or "" in self.not_ready:
            raise Unavailable("backend_unreachable", model=request.model_name)
        if request.model_name in self.not_ready:
            raise Unavailable("model_not_ready", model=request.model_name)
        now = asyncio.get_running_loop().time()
        left = request.deadline - now
        if fault.delay_s > 0 or left <= 0:
            pause = min(fault.delay_s, max(left, 0.0))
            await (asyncio.sleep(pause) if pause < inf else asyncio.Event().wait())
            if fault.delay_s >= left:
                raise DeadlineExceeded("deadline_exceeded", timeout_ms=max(0, round(left * 1000)))
        if fault.error is not None:
            raise fault.error

    def _find(self, name: str, version: str) -> tuple[str, Signature]:
        """A loaded version; "" is the highest."""
        known = sorted((v for n, v in self.models if n == name), key=lambda v: (len(v), v))
        if not known:
            raise NotFound("model_not_found", model=name)
        found = version or known[-1]
        if found not in known:
            raise NotFound("version_not_found", model=name, version=version, known=", ".join(known))
        return found, self.models[name, found]

    async def metadata(self, name: str, version: str) -> ModelMetadata:
        found, signature = self._find(name, version)
        versions = (found,) if version else tuple(v for n, v in self.models if n == name)
        return ModelMetadata(name, versions, PLATFORM, signature.inputs, signature.outputs)

    async def ready(self, name: str = "", version: str = "") -> bool:
        if self.closed or "" in self.not_ready or name in self.not_ready:
            return False
        return not name or any(n == name and version in {"", v} for n, v in self.models)

    async def load(self, name: str, version: str, *, artifact: str = "", sha256: str = "") -> None:  # noqa: ARG002
        if self.load_error is not None:
            raise self.load_error
        self.models.setdefault((name, version or "1"), SIGNATURE)

    async def unload(self, name: str, version: str) -> None:
        for key in [key for key in self.models if key[0] == name and version in {"", key[1]}]:
            del self.models[key]

    async def index(self) -> Sequence[IndexEntry]:
        return [
            IndexEntry(name, version, "UNAVAILABLE" if name in self.not_ready else "READY")
            for name, version in sorted(self.models)
        ]

    async def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Json]]:
        wanted = [key for key in sorted(self.models) if name in {"", key[0]} and version in {"", key[1]}]
        return [_statistics(key, self._counts.get(key, [0, 0, 0, 0])) for key in wanted]

    async def aclose(self) -> None:
        self.closed = True


def _statistics(key: tuple[str, str], counts: Sequence[int]) -> Mapping[str, Json]:
    succeeded, failed, inferences, ns = counts
    spent, none = {"count": succeeded, "ns": ns}, {"count": 0, "ns": 0}
    return {
        "name": key[0],
        "version": key[1],
        "inference_count": inferences,
        "execution_count": succeeded,
        "inference_stats": {
            "success": spent,
            "fail": {"count": failed, "ns": 0},
            "queue": none,
            "compute_input": none,
            "compute_infer": spent,
            "compute_output": none,
            "cache_hit": none,
            "cache_miss": none,
        },
    }


def _models(text: str) -> Iterable[tuple[str, str]]:
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, version = word.partition("@")
        yield name, version or "1"


async def connect(spec: EndpointSpec) -> FakeAdapter:
    """Options: `models` ("name@version, name"; default "echo@1"), `delay_ms` (of every call)."""
    unknown = sorted(set(spec.options) - {"models", "delay_ms"})
    where = f"backend '{spec.name}'"
    if unknown:
        raise InvalidArgument("option_unknown", where=where, option=unknown[0], known="delay_ms, models")
    models = spec.options.get("models", "echo@1")
    delay = spec.options.get("delay_ms", 0)
    if not isinstance(models, str):
        raise InvalidArgument("option_range", where=where, option="models", expected="text")
    if not isinstance(delay, int | float) or delay < 0:
        raise InvalidArgument("option_range", where=where, option="delay_ms", expected="a number from 0 up")
    adapter = FakeAdapter(dict.fromkeys(_models(models), SIGNATURE))
    adapter.fault = Fault(delay_s=delay / 1000)
    return adapter
