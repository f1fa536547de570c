"""Finds out who is up and what is ready: one loop per endpoint, paced so that looking never costs more than serving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from penstock_adapters.adapter import IndexEntry, Repository
from penstock_adapters.protocol.errors import PenstockError
from penstock_adapters.protocol.message import Signature
from penstock_router.fleet import Deployed, Fleet, LiveEndpoint
from penstock_router.metrics import Metrics

PROBE_TIMEOUT_S: Final = 2.0
DOUBTED_S: Final = 0.25
"""Between checks of an endpoint that failed the last one."""
DOWN_S: Final = 0.5
"""Between checks of an endpoint that is out of rotation."""
LISTING_SHARE: Final = 20
"""After listing a server's models wait at least this many times as long as it took (100,000 models make a long list)."""


class Observer:
    """Keeps a fleet's `up` and `ready_on` true. `run` ends only when it is cancelled."""

    def __init__(self, fleet: Fleet, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger("penstock.observe")
        self._loops: dict[LiveEndpoint, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            while True:
                self._fleet.changed.clear()
                self._follow(set(self._fleet.all_endpoints()))
                await self._fleet.changed.wait()
        finally:
            for task in self._loops.values():
                task.cancel()
            await asyncio.gather(*self._loops.values(), return_exceptions=True)

    def _follow(self, endpoints: set[LiveEndpoint]) -> None:
        for gone in self._loops.keys() - endpoints:
            self._loops.pop(gone).cancel()
        loop = asyncio.get_running_loop()
        for endpoint in endpoints:
            if endpoint.in_process:
                continue
            task = self._loops.get(endpoint)
            if task is None:
                self._loops[endpoint] = loop.create_task(self._watch(endpoint))
            else:
                endpoint.suspected.set()  # New deployments may have come: look now.

    async def _watch(self, endpoint: LiveEndpoint) -> None:
        up = self._metrics.backend_up.cell(endpoint.backend, endpoint.name)
        look_at = self._clock()
        while True:
            # What comes back after a failure may have come back with other models.
            look = endpoint.suspected.is_set() or endpoint.failures > 0 or self._clock() >= look_at
            endpoint.suspected.clear()
            answered = await self._answers(endpoint)
            was_up = endpoint.up
            endpoint.probed(answered=answered)
            if endpoint.up != was_up:
                log = self._log.info if endpoint.up else self._log.warning
                log("endpoint_up" if endpoint.up else "endpoint_down", backend=endpoint.backend, endpoint=endpoint.name)
            up.value = float(endpoint.up)
            if answered and look:
                started = self._clock()
                await self._look(endpoint)
                look_at = self._clock() + (self._clock() - started) * LISTING_SHARE
            interval = endpoint.spec.health.interval_s
            pause = interval if answered else min(interval, DOUBTED_S if endpoint.up else DOWN_S)
            try:
                await asyncio.wait_for(endpoint.suspected.wait(), pause)
                await asyncio.sleep(min(0.05, pause))  # Many failures at once are one reason to look.
            except TimeoutError:
                continue

    async def _answers(self, endpoint: LiveEndpoint) -> bool:
        try:
            return await asyncio.wait_for(endpoint.adapter.ready(), PROBE_TIMEOUT_S)
        except (TimeoutError, PenstockError):
            return False

    async def _look(self, endpoint: LiveEndpoint) -> None:
        mine = [known for known in self._fleet.all_deployed() if known.replica.backend == endpoint.backend]
        if not mine:
            return
        try:
            listed = await self._listing(endpoint)
            for known in mine:
                ready = await self._is_ready(endpoint, known, listed)
                self._note(endpoint, known, ready=ready, listed=listed)
                if ready and not known.platform:
                    await self._learn(endpoint, known)
        except (TimeoutError, PenstockError):
            return  # It stopped answering in the middle: the next probe says so.

    async def _listing(self, endpoint: LiveEndpoint) -> dict[tuple[str, str], IndexEntry] | None:
        if not isinstance(endpoint.adapter, Repository):
            return None
        entries = await asyncio.wait_for(endpoint.adapter.index(), PROBE_TIMEOUT_S * 5)
        return {(entry.name, entry.version): entry for entry in entries}

    async def _is_ready(
        self, endpoint: LiveEndpoint, known: Deployed, listed: Mapping[tuple[str, str], IndexEntry] | None
    ) -> bool:
        replica = known.replica
        if listed is not None:
            entry = listed.get((replica.remote_name, replica.remote_version))
            return entry is not None and entry.state == "READY"
        ready = endpoint.adapter.ready(replica.remote_name, replica.remote_version)
        return await asyncio.wait_for(ready, PROBE_TIMEOUT_S)

    def _note(
        self,
        endpoint: LiveEndpoint,
        known: Deployed,
        *,
        ready: bool,
        listed: Mapping[tuple[str, str], IndexEntry] | None,
    ) -> None:
        others = known.ready_on - {endpoint.name}
        known.ready_on = others | {endpoint.name} if ready else others
        if known.ready_on:
            if known.state != "READY":
                known.set("READY")
            return
        replica = known.replica
        entry = listed.get((replica.remote_name, replica.remote_version)) if listed is not None else None
        if entry is not None and entry.state == "LOADING":
            known.set("LOADING")
        else:
            said = f": {entry.reason}" if entry is not None and entry.reason else ""
            known.set("FAILED", f"backend '{replica.backend}' does not have {replica.remote_name} ready{said}")

    async def _learn(self, endpoint: LiveEndpoint, known: Deployed) -> None:
        """Ask once what a model takes; a declared signature stays the judge."""
        replica = known.replica
        metadata = await asyncio.wait_for(
            endpoint.adapter.metadata(replica.remote_name, replica.remote_version), PROBE_TIMEOUT_S
        )
        known.platform = metadata.platform
        if known.signature is None:
            known.signature = Signature(metadata.inputs, metadata.outputs)
