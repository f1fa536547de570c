"""A real admin API: uvicorn on a free port, over a real registry in a SQLite file, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import uvicorn
from fastapi import FastAPI

from penstock_adapters.protocol.errors import Unavailable
from penstock_gateway.admin import create_admin
from penstock_registry.registry import Registry

START_S = 20.0


class FixedServing(msgspec.Struct):
    """A data plane that is as told."""

    generation: int = 0
    not_ready_reason: str = ""


class AdminServer:
    """What a test can turn: the observed states, the data plane, whether the store is there."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.states: dict[str, tuple[str, str]] = {}
        self.serving = FixedServing()
        self.store_is_down = False
        self.url = ""
        self._registry: Registry | None = None

    async def registry(self) -> Registry:
        if self.store_is_down:
            raise Unavailable("store_unavailable")
        if self._registry is None:
            self._registry = await Registry.open(self.database)
        return self._registry

    def observed(self, deployment: str) -> tuple[str, str]:
        return self.states.get(deployment, ("PENDING", ""))

    def app(self, *, body_max_bytes: int = 64 << 20) -> FastAPI:
        return create_admin(
            self.registry,
            self.observed,
            self.serving,
            version="0.0.test",
            allowed_hosts=("penstock.test",),
            body_max_bytes=body_max_bytes,
        )

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
