"""Turns plans into services: the one place that decides in which order the layers stand."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import inf

from msgspec.structs import replace

from penstock_adapters.protocol.errors import Unavailable
from penstock_adapters.protocol.message import Signature
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.balance import Choice
from penstock_router.fleet import Fleet
from penstock_router.layers.balanced import Place, balanced
from penstock_router.layers.checked import checked
from penstock_router.layers.counted import counted
from penstock_router.metrics import Metrics
from penstock_router.plan import RoutePlan, VersionPlan
from penstock_router.plane import Entry
from penstock_router.service import Service, stack
from penstock_router.split import choose, cumulative, sticky_key, sticky_point
from penstock_router.stats import StatsBook
from penstock_router.table import RoutingTable, default_versions


class EntryMaker:
    """Makes the entry of a name at its first request; see RoutingTable."""

    def __init__(self, fleet: Fleet, stats: StatsBook, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._stats = stats
        self._metrics = metrics
        self._clock = clock

    def __call__(self, table: RoutingTable, name: str, version: str) -> Entry:
        route = table.plans.routes.get(name)
        if route is not None and not version:
            return self._route(table, route)
        if route is not None and name not in table.plans.models:
            # A route's name with a version: the version of whichever model it leads to, if that is one model.
            models = {target.model for target in route.targets}
            if len(models) == 1:
                plan = table.version(models.pop(), version)
                return Entry(name, plan.version, self.version(plan), self.signature(plan))
        if version:
            plan = table.version(name, version)
            return Entry(name, plan.version, self.version(plan), self.signature(plan))
        return self._default(table, name)

    def signature(self, plan: VersionPlan) -> Signature | None:
        """Declared in the registry, else learnt from a backend that has it."""
        if plan.signature is not None:
            return plan.signature
        for replica in plan.replicas:
            known = self._fleet.deployed(replica.deployment)
            if known is not None and known.signature is not None:
                return known.signature
        return None

    def version(self, plan: VersionPlan) -> Service:
        """The service of one version, wherever it runs."""

        def signature() -> Signature | None:
            return self.signature(plan)

        return stack(
            balanced(plan.version, self._places(plan), self._metrics, self._clock),
            # Outermost: a request refused for its contents is a failure of this version in its statistics, as in Triton.
            counted(self._stats.of(plan.model, plan.version), signature),
            # Above the backend: nothing reaches a server that its signature rules out.
            checked(signature),
        )

    def _places(self, plan: VersionPlan) -> Sequence[Choice[Place]]:
        places = []
        for replica in plan.replicas:
            known = self._fleet.deployed(replica.deployment)
            if known is None:
                continue
            upstream = self._metrics.upstream.cell(replica.backend, plan.model)
            places += [
                Choice(Place(known, e, upstream), e.load, e.weight) for e in self._fleet.endpoints(replica.backend)
            ]
        return places

    def _default(self, table: RoutingTable, name: str) -> Entry:
        """A model under its own name: alias `stable`, else the highest version that is ready right now."""
        plans = default_versions(table.model(name))
        services = [(plan, self.version(plan)) for plan in plans]
        if len(services) == 1:
            plan, service = services[0]
            return Entry(name, "", service, self.signature(plan))

        async def highest_ready(request: InferenceRequest) -> InferenceResponse:
            for plan, service in services:
                if any(self._fleet.is_ready(replica) for replica in plan.replicas):
                    return await service(request)
            for plan, service in services:
                if plan.replicas:
                    return await service(request)
            raise Unavailable("model_not_ready", model=name)

        return Entry(name, "", highest_ready)

    def _route(self, table: RoutingTable, route: RoutePlan) -> Entry:
        """The split: it stands above everything that belongs to one version (checks, statistics, caches)."""
        targets = [self._target(table, target.model, target.ref) for target in route.targets]
        edges = cumulative([target.weight for target in route.targets])
        timeout_s = route.timeout_s if route.timeout_s is not None else inf
        for target in route.targets:
            label = f"{target.model}@{target.ref}" if target.ref else target.model
            self._metrics.route_weight.cell(route.name, label).value = target.weight
        if len(targets) == 1:
            return replace(targets[0], name=route.name, version="", timeout_s=timeout_s)

        async def split(request: InferenceRequest) -> InferenceResponse:
            key = sticky_key(route.sticky, request) if route.sticky else ""
            point = sticky_point(route.name, key) if key else random.random()  # noqa: S311 - traffic, not secrets
            return await targets[choose(edges, point)].service(request)

        signatures = {target.signature for target in targets}
        signature = signatures.pop() if len(signatures) == 1 else None
        return Entry(route.name, "", split, signature, timeout_s)

    def _target(self, table: RoutingTable, model: str, ref: str) -> Entry:
        if not ref:
            return self._default(table, model)
        plan = table.version(model, ref)
        return Entry(model, plan.version, self.version(plan), self.signature(plan))
