"""Keeps a data plane on the newest snapshot that builds: prepare what is new, swap the table, retire what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
import structlog

from penstock_adapters.protocol.errors import PenstockError
from penstock_registry.snapshot import Change, Snapshot
from penstock_router.fleet import Fleet, Wanted
from penstock_router.live import LivePlane
from penstock_router.metrics import Metrics
from penstock_router.plan import ModelPlan
from penstock_router.stats import StatsBook
from penstock_router.table import PLANS_ALL, MakeEntry, RoutingTable, build, rebuild

SLICE: Final = 200
"""Changes, or deployments, worked on before requests get a turn."""


def changes_between(old: Snapshot, new: Snapshot) -> list[Change]:
    """What differs. Snapshots share what did not change, so identities tell; a twin counts as changed.

    To compare every resource of a snapshot read from a file with its twin from the database would take seconds among
    100,000; to plan it once more does less.
    """
    before, after = old.resources, new.resources
    changed = [Change(key, was, now) for key, now in after.items() if (was := before.get(key)) is not now]
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
        work = partial(_step, table, self._serving, snapshot, changes, self._make)
        try:
            # Requests are served while a large change is planned; a small one takes less than a thread.
            step = work() if _is_small(changes) else await asyncio.to_thread(work)
            await self._fleet.prepare(step.table.plans.backends, step.wanted)
        except PenstockError as error:
            self._log.error("snapshot_refused", revision=snapshot.revision, problem=error.text)
            return False
        self._plane.swap(step.table)
        self._serving = snapshot
        self._metrics.config_generation.cell().value = snapshot.revision
        if table is not None:
            await self._retire(table, step)
        self._log.info(
            "snapshot_served", revision=snapshot.revision, changed=step.changed, models=len(step.table.plans.models)
        )
        return True

    async def _retire(self, old: RoutingTable, step: _Step) -> None:
        for start in range(0, len(step.gone), SLICE):
            self._fleet.retire((), step.gone[start : start + SLICE])
            await asyncio.sleep(0)
        self._fleet.retire(old.plans.backends.keys() - step.table.plans.backends.keys(), ())
        for name, versions in step.forgotten:
            self._stats.forget(name, versions)


class _Step(msgspec.Struct, frozen=True):
    """From the table that serves to the next."""

    table: RoutingTable
    changed: int
    wanted: list[Wanted]
    gone: list[str]
    """Deployments nothing leads to any more."""
    forgotten: list[tuple[str, list[str]]]
    """Models with their versions that are no more."""


def _step(
    table: RoutingTable | None, serving: Snapshot, snapshot: Snapshot, changes: Sequence[Change] | None, make: MakeEntry
) -> _Step:
    """Pure, and safe in a thread while `table` serves. Raises InvalidArgument if the snapshot does not build."""
    if changes is None:
        changes = changes_between(serving, snapshot)
    if table is None:
        new = build(snapshot, make)
        return _Step(new, len(changes), _wanted(new.plans.models, new.plans.models), [], [])
    new, touched = rebuild(table, snapshot, changes, make)
    was, now = table.plans.models, new.plans.models
    wanted = _wanted(now, touched)
    gone = {want.replica.deployment for want in _wanted(was, touched)} - {want.replica.deployment for want in wanted}
    lost = (
        (name, [v for v in was[name].versions if name not in now or v not in now[name].versions])
        for name in touched
        if name in was
    )
    return _Step(new, len(changes), wanted, sorted(gone), [(name, versions) for name, versions in lost if versions])


def _is_small(changes: Sequence[Change] | None) -> bool:
    """Is planning the changes a matter of a millisecond? A changed backend or placement plans every model."""
    return changes is not None and len(changes) <= SLICE and not any(c.key[0] in PLANS_ALL for c in changes)


def _wanted(models: Mapping[str, ModelPlan], names: Iterable[str]) -> list[Wanted]:
    plans = [version for name in names if name in models for version in models[name].versions.values()]
    return [Wanted(replica, plan.signature) for plan in plans for replica in plan.replicas]
