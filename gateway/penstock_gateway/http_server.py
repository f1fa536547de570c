"""The predict listener's HTTP server: sockets, the once-a-second sweep over its connections, and a drain that loses nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from email.utils import formatdate
from typing import Final

from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_gateway.http_protocol import App, HttpProtocol

SWEEP_S: Final = 1.0
POLL_S: Final = 0.02
"""How often a drain looks whether it is over."""


class HttpServer:
    """Serves `app` on listening sockets made by somebody else (a supervisor keeps them over a worker's death)."""

    def __init__(self, app: App, limits: Limits = DEFAULT_LIMITS) -> None:
        self.app = app
        self.limits = limits
        self.draining = False
        self.date = b""
        self.connections: set[HttpProtocol] = set()
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ports(self) -> list[int]:
        return [sock.getsockname()[1] for sock in self._sockets]

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        self._sweep()
        for sock in sockets:
            # A copy of our own: closing the server must not drop connections that wait in the accept queue.
            self._sockets.append(sock.dup())
            self._servers.append(await loop.create_server(self._connection, sock=sock))

    def _connection(self) -> HttpProtocol:
        return HttpProtocol(self, asyncio.get_running_loop())

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in list(self.connections):
            connection.sweep(now)
        self._timer = loop.call_later(SWEEP_S, self._sweep)

    async def drain(self, timeout_s: float, *, linger_s: float) -> int:
        """Answer everything that was accepted, then close. Returns how many connections were cut at the timeout.

        From here on every answer says `Connection: close`, so a busy client moves on by itself. Connections that stay
        idle are closed only after `linger_s`: a request may be under way on them already.
        """
        loop = asyncio.get_running_loop()
        self.draining = True
        started = loop.time()
        await self._stop_accepting()
        while self.connections and loop.time() - started < timeout_s:
            if loop.time() - started >= linger_s:
                for connection in [c for c in self.connections if c.is_idle]:
                    connection.close()
            await asyncio.sleep(POLL_S)
        cut = len(self.connections)
        await self.aclose()
        return cut

    async def _stop_accepting(self) -> None:
        """Close the listeners, after taking in every connection the kernel has accepted for us."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            sock.setblocking(False)
            with suppress(BlockingIOError, ConnectionAbortedError, OSError):
                while True:
                    connected, _ = sock.accept()
                    await loop.connect_accepted_socket(self._connection, connected)
            sock.close()
        self._sockets.clear()

    async def aclose(self) -> None:
        """Close at once. May be called twice."""
        await self._stop_accepting()
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)
