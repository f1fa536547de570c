"""The data plane that serves: the current table over the fleet, swapped in one assignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from penstock_adapters.adapter import IndexEntry, ModelState
from penstock_adapters.protocol.errors import NotFound, Unavailable
from penstock_adapters.protocol.message import Json, ModelMetadata, Signature
from penstock_router.describe import model_config, model_statistics, platform_name
from penstock_router.entries import EntryMaker
from penstock_router.fleet import Fleet
from penstock_router.plan import Replica, VersionPlan, is_placed, version_order
from penstock_router.plane import Entry
from penstock_router.stats import StatsBook
from penstock_router.table import RoutingTable, default_versions

ReadyPolicy = Literal["required", "all", "none"]
"""Which models must be ready before the server is."""
INDEX_STATES: dict[str, ModelState] = {
    "PENDING": "UNKNOWN",
    "LOADING": "LOADING",
    "READY": "READY",
    "FAILED": "UNAVAILABLE",
    "UNLOADING": "UNLOADING",
}


class Standing(msgspec.Struct, frozen=True):
    """One place a model version runs in, as this process sees it. `placed`: by a Placement, not by a Deployment."""

    deployment: str
    version: str
    backend: str
    placed: bool
    state: str
    reason: str


class LivePlane:
    """A DataPlane (see plane.py). Until a table is given it knows no model and is not ready."""

    def __init__(
        self, fleet: Fleet, maker: EntryMaker, stats: StatsBook, *, ready_policy: ReadyPolicy = "required"
    ) -> None:
        self._fleet = fleet
        self._maker = maker
        self._stats = stats
        self._ready_policy = ready_policy
        self._table: RoutingTable | None = None
        self.draining = False

    @property
    def table(self) -> RoutingTable | None:
        return self._table

    def swap(self, table: RoutingTable) -> None:
        """Serve from `table` from now on; requests that began keep the entry they resolved."""
        self._table = table

    @property
    def generation(self) -> int:
        return self._table.generation if self._table else 0

    @property
    def not_ready_reason(self) -> str:
        if self.draining:
            return "draining"
        table = self._table
        if table is None:
            return "not_loaded_yet"
        if self._ready_policy == "none":
            return ""
        for plan in table.plans.models.values():
            if (plan.required or self._ready_policy == "all") and not any(
                self._ready(v) for v in default_versions(plan)
            ):
                return "required_not_ready"
        return ""

    def resolve(self, name: str, version: str) -> Entry:
        return self._current().resolve(name, version)

    def names(self) -> Sequence[str]:
        return self._current().names()

    def model_ready(self, name: str, version: str) -> bool:
        route = self._current().plans.routes.get(name)
        if route is None or version:
            return any(self._ready(plan) for plan in self._plans(name, version))
        # A share of a route's traffic that would fail makes the route not ready.
        weighted = [(t.model, t.ref) for t in route.targets if t.weight]
        return all(any(self._ready(plan) for plan in self._plans_of(*target)) for target in weighted)

    def metadata(self, name: str, version: str) -> ModelMetadata:
        signature, plan = self._described(name, version)
        versions = [plan.version] if version else [p.version for p in self._plans(name, "", every=True)]
        unique = sorted(set(versions), key=version_order)
        return ModelMetadata(name, tuple(unique), self._platform(plan), signature.inputs, signature.outputs)

    def config(self, name: str, version: str) -> Mapping[str, Json]:
        signature, plan = self._described(name, version)
        return model_config(name, self._platform(plan), [plan.version], signature)

    def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Json]]:
        if name:
            plans = self._plans(name, version, every=not version)
        else:
            plans = [v for m in self._current().plans.models.values() for v in m.versions.values()]
        rows = sorted(plans, key=lambda p: (p.model, version_order(p.version)))
        return [model_statistics(name or p.model, p.version, self._stats.of(p.model, p.version)) for p in rows]

    def standings(self, model: str) -> Sequence[Standing]:
        """Where each version of a model runs, the highest version first; nothing for a model the table does not have."""
        plan = self._table.plans.models.get(model) if self._table else None
        replicas = [replica for version in plan.versions.values() for replica in version.replicas] if plan else []
        return [self._standing(replica) for replica in replicas]

    def _standing(self, replica: Replica) -> Standing:
        state, reason = self._fleet.observed(replica.deployment) or ("PENDING", "not checked yet")
        return Standing(replica.deployment, replica.version, replica.backend, is_placed(replica), state, reason)

    def index(self, *, ready_only: bool) -> Sequence[IndexEntry]:
        return [entry for entry in self._index() if entry.state == "READY" or not ready_only]

    def _index(self) -> Iterator[IndexEntry]:
        models = self._current().plans.models
        for name in sorted(models):
            for plan in sorted(models[name].versions.values(), key=lambda p: version_order(p.version)):
                if self._ready(plan):
                    yield IndexEntry(name, plan.version, "READY")
                elif not plan.replicas:
                    yield IndexEntry(name, plan.version, "UNAVAILABLE", "not deployed")
                else:
                    known = self._fleet.deployed(plan.replicas[0].deployment)
                    state = INDEX_STATES[known.state] if known else "UNKNOWN"
                    yield IndexEntry(name, plan.version, state, "" if state == "LOADING" else "not ready")

    def _current(self) -> RoutingTable:
        if self._table is None:
            raise Unavailable("not_loaded_yet")
        return self._table

    def _ready(self, plan: VersionPlan) -> bool:
        return any(self._fleet.is_ready(replica) for replica in plan.replicas)

    def _plans(self, name: str, version: str, *, every: bool = False) -> list[VersionPlan]:
        """The versions a name stands for: a route's targets, or a model's default (`every`: all of its versions)."""
        table = self._current()
        route = table.plans.routes.get(name)
        if route is None:
            if version:
                return [table.version(name, version)]
            model = table.model(name)
            return list(model.versions.values() if every else default_versions(model))
        if version:
            models = {name} if name in table.plans.models else {target.model for target in route.targets}
            if len(models) > 1:
                raise NotFound("version_not_found", model=name, version=version, known="none of its own: it is a route")
            return [table.version(models.pop(), version)]
        plans = []
        for target in route.targets:
            plans += self._plans_of(target.model, target.ref)
        return plans

    def _plans_of(self, model: str, ref: str) -> list[VersionPlan]:
        table = self._current()
        return [table.version(model, ref)] if ref else list(default_versions(table.model(model)))

    def _described(self, name: str, version: str) -> tuple[Signature, VersionPlan]:
        for plan in self._plans(name, version):
            signature = self._maker.signature(plan)
            if signature is not None:
                return signature, plan
        raise Unavailable("model_not_ready", model=name)

    def _platform(self, plan: VersionPlan) -> str:
        for replica in plan.replicas:
            known = self._fleet.deployed(replica.deployment)
            if known is not None and known.platform:
                return platform_name(plan.framework, known.platform, replica.platform)
        return platform_name(plan.framework, "", plan.replicas[0].platform if plan.replicas else "")
