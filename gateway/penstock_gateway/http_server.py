"""The predict listener's HTTP server: its connections, and a drain that answers every request that was accepted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from email.utils import formatdate

from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_gateway.accepting import POLL_S, Acceptor
from penstock_gateway.http_protocol import App, HttpProtocol


class HttpServer:
    """Serves `app`."""

    def __init__(self, app: App, limits: Limits = DEFAULT_LIMITS) -> None:
        self.app = app
        self.limits = limits
        self.draining = False
        self.date = b""
        self.connections: set[HttpProtocol] = set()
        self._acceptor = Acceptor(lambda: HttpProtocol(self, asyncio.get_running_loop()), self._tick)

    @property
    def ports(self) -> list[int]:
        return self._acceptor.ports

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        await self._acceptor.start(sockets)

    def _tick(self, now: float) -> None:
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in list(self.connections):
            connection.sweep(now)

    async def drain(self, timeout_s: float, *, linger_s: float) -> int:
        """Answer everything that was accepted, then close. Returns how many connections were cut at the timeout.

        From here on every answer says `Connection: close`, so a busy client moves on by itself. Connections that stay
        idle are closed only after `linger_s`: a request may be under way on them already.
        """
        loop = asyncio.get_running_loop()
        self.draining = True
        started = loop.time()
        await self._acceptor.stop_accepting()
        while self.connections and loop.time() - started < timeout_s:
            if loop.time() - started >= linger_s:
                for connection in [c for c in self.connections if c.is_idle]:
                    connection.close()
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
