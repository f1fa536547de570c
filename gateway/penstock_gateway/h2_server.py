"""The gRPC listener's HTTP/2 server: its connections, and a drain that answers every call that was accepted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_gateway.accepting import POLL_S, Acceptor
from penstock_gateway.h2_connection import H2Connection
from penstock_gateway.h2_stream import Calls

STREAMS_MAX = 1024
"""Calls at once on one connection."""


class H2Server:
    """Serves `calls`."""

    def __init__(self, calls: Calls, limits: Limits = DEFAULT_LIMITS, *, streams_max: int = STREAMS_MAX) -> None:
        self.calls = calls
        self.limits = limits
        self.streams_max = streams_max
        self.connections: set[H2Connection] = set()
        self._acceptor = Acceptor(lambda: H2Connection(self, asyncio.get_running_loop()), self._tick)

    @property
    def ports(self) -> list[int]:
        return self._acceptor.ports

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        await self._acceptor.start(sockets)

    def _tick(self, now: float) -> None:
        for connection in list(self.connections):
            connection.sweep(now)

    async def drain(self, timeout_s: float) -> int:
        """Answer every call that was accepted, then close. Returns how many connections were cut at the timeout."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        await self._acceptor.stop_accepting()
        told: set[H2Connection] = set()
        while self.connections and loop.time() - started < timeout_s:
            for connection in self.connections - told:
                connection.drain()
                told.add(connection)
            await asyncio.sleep(POLL_S)
        cut = len(self.connections)
        await self.aclose()
        return cut

    async def aclose(self) -> None:
        """Close at once. May be called twice."""
        await self._acceptor.aclose()
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)
