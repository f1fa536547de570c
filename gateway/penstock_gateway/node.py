"""Everything of one serving process but its listeners: registry, fleet, table, and the tasks that keep them true."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from penstock_adapters.adapter import Connect
from penstock_gateway.settings import Settings, masked
from penstock_registry.redis_hints import RedisHints
from penstock_registry.registry import Registry
from penstock_registry.snapshot import Snapshot
from penstock_registry.snapshot_file import SnapshotFile
from penstock_registry.snapshot_file import load as load_snapshot
from penstock_registry.watch import Hint, Watch
from penstock_router.entries import EntryMaker
from penstock_router.fleet import Fleet
from penstock_router.follow import Follower
from penstock_router.live import LivePlane
from penstock_router.metrics import Metrics
from penstock_router.observe import Observer
from penstock_router.stats import StatsBook

DATABASE_PATIENCE_S: Final = 2.0
"""How long a starting process waits for its database before it serves from the last good snapshot file."""
AGE_S: Final = 1.0
MANY: Final = 1000
"""Resources that came at once and are kept out of later garbage collections."""


def snapshot_path(settings: Settings) -> Path:
    """The last good snapshot of this database: a file of another database must never be served."""
    # Without the password, which may change; with the query, which may say on which host the database is.
    where = masked(settings.database_url) + settings.database_url.partition("?")[2]
    digest = sha256(where.encode()).hexdigest()[:12]
    return settings.data_dir / f"snapshot-{digest}.bin"


class Node:
    """One per process. `start`, then `plane` answers; `aclose` ends every task and connection.

    The first worker leads: it upgrades the schema and keeps the snapshot file.
    """

    def __init__(self, settings: Settings, platforms: Mapping[str, Connect], metrics: Metrics, *, leads: bool) -> None:
        clock = time.monotonic
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._leads = leads
        self._log = structlog.get_logger("penstock.node")
        self._redis = RedisHints(settings.redis_url) if settings.redis_url else None
        announce = self._redis.announce if self._redis else None
        self.registry = Registry(settings.database_url, upgrade=leads, announce=announce)
        self.metrics = metrics
        stats = StatsBook()
        self.fleet = Fleet(platforms, metrics, clock)
        maker = EntryMaker(self.fleet, stats, metrics, clock)
        self.plane = LivePlane(self.fleet, maker, stats, ready_policy=settings.ready_policy)
        self._follower = Follower(self.plane, self.fleet, maker, stats, metrics)
        self._observer = Observer(self.fleet, metrics, clock)
        self._watch = Watch(self.registry, poll_s=settings.poll_interval_seconds, hints=self._hints())
        self._file = SnapshotFile(snapshot_path(settings)) if leads else None
        self._first = asyncio.Event()
        self._applying = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def _hints(self) -> list[Hint]:
        hints: list[Hint] = [self._redis] if self._redis else []
        if self._settings.database_url.startswith("postgresql"):
            from penstock_registry.postgres_hints import PostgresHints  # noqa: PLC0415  # needs the extra [postgres]

            hints.append(PostgresHints(self._settings.database_url))
        return hints

    async def start(self) -> None:
        """Return when there is a table to serve from, or nothing to get one from yet (then ready says so)."""
        self._tasks = [asyncio.create_task(work) for work in (self._follow(), self._observer.run(), self._age())]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), DATABASE_PATIENCE_S)
            return
        path = snapshot_path(self._settings)
        kept = await asyncio.to_thread(load_snapshot, path, lambda why: self._log.warning("snapshot_file", problem=why))
        async with self._applying:
            if self.plane.table is not None:
                return
            problem = self._watch.problem or "no answer yet"
            self._log.warning("database_unavailable", problem=problem, serving=kept.revision if kept else None)
            if kept is not None:
                await self._follower.apply(kept)

    async def _follow(self) -> None:
        before: Snapshot | None = None
        async for snapshot in self._watch:
            async with self._applying:
                # The watch knows what changed since the snapshot it gave before; that may not be the one that serves.
                changes = self._watch.changes if self._follower.serving is before else None
                served = await self._follower.apply(snapshot, changes)
            before = snapshot
            if changes is None or len(changes) > MANY:
                gc.collect(1)
                gc.freeze()  # It stays: a collection that walks it stops everything for a second and finds nothing.
            self._first.set()
            if served and self._file is not None:
                self._file.offer(snapshot)

    async def _age(self) -> None:
        cell = self.metrics.config_age.cell()
        while True:
            cell.value = self._watch.age_s
            await asyncio.sleep(AGE_S)

    async def opened(self) -> Registry:
        """The registry for the admin API; each call of it raises Unavailable while the database is down."""
        return self.registry

    def observed(self, deployment: str) -> tuple[str, str]:
        """A deployment's state here, and the reason for it."""
        return self.fleet.observed(deployment) or ("PENDING", "not routed to by this gateway")

    def labels_of(self, deployment: str) -> tuple[str, str, str]:
        """(model, version, backend) of a deployment, for metrics."""
        known = self.fleet.deployed(deployment)
        return (known.replica.model, known.replica.version, known.replica.backend) if known else ("", "", "")

    @property
    def serving(self) -> Snapshot:
        return self._follower.serving

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watch.aclose()
        if self._file is not None:
            await self._file.aclose()
        if self._redis is not None:
            await self._redis.aclose()
        await self.fleet.aclose()
        await self.registry.aclose()
