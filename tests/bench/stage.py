"""What every bar needs: a place to work, a loader, an upstream, and competitors that may be missing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.bench.environments import NAIVE, NotInstalled, ensure
from tests.bench.rounds import Loader, loader
from tests.bench.servers import LOAD_CPUS, NotStarted, Server, bench_module, free_port, running

COMPETITORS = Path(__file__).parent / "competitors"

T = TypeVar("T")


class Upstream(msgspec.Struct, frozen=True):
    """The fake v2 server, once with its REST and once with its gRPC port."""

    rest: Server
    grpc: Server


class Stage(msgspec.Struct, frozen=True):
    """Shared by the bars of one run."""

    work: Path
    load: Loader
    upstream: Upstream
    rounds: int
    scale: float
    """Of the number of requests: 1 for a full run, less for a quick one."""

    def requests(self, full: int) -> int:
        return max(int(full * self.scale), 200)


class Entry:
    """Lets contestants join if they can, and remembers who could not and why."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.missing: list[str] = []

    def join(self, make: Callable[[], AbstractContextManager[T]]) -> T | None:
        """Start a contestant for the rest of the bar; None if it cannot take part."""
        try:
            return self._stack.enter_context(make())
        except (NotInstalled, NotStarted) as error:
            self.missing.append(str(error))
            return None


@contextmanager
def stage(work: Path, *, rounds: int, scale: float) -> Iterator[Stage]:
    """A loader and an upstream while the block runs."""
    with upstream(work) as behind, loader() as load:
        yield Stage(work, load, behind, rounds, scale)


@contextmanager
def upstream(work: Path, *, models: int = 0) -> Iterator[Upstream]:
    """The fake v2 server; `models` = how many m0, m1, ... its repository index lists."""
    http, grpc = free_port(), free_port()
    ports = ("--http-port", str(http), "--grpc-port", str(grpc), "--models", str(models))
    with running(f"upstream-{models}", bench_module("upstream", *ports), http, work, cpus=LOAD_CPUS) as server:
        yield Upstream(server, msgspec.structs.replace(server, port=grpc))


@contextmanager
def fastapi_proxy(stage: Stage) -> Iterator[Server]:
    """The FastAPI + httpx proxy, in its own environment."""
    python, port = ensure(NAIVE), free_port()
    command = [python, COMPETITORS / "fastapi_proxy.py", str(port), f"http://127.0.0.1:{stage.upstream.rest.port}"]
    with running("fastapi-httpx", command, port, stage.work) as server:
        yield server


@contextmanager
def grpc_proxy(stage: Stage) -> Iterator[Server]:
    """The grpc.aio proxy."""
    port = free_port()
    command = [
        sys.executable,
        COMPETITORS / "grpc_proxy.py",
        str(port),
        str(stage.upstream.grpc.port),
    ]
    with running("grpc-aio", command, port, stage.work) as server:
        yield server
