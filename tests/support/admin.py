"""A real admin API: uvicorn on a free port, over a real registry in a SQLite file, in a thread of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import uvicorn
from fastapi import FastAPI

from penstock_adapters.protocol.errors import Unavailable
from penstock_adapters.protocol.message import Json
from penstock_gateway.admin import create_admin
from penstock_registry.kinds import Resource
from penstock_registry.registry import Registry
from penstock_router.live import Standing

START_S = 20.0


class FixedServing(msgspec.Struct):
    """A data plane that is as told."""

    generation: int = 0
    not_ready_reason: str = ""
    standing: dict[str, list[Standing]] = {}

    def standings(self, model: str) -> list[Standing]:
        return self.standing.get(model, [])


class Reply(NamedTuple):
    """An answer. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and reason of a problem document, which is checked to be one."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["error"] == problem["detail"]
        assert problem["hint"]
        return self.status, problem["reason"]


class AdminServer:
    """What a test can turn: the observed states, the data plane, whether the store is there."""

    def __init__(self, database: str, *, body_max_bytes: int = 64 << 20) -> None:
        self.database = database
        self.body_max_bytes = body_max_bytes
        self.states: dict[str, tuple[str, str]] = {}
        self.serving = FixedServing()
        self.store_is_down = False
        self.store_ends_with_a_commit = False
        """Is it down from the next commit on?"""
        self.url = ""
        self._registry: Registry | None = None
        self._opening = asyncio.Lock()

    async def registry(self) -> Registry:
        if self.store_is_down:
            raise Unavailable("store_unavailable")
        async with self._opening:
            if self._registry is None:
                self._registry = await Registry.open(self.database, announce=self._committed)
            return self._registry

    def _committed(self, _: int) -> None:
        self.store_is_down = self.store_is_down or self.store_ends_with_a_commit

    def observed(self, deployment: str) -> tuple[str, str]:
        return self.states.get(deployment, ("PENDING", ""))

    def app(self) -> FastAPI:
        return create_admin(
            self.registry,
            self.observed,
            self.serving,
            version="0.0.test",
            allowed_hosts=("penstock.test",),
            body_max_bytes=self.body_max_bytes,
        )

    def call(self, method: str, path: str, value: object = None, /, **headers: str) -> Reply:
        """One request; `value` is sent as JSON unless it is bytes. Header names: if_match -> if-match."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.url.rpartition(":")[2]), timeout=30)
        made = {name.replace("_", "-"): text for name, text in headers.items()}
        body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        if body is not None:
            made.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, body=body, headers=made)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def apply(self, *resources: Resource, **more: object) -> Reply:
        """POST /v1/apply."""
        return self.call("POST", "/v1/apply", {"resources": [r.manifest() for r in resources], **more})

    async def aclose(self) -> None:
        if self._registry is not None:
            await self._registry.aclose()
            self._registry = None


@contextmanager
def serving(admin: AdminServer) -> Iterator[None]:
    """Run `admin` on a free port of 127.0.0.1 until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    admin.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(admin.app(), log_level="warning", lifespan="off", loop="asyncio", ws="none")
    server = uvicorn.Server(config)

    async def run() -> None:
        await server.serve(sockets=[listener])
        await admin.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive(), "uvicorn did not start"
        assert time.monotonic() < until, "uvicorn did not start in time"
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(START_S)
        listener.close()
        assert not thread.is_alive(), "uvicorn did not stop"


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[AdminServer]:
    """An admin API that is listening, with an empty registry."""
    made = AdminServer(f"sqlite+aiosqlite:///{tmp_path / 'penstock.db'}")
    with serving(made):
        yield made


@pytest.fixture
def small_admin(tmp_path: Path) -> Iterator[AdminServer]:
    """An admin API that reads bodies of at most 4096 bytes."""
    made = AdminServer(f"sqlite+aiosqlite:///{tmp_path / 'penstock.db'}", body_max_bytes=4096)
    with serving(made):
        yield made
