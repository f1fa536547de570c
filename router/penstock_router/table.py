"""The routing table: an immutable value built from a snapshot, swapped whole; requests only ever read it.

Plans (where every version runs, what every name means) are computed for every model when the table is built, so that a
snapshot that does not build is refused before it serves. The services (closures over live endpoints) are made at the
first request for a name and kept; `rebuild` carries over the plans and services of everything a change did not touch,
so one write among 100,000 models costs a copy of the index and the planning of one model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, cast

import msgspec

from penstock_adapters.protocol.errors import NotFound
from penstock_registry.kinds import BackendSpec, DeploymentSpec, Kind, Resource
from penstock_registry.snapshot import Change, Snapshot
from penstock_router.plan import (
    STABLE,
    ModelPlan,
    RoutePlan,
    VersionPlan,
    placement_order,
    plan_model,
    plan_route,
)
from penstock_router.plane import Entry

PLANS_ALL: Final[frozenset[Kind]] = frozenset(("Backend", "Placement"))
"""Kinds of which one change concerns every model."""
MakeEntry = Callable[["RoutingTable", str, str], Entry]


class Plans(msgspec.Struct, frozen=True):
    """Everything a snapshot means for routing."""

    models: Mapping[str, ModelPlan]
    routes: Mapping[str, RoutePlan]
    backends: Mapping[str, BackendSpec]
    deployments: Mapping[str, tuple[Resource, ...]]
    """By model name."""
    placements: Sequence[Resource] = ()
    """The first to be tried first."""


class RoutingTable:
    """What every name means at one generation."""

    __slots__ = ("_entries", "_make", "_names", "generation", "plans")

    def __init__(
        self, generation: int, plans: Plans, make: MakeEntry, entries: dict[tuple[str, str], Entry] | None = None
    ) -> None:
        self.generation = generation
        self.plans = plans
        self._make = make
        self._entries = entries if entries is not None else {}
        self._names: tuple[str, ...] | None = None

    def resolve(self, name: str, version: str) -> Entry:
        """What `name` (and `version`, "" = the route decides) means. Raises NotFound."""
        entry = self._entries.get((name, version))
        if entry is None:
            entry = self._entries[name, version] = self._make(self, name, version)
        return entry

    def names(self) -> tuple[str, ...]:
        """Every name a caller can use, sorted."""
        if self._names is None:
            self._names = tuple(sorted(self.plans.models.keys() | self.plans.routes.keys()))
        return self._names

    def version(self, model: str, ref: str) -> VersionPlan:
        """A version by its id or an alias. Raises NotFound."""
        plan = self.model(model)
        found = plan.versions.get(plan.aliases.get(ref, ref))
        if found is None:
            known = ", ".join([*plan.versions, *plan.aliases]) or "none"
            raise NotFound("version_not_found", model=model, version=ref, known=known)
        return found

    def model(self, name: str) -> ModelPlan:
        plan = self.plans.models.get(name)
        if plan is None:
            raise NotFound("model_not_found", model=name)
        return plan

    def kept_entries(self, stale: set[str]) -> dict[tuple[str, str], Entry]:
        """The services that stay good when the names in `stale` change. Safe in a thread while requests resolve."""
        return {key: entry for key, entry in self._entries.copy().items() if key[0] not in stale}


def default_versions(plan: ModelPlan) -> Sequence[VersionPlan]:
    """The versions a model without a route or version means, in the order to try: alias `stable` alone, else all."""
    stable = plan.aliases.get(STABLE)
    return (plan.versions[stable],) if stable else tuple(plan.versions.values())


def build(snapshot: Snapshot, make: MakeEntry) -> RoutingTable:
    """The table of a snapshot, from nothing. Raises InvalidArgument if it refers to what does not exist."""
    backends = {r.metadata.name: cast("BackendSpec", r.spec) for r in _of(snapshot, "Backend")}
    placements = sorted(_of(snapshot, "Placement"), key=placement_order)
    deployments = _by_model(_of(snapshot, "Deployment"))
    models = {
        r.metadata.name: plan_model(r, deployments.get(r.metadata.name, ()), placements, backends)
        for r in _of(snapshot, "Model")
    }
    routes = {r.metadata.name: plan_route(r, models) for r in _of(snapshot, "Route")}
    return RoutingTable(snapshot.revision, Plans(models, routes, backends, deployments, placements), make)


def rebuild(
    table: RoutingTable, snapshot: Snapshot, changes: Sequence[Change], make: MakeEntry
) -> tuple[RoutingTable, set[str]]:
    """The table after `changes`, equal to `build(snapshot)` at the cost of what changed; and the models it planned anew."""
    if any(change.key[0] in PLANS_ALL for change in changes):
        fresh = build(snapshot, make)
        return fresh, set(fresh.plans.models) | set(table.plans.models)
    old = table.plans
    deployments, touched = _changed_deployments(old.deployments, changes)
    touched |= {name for kind, name in _keys(changes) if kind == "Model"}
    models = dict(old.models)
    for name in touched:
        resource = snapshot.get("Model", name)
        if resource is None:
            models.pop(name, None)
        else:
            models[name] = plan_model(resource, deployments.get(name, ()), old.placements, old.backends)
    routes, stale = _changed_routes(old, snapshot, changes, models, touched)
    entries = table.kept_entries(stale | touched)
    new = RoutingTable(
        snapshot.revision,
        msgspec.structs.replace(old, models=models, routes=routes, deployments=deployments),
        make,
        entries,
    )
    return new, touched


def _of(snapshot: Snapshot, kind: Kind) -> list[Resource]:
    return [resource for key, resource in snapshot.resources.items() if key[0] == kind]


def _keys(changes: Iterable[Change]) -> set[tuple[Kind, str]]:
    return {change.key for change in changes}


def _by_model(resources: Iterable[Resource]) -> dict[str, tuple[Resource, ...]]:
    rows: dict[str, list[Resource]] = {}
    for resource in sorted(resources, key=lambda r: r.metadata.name):
        rows.setdefault(cast("DeploymentSpec", resource.spec).model_name, []).append(resource)
    return {name: tuple(found) for name, found in rows.items()}


def _changed_deployments(
    old: Mapping[str, tuple[Resource, ...]], changes: Sequence[Change]
) -> tuple[Mapping[str, tuple[Resource, ...]], set[str]]:
    """The deployments by model after `changes`, and the models touched."""
    mine = [change for change in changes if change.key[0] == "Deployment"]
    if not mine:
        return old, set()
    new = dict(old)
    touched: set[str] = set()
    for change in mine:
        name = change.key[1]
        sides = (resource for resource in (change.before, change.after) if resource is not None)
        moved = {cast("DeploymentSpec", resource.spec).model_name for resource in sides}
        touched |= moved
        for model in moved:
            rows = [r for r in new.get(model, ()) if r.metadata.name != name]
            if change.after is not None and cast("DeploymentSpec", change.after.spec).model_name == model:
                rows.append(change.after)
            new[model] = tuple(sorted(rows, key=lambda r: r.metadata.name))
    return new, touched


def _changed_routes(
    old: Plans,
    snapshot: Snapshot,
    changes: Sequence[Change],
    models: Mapping[str, ModelPlan],
    touched: set[str],
) -> tuple[Mapping[str, RoutePlan], set[str]]:
    """The routes after `changes`, and the names of those that are new, gone, or lead to a touched model."""
    stale = {name for kind, name in _keys(changes) if kind == "Route"}
    stale |= {name for name, route in old.routes.items() if any(t.model in touched for t in route.targets)}
    if not stale:
        return old.routes, stale
    routes = dict(old.routes)
    for name in stale:
        resource = snapshot.get("Route", name)
        if resource is None:
            routes.pop(name, None)
        else:
            routes[name] = plan_route(resource, models)
    return routes, stale
