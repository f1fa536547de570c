"""Keeps a data plane on the newest snapshot that builds: prepare what is new, swap the table, retire what is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import structlog

from penstock_adapters.protocol.errors import PenstockError
from penstock_registry.snapshot import Change, Snapshot
from penstock_router.fleet import Fleet, Wanted
from penstock_router.live import LivePlane
from penstock_router.metrics import Metrics
from penstock_router.plan import ModelPlan
from penstock_router.stats import StatsBook
from penstock_router.table import MakeEntry, RoutingTable, build, rebuild


def changes_between(old: Snapshot, new: Snapshot) -> list[Change]:
    """What differs. Snapshots share what did not change, so comparing identities first makes this cheap."""
    before, after = old.resources, new.resources
    changed = [
        Change(key, before.get(key), now)
        for key, now in after.items()
        if (was := before.get(key)) is not now and was != now
    ]
    gone = [Change(key, was, None) for key, was in before.items() if key not in after]
    return changed + gone


class Follower:
    """One per process. `apply` is never run twice at once."""

    def __init__(self, plane: LivePlane, fleet: Fleet, make: MakeEntry, stats: StatsBook, metrics: Metrics) -> None:
        self._plane = plane
        self._fleet = fleet
        self._make = make
        self._stats = stats
        self._metrics = metrics
        self._serving = Snapshot()
        self._log = structlog.get_logger("penstock.follow")

    @property
    def serving(self) -> Snapshot:
        """The snapshot that is served now."""
        return self._serving

    async def apply(self, snapshot: Snapshot, changes: Sequence[Change] | None = None) -> bool:
        """Serve from `snapshot`; False (and the old one stays) if it does not build.

        `changes` lead from the snapshot served now to this one; None = find out (a scan of every resource).
        """
        table = self._plane.table
        if changes is None:
            changes = changes_between(self._serving, snapshot)
        try:
            if table is None:
                new = build(snapshot, self._make)
                touched: Iterable[str] = new.plans.models
            else:
                new, touched = rebuild(table, snapshot, changes, self._make)
            await self._fleet.prepare(new.plans.backends, _wanted(new.plans.models, touched))
        except PenstockError as error:
            self._log.error("snapshot_refused", revision=snapshot.revision, problem=error.text)
            return False
        self._plane.swap(new)
        self._serving = snapshot
        self._metrics.config_generation.cell().value = snapshot.revision
        if table is not None:
            self._retire(table, new, touched)
        self._log.info(
            "snapshot_served", revision=snapshot.revision, changed=len(changes), models=len(new.plans.models)
        )
        return True

    def _retire(self, old: RoutingTable, new: RoutingTable, touched: Iterable[str]) -> None:
        was, now = _deployments(old.plans.models, touched), _deployments(new.plans.models, touched)
        self._fleet.retire(old.plans.backends.keys() - new.plans.backends.keys(), was - now)
        for name in touched:
            versions = old.plans.models[name].versions if name in old.plans.models else {}
            kept = new.plans.models[name].versions if name in new.plans.models else {}
            self._stats.forget(name, [version for version in versions if version not in kept])


def _wanted(models: Mapping[str, ModelPlan], names: Iterable[str]) -> list[Wanted]:
    plans = [version for name in names if name in models for version in models[name].versions.values()]
    return [Wanted(replica, plan.signature) for plan in plans for replica in plan.replicas]


def _deployments(models: Mapping[str, ModelPlan], names: Iterable[str]) -> set[str]:
    return {want.replica.deployment for want in _wanted(models, names)}
