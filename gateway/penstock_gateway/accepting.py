"""Listening sockets of one kind of connection: accept, sweep once a second, and stop without losing who waits in the queue."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

SWEEP_S: Final = 1.0
STALL_S: Final = 30.0
"""A reader that takes nothing for so long is cut off."""
POLL_S: Final = 0.02
"""How often a drain looks whether it is over."""


class Swept(Protocol):
    """A connection, as far as its listener is concerned."""

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        ...

    def abort(self) -> None: ...


class Stall:
    """Finds out that a reader has taken nothing for too long."""

    __slots__ = ("_since", "_unsent")

    def __init__(self) -> None:
        self._since = 0.0
        self._unsent = -1

    def begins(self, now: float) -> None:
        """The transport has more unsent bytes than it likes."""
        self._since, self._unsent = now, -1

    def lasts(self, unsent: int, now: float) -> bool:
        """True once nothing has been taken for STALL_S."""
        if unsent != self._unsent:
            self._unsent, self._since = unsent, now
        return now - self._since > STALL_S


class Acceptor:
    """Accepts on sockets made by somebody else (a supervisor keeps them over a worker's death)."""

    def __init__(self, connect: Callable[[], asyncio.Protocol], tick: Callable[[float], None]) -> None:
        """`connect` makes the protocol of one connection; `tick` is called about once a second with the loop's time."""
        self._connect = connect
        self._tick = tick
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
            # Copies share one blocking mode, and `dup` sets it anew: a blocking accept would stop the event loop.
            sock.setblocking(False)
            # A copy of our own: closing the server must not drop connections that wait in the accept queue.
            self._sockets.append(sock.dup())
            self._servers.append(await loop.create_server(self._connect, sock=sock))

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._tick(loop.time())
        self._timer = loop.call_later(SWEEP_S, self._sweep)

    async def stop_accepting(self) -> None:
        """Close the sockets, after taking in every connection the kernel has accepted for us."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            with suppress(OSError):  # BlockingIOError: the queue is empty.
                while True:
                    connected, _ = sock.accept()
                    await loop.connect_accepted_socket(self._connect, connected)
            sock.close()
        self._sockets.clear()

    async def aclose(self) -> None:
        """May be called twice."""
        await self.stop_accepting()
        if self._timer is not None:
            self._timer.cancel()
