"""The interface to model servers: one small protocol, and optional powers as protocols of their own.

A capability is a protocol that is implemented: callers ask `isinstance(adapter, Repository)` once, when a table is built.
An adapter serves one endpoint of one backend, owns its connections, and translates its server's errors in one place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from penstock_adapters.protocol.message import Json, ModelMetadata
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse

ModelState = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING", "UNKNOWN"]


class EndpointSpec(msgspec.Struct, frozen=True):
    """Where one server of a backend listens, and what it may hold. `name` is the backend's, for metrics and logs."""

    name: str
    platform: str
    url: str = ""
    """REST leg, http://host:port; "" for backends in this process."""
    grpc_url: str = ""
    """gRPC leg, host:port; "" if there is none."""
    connections_max: int = 64
    connect_timeout_s: float = 1.0
    options: Mapping[str, str | int | float | bool] = {}
    """Platform-specific settings, checked by the adapter (for onnxruntime: intra_op_threads, inter_op_threads, workers)."""


class IndexEntry(msgspec.Struct, frozen=True):
    """One row of a repository index (Triton's model_repository extension)."""

    name: str
    version: str
    state: ModelState
    reason: str = ""


@runtime_checkable
class Adapter(Protocol):
    """One endpoint. Every method raises PenstockError subclasses only.

    `infer` gets `request.model_name`/`model_version` as the backend knows them and answers under the same names; it
    honours `request.deadline` (absolute, loop clock) and stops the backend's work when it is cancelled, where the
    backend can be stopped. Raises Unavailable (unreachable, refused, reset: nothing was answered; or the backend lacks
    the model, which to the caller is not ready: policy 6.2), BadBackendAnswer (answered with garbage), DeadlineExceeded,
    InvalidArgument (the backend refused the request), Internal (the model failed). Asking about a model that the backend
    lacks (metadata, config, statistics) raises NotFound.
    """

    async def infer(self, request: InferenceRequest) -> InferenceResponse: ...

    async def metadata(self, name: str, version: str) -> ModelMetadata: ...

    async def ready(self, name: str = "", version: str = "") -> bool:
        """Is the model (or, for name "", the server) ready? Unreachable is False, not an error."""
        ...

    async def aclose(self) -> None:
        """Close every connection and end every task. May be called twice."""
        ...


@runtime_checkable
class Repository(Protocol):
    """The power to load and unload models."""

    async def load(self, name: str, version: str, *, artifact: str = "", sha256: str = "") -> None:
        """Return when the model is ready. `artifact` is a local path where the server needs one."""
        ...

    async def unload(self, name: str, version: str) -> None:
        """Return when the model takes no new calls; calls in flight end first."""
        ...

    async def index(self) -> Sequence[IndexEntry]: ...


@runtime_checkable
class Configured(Protocol):
    """The power to tell a model's configuration, as Triton's ModelConfig in JSON form."""

    async def config(self, name: str, version: str) -> Mapping[str, Json]: ...


@runtime_checkable
class Statistics(Protocol):
    """The power to tell a model's statistics, as Triton's `model_stats` entries in JSON form."""

    async def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Json]]: ...


Connect = Callable[[EndpointSpec], Awaitable[Adapter]]
"""Makes an adapter for an endpoint. It does not wait for the server to be up."""
