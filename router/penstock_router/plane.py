"""What the REST and gRPC shells stand on. Every method answers from memory: no database, no backend call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Protocol

import msgspec

from penstock_adapters.adapter import IndexEntry
from penstock_adapters.protocol.message import Json, ModelMetadata, Signature
from penstock_router.service import Service


class Entry(msgspec.Struct, frozen=True):
    """What a name (and version) resolves to."""

    name: str
    """The name asked for: a route's or a model's."""
    version: str
    """The version asked for, aliases resolved; "" if the service decides."""
    service: Service
    signature: Signature | None = None
    """Known when every target has the same one; raw binary requests (protocol policy 3.2) need it."""
    timeout_s: float = inf


class DataPlane(Protocol):
    """The predict side of the platform. NotFound is raised by every method that takes a name."""

    @property
    def generation(self) -> int:
        """The snapshot being served."""
        ...

    @property
    def not_ready_reason(self) -> str:
        """A row of the reasons table ("not_loaded_yet", "draining", "model_not_ready"), or "" if the server is ready."""
        ...

    def resolve(self, name: str, version: str) -> Entry: ...

    def names(self) -> Sequence[str]:
        """Every name a caller can use, sorted."""
        ...

    def model_ready(self, name: str, version: str) -> bool: ...

    def metadata(self, name: str, version: str) -> ModelMetadata:
        """Raises Unavailable("model_not_ready") while the signature is not known."""
        ...

    def config(self, name: str, version: str) -> Mapping[str, Json]:
        """Triton's ModelConfig in JSON form, with what perf_analyzer reads (protocol.md sections 3.5 and 5)."""
        ...

    def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Json]]:
        """Triton's `model_stats` entries in JSON form; name "" = every model."""
        ...

    def index(self, *, ready_only: bool) -> Sequence[IndexEntry]: ...
