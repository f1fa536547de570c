"""What the admin API stands on: the registry, the observed state of deployments and models, and how a resource is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from msgspec.structs import asdict

from penstock_registry.kinds import KINDS, Kind, Resource
from penstock_registry.registry import Registry
from penstock_registry.snapshot import Snapshot
from penstock_router.live import Standing

RegistryProvider = Callable[[], Awaitable[Registry]]
"""Gives the open registry. Raises Unavailable("store_unavailable") while it cannot be opened."""
Observed = Callable[[str], tuple[str, str]]
"""Deployment name -> (PENDING | LOADING | READY | FAILED | UNLOADING, reason)."""

PLURALS: Final[dict[str, Kind]] = {f"{kind.lower()}s": kind for kind in KINDS}
"""The collections of the API: models, routes, ..."""


class Serving(Protocol):
    """The part of the data plane the status shows."""

    @property
    def generation(self) -> int: ...

    @property
    def not_ready_reason(self) -> str: ...

    def standings(self, model: str) -> Sequence[Standing]: ...


class AdminState:
    """Shared by all routes of one admin API."""

    def __init__(
        self, registry: RegistryProvider, observed: Observed, serving: Serving, *, body_max_bytes: int = 64 << 20
    ) -> None:
        self.registry = registry
        self.observed = observed
        self.serving = serving
        self.body_max_bytes = body_max_bytes

    async def snapshot(self) -> Snapshot:
        """The newest snapshot; what did not change is not read again. Raises Unavailable."""
        return await (await self.registry()).snapshot()

    def shown(self, resource: Resource) -> dict[str, object]:
        """A resource as the API shows it: its manifest, its revision, and what was observed of a deployment or model."""
        document: dict[str, object] = {**resource.manifest(), "revision": resource.revision}
        if resource.kind == "Deployment":
            state, reason = self.observed(resource.metadata.name)
            document["status"] = {"state": state, "reason": reason}
        elif resource.kind == "Model":
            document["status"] = {"replicas": [asdict(s) for s in self.serving.standings(resource.metadata.name)]}
        return document
