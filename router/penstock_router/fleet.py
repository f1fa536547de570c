"""The live side of the table: endpoints with their adapters, and what is known of each deployment.

The table says where a call may go; the fleet says who is there now. It is changed by `prepare` (before a new table
serves) and `retire` (after it does), so a request never meets an endpoint that is closed or a model that is unloaded.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec
import structlog
from msgspec.structs import replace

from penstock_adapters.adapter import Adapter, Connect, EndpointSpec, Repository
from penstock_adapters.protocol.errors import InvalidArgument, PenstockError
from penstock_adapters.protocol.message import Signature
from penstock_registry.kinds import BackendSpec
from penstock_router.balance import Load
from penstock_router.metrics import Metrics, Value
from penstock_router.plan import Replica

State = Literal["PENDING", "LOADING", "READY", "FAILED", "UNLOADING"]
SLICE: Final = 200
"""Deployments prepared before requests get a turn."""
DRAIN_S: Final = 30.0
"""An endpoint or model that is no longer routed to gets this long to end the calls it has."""
LINGER_S: Final = 1.0
"""How long it is kept even without calls: a request may have found it in the old table and not called it yet."""


class LiveEndpoint:
    """One server of a backend, as this process sees it."""

    __slots__ = ("adapter", "backend", "failures", "limit", "load", "name", "spec", "suspected", "up", "weight")

    def __init__(self, backend: str, name: str, adapter: Adapter, spec: BackendSpec, weight: int) -> None:
        self.backend = backend
        self.name = name
        self.adapter = adapter
        self.spec = spec
        self.limit = spec.limits.max_in_flight
        self.load = Load()
        self.weight = weight
        self.up = True
        self.failures = 0
        self.suspected = asyncio.Event()
        """Set by a call that could not reach the server: probe now, don't wait for the interval."""

    @property
    def in_process(self) -> bool:
        return not self.spec.endpoints

    def adapt(self, spec: BackendSpec, weight: int) -> None:
        """Other limits and health checks for the same connections."""
        self.spec = spec
        self.limit = spec.limits.max_in_flight
        self.weight = weight

    def probed(self, *, answered: bool) -> None:
        """One health check ended: up at the first answer, down after as many failures as the backend allows."""
        self.failures = 0 if answered else self.failures + 1
        if answered:
            self.up = True
        elif self.failures >= self.spec.health.unhealthy_after:
            self.up = False


class Deployed:
    """One deployment, as this process sees it. `ready_on` holds the names of the endpoints that have it."""

    __slots__ = ("_loaded", "platform", "ready_on", "reason", "replica", "signature", "state")

    def __init__(self, replica: Replica, signature: Signature | None, loaded: Value) -> None:
        self.replica = replica
        self.signature = signature
        self._loaded = loaded
        self.state: State = "PENDING"
        self.reason = "not checked yet"
        self.ready_on: frozenset[str] = frozenset()
        self.platform = ""

    def set(self, state: State, reason: str = "") -> None:
        self.state = state
        self.reason = reason
        self._loaded.value = float(state == "READY")

    def serves_on(self, endpoint: LiveEndpoint) -> bool:
        """May a call be sent there? A deployment on a remote server that nobody has checked yet may: the server knows."""
        if not endpoint.up:
            return False
        if self.state == "READY":
            return endpoint.name in self.ready_on
        return self.state == "PENDING" and not endpoint.in_process


class Wanted(msgspec.Struct, frozen=True):
    """A deployment the table will route to, and its declared signature if it has one."""

    replica: Replica
    signature: Signature | None


def artifact_path(uri: str) -> str:
    """The local path of a `file:` URI (or a plain path). Raises InvalidArgument for other schemes."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise InvalidArgument("manifest_invalid", where="artifact", problem=f"{uri} is not a file: URI") from None
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise InvalidArgument("manifest_invalid", where="artifact", problem=f"{uri} is not a file: URI")
    return str(Path(unquote(parts.path)))


def held(replica: Replica) -> tuple[str, str, str]:
    """What a deployment holds at its backend. Several deployments may hold the same."""
    return replica.backend, replica.remote_name, replica.remote_version


def endpoint_specs(backend: str, spec: BackendSpec) -> list[tuple[EndpointSpec, int]]:
    """What to connect to, and each one's weight. A backend without endpoints runs in this process."""
    base = EndpointSpec(
        name=backend, platform=spec.platform, connections_max=spec.limits.connections, options=spec.options
    )
    if not spec.endpoints:
        return [(base, 1)]
    return [(replace(base, url=row.url, grpc_url=row.grpc), row.weight) for row in spec.endpoints]


class Fleet:
    """Every endpoint and deployment of this process."""

    def __init__(self, platforms: Mapping[str, Connect], metrics: Metrics, clock: Callable[[], float]) -> None:
        self._platforms = platforms
        self._metrics = metrics
        self._clock = clock
        self._specs: dict[str, BackendSpec] = {}
        self._endpoints: dict[str, tuple[LiveEndpoint, ...]] = {}
        self._replaced: list[tuple[LiveEndpoint, ...]] = []
        """Endpoints the serving table still leads to; closed when it is retired."""
        self._refused: dict[str, tuple[BackendSpec, str]] = {}
        """Backends that could not be connected, and why."""
        self._deployed: dict[str, Deployed] = {}
        self._holders: Counter[tuple[str, str, str]] = Counter()
        """How many deployments hold a model at a backend; it is unloaded after the last of them."""
        self._outgrown: list[Replica] = []
        """What deployments pointed at before; let go of when the serving table is retired."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("penstock.fleet")
        self.changed = asyncio.Event()
        """Set when there are endpoints or deployments to look at; the observer clears it."""

    def endpoints(self, backend: str) -> tuple[LiveEndpoint, ...]:
        return self._endpoints.get(backend, ())

    def all_endpoints(self) -> Iterable[LiveEndpoint]:
        return [endpoint for pool in self._endpoints.values() for endpoint in pool]

    def deployed(self, deployment: str) -> Deployed | None:
        return self._deployed.get(deployment)

    def all_deployed(self) -> Iterable[Deployed]:
        return list(self._deployed.values())

    def observed(self, deployment: str) -> tuple[State, str] | None:
        """Its state for people, and why: what no server that is up could answer is not READY. None if there is none."""
        known = self._deployed.get(deployment)
        if known is None:
            return None
        replica = known.replica
        pool = self.endpoints(replica.backend)
        if known.state == "PENDING" and pool and not any(e.up for e in pool):
            return "PENDING", f"no server of backend '{replica.backend}' answers"
        if known.state == "READY" and not self.is_ready(replica):
            return "PENDING", f"no server of backend '{replica.backend}' that has it answers"
        return known.state, known.reason

    def is_ready(self, replica: Replica) -> bool:
        """Is it READY on an endpoint that is up?"""
        known = self._deployed.get(replica.deployment)
        if known is None or known.state != "READY":
            return False
        return any(e.up and e.name in known.ready_on for e in self.endpoints(replica.backend))

    async def prepare(self, backends: Mapping[str, BackendSpec], wanted: Iterable[Wanted]) -> None:
        """Connect what is new and start loading what is new; nothing is taken away yet.

        A backend whose options are wrong costs only itself: it keeps the connections it had, if any. A platform there
        is none of is refused before anything is changed: raises InvalidArgument.
        """
        changed = {name: spec for name, spec in backends.items() if self._specs.get(name) != spec}
        for name, spec in changed.items():
            self._connector(name, spec)
        for name, spec in changed.items():
            await self._prepare_backend(name, spec)
        anew = bool(changed)
        for index, want in enumerate(wanted):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            known = self._deployed.get(want.replica.deployment)
            if known is None or known.replica != want.replica:
                if known is not None:
                    self._outgrown.append(known.replica)
                self._holders[held(want.replica)] += 1
                known = self._deployed[want.replica.deployment] = self._new(want)
                self._start_load(known)
                anew = True
            elif want.signature is not None:
                known.signature = want.signature
        if anew:  # Only then: among many writes, looking at every server after each would be a load of its own.
            self.changed.set()

    def retire(self, backends: Iterable[str], deployments: Iterable[str]) -> None:
        """Let go of what no table routes to any more; calls in flight end first."""
        while self._replaced:
            self._close_later(self._replaced.pop())
        while self._outgrown:
            self._let_go(self._outgrown.pop())
        for name in deployments:
            gone = self._deployed.pop(name, None)
            if gone is not None:
                self._let_go(gone.replica)
        for name in backends:
            self._specs.pop(name, None)
            self._refused.pop(name, None)
            self._close_later(self._endpoints.pop(name, ()))

    async def aclose(self) -> None:
        """End every task and close every adapter."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for endpoint in self.all_endpoints():
            await endpoint.adapter.aclose()
        self._endpoints.clear()

    async def _prepare_backend(self, name: str, spec: BackendSpec) -> None:
        pool = self._endpoints.get(name, ())
        rows = endpoint_specs(name, spec)
        if pool and rows == endpoint_specs(name, self._specs[name]):
            for endpoint, (_, weight) in zip(pool, rows, strict=True):
                endpoint.adapt(spec, weight)
            self._specs[name] = spec
            return
        if self._refused.get(name, (None, ""))[0] == spec:
            return
        try:
            made = await self._connect(name, spec)
        except PenstockError as error:
            self._refused[name] = spec, error.text
            self._log.error("backend_refused", backend=name, problem=error.text, kept=len(pool))
            return
        self._refused.pop(name, None)
        self._replaced.append(pool)
        self._endpoints[name], self._specs[name] = made, spec
        self._forget_readiness(name)

    def _new(self, want: Wanted) -> Deployed:
        replica = want.replica
        loaded = self._metrics.model_loaded.cell(replica.model, replica.version, replica.backend)
        return Deployed(replica, want.signature, loaded)

    def _connector(self, backend: str, spec: BackendSpec) -> Connect:
        connect = self._platforms.get(spec.platform)
        if connect is None:
            known = ", ".join(sorted(self._platforms))
            problem = f"'{spec.platform}' is not a platform; there are {known}"
            raise InvalidArgument("manifest_invalid", where=f"Backend {backend}: spec.platform", problem=problem)
        return connect

    async def _connect(self, backend: str, spec: BackendSpec) -> tuple[LiveEndpoint, ...]:
        connect = self._connector(backend, spec)
        pool: list[LiveEndpoint] = []
        for at, (endpoint, weight) in enumerate(endpoint_specs(backend, spec)):
            label = endpoint.url or endpoint.grpc_url or f"in-process-{at}"
            try:
                pool.append(LiveEndpoint(backend, label, await connect(endpoint), spec, weight))
            except PenstockError:
                self._close_later(tuple(pool))
                raise
        return tuple(pool)

    def _forget_readiness(self, backend: str) -> None:
        for known in self._deployed.values():
            if known.replica.backend == backend:
                known.ready_on = frozenset()
                known.set("PENDING", "the backend has changed")
                self._start_load(known)

    def _start_load(self, known: Deployed) -> None:
        """A model in this process is ours to load; a remote one is watched by the observer."""
        pool = self.endpoints(known.replica.backend)
        if not pool and known.replica.backend in self._refused:
            known.set("FAILED", self._refused[known.replica.backend][1])
        if pool and pool[0].in_process and isinstance(pool[0].adapter, Repository):
            known.set("LOADING")
            self._background(self._load(known, pool[0], pool[0].adapter))

    async def _load(self, known: Deployed, endpoint: LiveEndpoint, repository: Repository) -> None:
        replica = known.replica
        started = self._clock()
        try:
            path = artifact_path(replica.artifact) if replica.artifact else ""
            await repository.load(replica.remote_name, replica.remote_version, artifact=path, sha256=replica.sha256)
            metadata = await endpoint.adapter.metadata(replica.remote_name, replica.remote_version)
        except PenstockError as error:
            if self._expects(known, endpoint):
                known.set("FAILED", error.text)
                where = {"model": replica.model, "version": replica.version, "backend": replica.backend}
                self._log.error("model_not_loaded", **where, problem=error.text)
            return
        if not self._expects(known, endpoint):
            await self._unload(replica)  # It may have come too late for the unload of its retirement.
            return
        if known.signature is None:
            known.signature = Signature(metadata.inputs, metadata.outputs)
        known.platform = metadata.platform
        known.ready_on = frozenset((endpoint.name,))
        known.set("READY")
        self._metrics.load_duration.cell(replica.backend).observe(self._clock() - started)

    def _expects(self, known: Deployed, endpoint: LiveEndpoint) -> bool:
        """Is this load still meant? The deployment may be gone or another by now, or its endpoint replaced."""
        replica = known.replica
        return self._deployed.get(replica.deployment) is known and endpoint in self.endpoints(replica.backend)

    def _let_go(self, replica: Replica) -> None:
        place = held(replica)
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._holders[place]
            self._metrics.model_loaded.forget(replica.model, replica.version, replica.backend)
            self._background(self._unload(replica))

    async def _unload(self, replica: Replica) -> None:
        await asyncio.sleep(LINGER_S)
        if held(replica) in self._holders:  # Others hold it too, or it was deployed again meanwhile.
            return
        for endpoint in self.endpoints(replica.backend):
            if endpoint.in_process and isinstance(endpoint.adapter, Repository):
                await endpoint.adapter.unload(replica.remote_name, replica.remote_version)

    def _close_later(self, pool: tuple[LiveEndpoint, ...]) -> None:
        if pool:
            self._background(self._close(pool))

    async def _close(self, pool: tuple[LiveEndpoint, ...]) -> None:
        give_up = self._clock() + DRAIN_S
        try:
            await asyncio.sleep(LINGER_S)
            while any(e.load.in_flight for e in pool) and self._clock() < give_up:  # noqa: ASYNC110 - rare, and bounded
                await asyncio.sleep(0.05)
        finally:
            for endpoint in pool:
                await endpoint.adapter.aclose()

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
