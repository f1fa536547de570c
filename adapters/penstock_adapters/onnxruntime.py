"""ONNX Runtime in this process: one session a model version, run in threads; only proven short runs on the loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from penstock_adapters.adapter import EndpointSpec, IndexEntry, ModelState
from penstock_adapters.onnx_library import ort
from penstock_adapters.onnx_session import NATIVE_FAULTS, OnnxSession, Threads, read_model, translate
from penstock_adapters.protocol.body import ResponseBody
from penstock_adapters.protocol.errors import InvalidArgument, NotFound, PenstockError, Unavailable
from penstock_adapters.protocol.message import Json, ModelMetadata, RequestMessage, ResponseMessage, Signature, Tensor
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_adapters.run_pace import RunPace
from penstock_adapters.worker_pool import WorkerPool

PLATFORM: Final = "onnxruntime_onnx"
OPTION_MAX: Final = {"intra_op_threads": 256, "inter_op_threads": 256, "workers": 256, "queue_max": 1_000_000}
"""Options of an endpoint; each is a whole number from 1 to this."""


class Options(msgspec.Struct, frozen=True):
    """Settings. `workers` = runs at the same time; `queue_max` = requests that may wait for one."""

    intra_op_threads: int = 1
    inter_op_threads: int = 1
    workers: int = 1
    queue_max: int = 1024


def read_options(spec: EndpointSpec) -> Options:
    """The endpoint's options, checked. Raises InvalidArgument naming the option."""
    where = f"backend '{spec.name}'"
    for name, value in spec.options.items():
        highest = OPTION_MAX.get(name)
        if highest is None:
            raise InvalidArgument("option_unknown", where=where, option=name, known=", ".join(sorted(OPTION_MAX)))
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= highest:
            expected = f"a whole number from 1 to {highest}"
            raise InvalidArgument("option_range", where=where, option=name, expected=expected)
    return Options(**{"workers": os.cpu_count() or 1, **spec.options})  # type: ignore[arg-type]  # checked above


class _Loaded:
    """A version that serves, and what it has done."""

    __slots__ = ("counts", "idle", "in_flight", "last_ms", "pace", "session")

    def __init__(self, session: OnnxSession) -> None:
        self.session = session
        self.pace = RunPace()
        self.in_flight = 0
        self.idle = asyncio.Event()
        self.last_ms = 0
        self.counts = {"requests": 0, "failed": 0, "inferences": 0, "run_ns": 0, "total_ns": 0, "failed_ns": 0}


class OnnxRuntimeAdapter:
    """An Adapter with Repository, Configured and Statistics. Belongs to one event loop."""

    def __init__(self, options: Options) -> None:
        self._threads = Threads(options.intra_op_threads, options.inter_op_threads)
        self._pool = WorkerPool(
            workers=options.workers,
            queue_max=options.queue_max,
            name="penstock-onnxruntime",
            faults=NATIVE_FAULTS,
            translate=translate,
        )
        self._models: dict[str, dict[str, _Loaded]] = {}
        self._states: dict[tuple[str, str], tuple[ModelState, str]] = {}
        self._loading: dict[tuple[str, str], asyncio.Lock] = {}

    # -- Adapter --

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        name = request.model_name
        try:
            version, loaded = self._find(name, request.model_version)
        except NotFound:
            raise Unavailable("model_not_ready", model=name) from None
        message = request.body.message
        started = time.perf_counter_ns()
        loaded.in_flight += 1
        try:
            outputs, run_ns = await self._ran(loaded, message, request.deadline, name)
        except PenstockError:
            loaded.counts["failed"] += 1
            loaded.counts["failed_ns"] += time.perf_counter_ns() - started
            raise
        finally:
            loaded.in_flight -= 1
            if not loaded.in_flight:
                loaded.idle.set()
        counts = loaded.counts
        counts["requests"] += 1
        shape = message.inputs[0].shape if message.inputs else ()
        counts["inferences"] += shape[0] if shape else 1
        counts["run_ns"] += run_ns
        counts["total_ns"] += time.perf_counter_ns() - started
        loaded.last_ms = time.time_ns() // 1_000_000
        return InferenceResponse(ResponseBody(ResponseMessage(name, version, message.id, outputs)))

    async def _ran(
        self, loaded: _Loaded, message: RequestMessage, deadline: float, name: str
    ) -> tuple[tuple[Tensor, ...], int]:
        """The outputs and the nanoseconds of the run, which happens where it belongs: see `run_pace`."""
        wanted = [output.name for output in message.outputs]
        size = sum(len(tensor.data) for tensor in message.inputs)
        if loaded.pace.short(size):
            try:
                done = _run(loaded.session, message.inputs, wanted, None)
            except NATIVE_FAULTS as error:
                raise translate(error, name) from error
        else:
            run_options = ort.RunOptions()
            done = await self._pool.run(
                partial(_run, loaded.session, message.inputs, wanted, run_options),
                deadline=deadline,
                model=name,
                stop=partial(setattr, run_options, "terminate", True),
            )
        outputs, run_ns, cpu_ns = done
        loaded.pace.ran(size, cpu_ns)
        return outputs, run_ns

    async def metadata(self, name: str, version: str) -> ModelMetadata:
        found, loaded = self._find(name, version)
        versions = (found,) if version else tuple(sorted(self._models[name], key=_order))
        signature = loaded.session.signature
        return ModelMetadata(name, versions, PLATFORM, signature.inputs, signature.outputs)

    async def ready(self, name: str = "", version: str = "") -> bool:
        if not name:
            return True
        versions = self._models.get(name, {})
        return version in versions if version else bool(versions)

    async def aclose(self) -> None:
        await self._pool.aclose()
        self._models.clear()

    def signature(self, name: str, version: str) -> Signature:
        """What a loaded version takes and gives, as its file says. Raises NotFound."""
        return self._find(name, version)[1].session.signature

    # -- Repository --

    async def load(self, name: str, version: str, *, artifact: str = "", sha256: str = "") -> None:
        """Load a file as this version, in a thread. A version that serves is replaced once the new one is ready.

        Raises InvalidArgument: the file is missing, is not the one expected, or holds what v2 cannot carry.
        """
        key = (name, version or "1")
        if not artifact:
            raise InvalidArgument("model_unloadable", model=name, problem="no artifact is given")
        async with self._loading.setdefault(key, asyncio.Lock()):
            served = key[1] in self._models.get(name, {})
            if not served:
                self._states[key] = ("LOADING", "")
            try:
                session = await asyncio.to_thread(_load, Path(artifact), name, sha256, self._threads)
            except PenstockError as error:
                if not served:
                    self._states[key] = ("UNAVAILABLE", error.text)
                raise
            except asyncio.CancelledError:
                if not served:
                    self._states[key] = ("UNAVAILABLE", "the loading was cancelled")
                raise
            self._models.setdefault(name, {})[key[1]] = _Loaded(session)
            self._states[key] = ("READY", "")

    async def unload(self, name: str, version: str) -> None:
        versions = self._models.get(name, {})
        for found in [version] if version else list(versions):
            loaded = versions.pop(found, None)
            if not versions:
                self._models.pop(name, None)
            if loaded is None:
                continue
            self._states[name, found] = ("UNLOADING", "")
            while loaded.in_flight:
                loaded.idle.clear()
                await loaded.idle.wait()
            if found not in self._models.get(name, {}):  # it may have been loaded again meanwhile
                self._states[name, found] = ("UNAVAILABLE", "unloaded")

    async def index(self) -> Sequence[IndexEntry]:
        return [IndexEntry(*key, *state) for key, state in sorted(self._states.items())]

    # -- Configured, Statistics --

    async def config(self, name: str, version: str) -> Mapping[str, Json]:
        signature = self.signature(name, version)
        return {
            "name": name,
            "platform": PLATFORM,
            "backend": "onnxruntime",
            "max_batch_size": signature.max_batch_size,
            "version_policy": {"all": {}},
            "input": [_config_tensor(meta.name, meta.datatype, meta.shape) for meta in signature.inputs],
            "output": [_config_tensor(meta.name, meta.datatype, meta.shape) for meta in signature.outputs],
            "instance_group": [{"name": name, "kind": "KIND_CPU", "count": 1}],
            "model_transaction_policy": {"decoupled": False},
        }

    async def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Json]]:
        if name:
            self._find(name, version)
        return [
            _statistics(model, found, loaded)
            for model, versions in sorted(self._models.items())
            if name in {"", model}
            for found, loaded in sorted(versions.items(), key=lambda item: _order(item[0]))
            if version in {"", found}
        ]

    def _find(self, name: str, version: str) -> tuple[str, _Loaded]:
        """A loaded version; "" is the highest. Raises NotFound."""
        versions = self._models.get(name)
        if not versions:
            raise NotFound("model_not_found", model=name)
        if not version:
            version = max(versions, key=_order)
        loaded = versions.get(version)
        if loaded is None:
            known = ", ".join(sorted(versions, key=_order))
            raise NotFound("version_not_found", model=name, version=version, known=known)
        return version, loaded


def _run(
    session: OnnxSession, inputs: Sequence[Tensor], wanted: Sequence[str], options: ort.RunOptions | None
) -> tuple[tuple[Tensor, ...], int, int]:
    """The outputs, how long it took, and the CPU time of that: in a thread, most of a short run is waiting for the lock."""
    started, cpu = time.perf_counter_ns(), time.thread_time_ns()
    outputs = session.run(inputs, wanted, options)
    return outputs, time.perf_counter_ns() - started, time.thread_time_ns() - cpu


def _load(path: Path, name: str, sha256: str, threads: Threads) -> OnnxSession:
    return OnnxSession(read_model(path, name, sha256), name, threads, folder=path.absolute().parent)


def _order(version: str) -> tuple[bool, int, str]:
    """Numbers by value, above everything else."""
    return (True, int(version), "") if version.isdecimal() else (False, 0, version)


def _config_tensor(name: str, datatype: str, shape: Sequence[int]) -> Mapping[str, Json]:
    return {"name": name, "data_type": f"TYPE_{'STRING' if datatype == 'BYTES' else datatype}", "dims": list(shape)}


def _statistics(name: str, version: str, loaded: _Loaded) -> Mapping[str, Json]:
    counts = loaded.counts
    requests = counts["requests"]
    none = {"count": 0, "ns": 0}
    return {
        "name": name,
        "version": version,
        "last_inference": loaded.last_ms,
        "inference_count": counts["inferences"],
        "execution_count": requests,
        "inference_stats": {
            "success": {"count": requests, "ns": counts["total_ns"]},
            "fail": {"count": counts["failed"], "ns": counts["failed_ns"]},
            "queue": {"count": requests, "ns": counts["total_ns"] - counts["run_ns"]},
            "compute_input": none,
            "compute_infer": {"count": requests, "ns": counts["run_ns"]},
            "compute_output": none,
            "cache_hit": none,
            "cache_miss": none,
        },
    }


async def connect(spec: EndpointSpec) -> OnnxRuntimeAdapter:
    """An adapter without models: `load` brings them. Raises InvalidArgument for options it does not know."""
    return OnnxRuntimeAdapter(read_options(spec))
