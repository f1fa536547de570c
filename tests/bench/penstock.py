"""Penstock itself, started as a user starts it: `penstock serve`, then `penstock apply`."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.bench.servers import SERVER_CPUS, NotStarted, Server, accepts, free_port, running

COMMAND: Final = Path(sys.executable).with_name("penstock")
APPLY_TIMEOUT_S: Final = 900
PART: Final = 5_000
"""Resources in one request to the admin API."""
READY_TIMEOUT_S: Final = 60.0


class Penstock(msgspec.Struct, frozen=True):
    """A running Penstock: REST, gRPC and admin side of one process tree."""

    rest: Server
    grpc: Server
    admin: Server

    def apply(self, resources: Iterable[dict[str, Any]]) -> float:
        """Apply manifests as `penstock apply` does, in requests of bounded size; seconds it took. Raises NotStarted."""
        started, left = time.perf_counter(), iter(resources)
        while part := list(islice(left, PART)):
            body = {
                "resources": part,
                "prune": False,
                "prune_scope": {"selector": ""},
                "dry_run": False,
                "reason": "bench",
            }
            status, answer = call(self.admin.port, "POST", "/v1/apply", body, APPLY_TIMEOUT_S)
            if status != 200:
                raise NotStarted(f"apply: status {status}: {answer[:500]!r} (log: {self.admin.log})")
        return time.perf_counter() - started

    def wait_ready(self, model: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Until the model is ready. Raises NotStarted."""
        deadline = time.monotonic() + timeout_s
        while get(self.rest.port, f"/v2/models/{model}/ready") != 200:
            if time.monotonic() > deadline:
                raise NotStarted(f"model {model} was not ready after {timeout_s:.0f} s (log: {self.rest.log})")
            time.sleep(0.05)


@contextmanager
def penstock(
    work: Path, *, name: str = "penstock", workers: int = 1, cpus: Sequence[int] = SERVER_CPUS
) -> Iterator[Penstock]:
    """A fresh Penstock on SQLite, with no models yet."""
    if not COMMAND.is_file():
        raise NotStarted(f"{COMMAND} is missing: run `make setup`")
    rest, grpc, admin = free_port(), free_port(), free_port()
    flags = {
        "http-port": rest,
        "grpc-port": grpc,
        "admin-port": admin,
        "data-dir": work / f"{name}-data",
        "workers": workers,
        "log-level": "warning",
    }
    command = [
        COMMAND,
        "serve",
        *(part for flag, value in flags.items() for part in (f"--{flag}", str(value))),
    ]

    def ready(port: int) -> bool:
        return live(port) and accepts(grpc) and accepts(admin)

    with running(name, command, rest, work, cpus=cpus, ready=ready) as server:
        yield Penstock(server, msgspec.structs.replace(server, port=grpc), msgspec.structs.replace(server, port=admin))


def live(port: int) -> bool:
    """Does the REST side answer?"""
    return get(port, "/v2/health/live") == 200


def get(port: int, path: str) -> int:
    """The status of a GET; 0 = no answer."""
    try:
        return call(port, "GET", path)[0]
    except (OSError, http.client.HTTPException):
        return 0


def call(port: int, method: str, path: str, value: object = None, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    headers = {"content-type": "application/json", "x-penstock-author": "bench"} if value is not None else {}
    try:
        connection.request(method, path, json.dumps(value).encode() if value is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
