"""The three listeners of one process: started together on sockets made before, drained together in an order that loses nothing.

Stopping: readiness goes first and a pause lets load balancers see it; then nothing new is accepted, everything accepted is
answered, and what is left at the end of the patience is cut. A second signal ends the patience at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
import uvicorn
from uvicorn._types import ASGIApplication

from penstock_gateway.h2_server import H2Server
from penstock_gateway.http_server import HttpServer

BACKLOG: Final = 2048
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class Address(msgspec.Struct, frozen=True):
    """Where to listen; port 0 = any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Addresses(msgspec.Struct, frozen=True):
    """Of the three listeners; None = that one is off."""

    http: Address
    grpc: Address | None = None
    admin: Address | None = None


class Drain(msgspec.Struct, frozen=True):
    """How a process stops, in seconds. `linger_s`: how long idle keep-alive connections are kept for a last request."""

    notice_s: float = 1.0
    """Between readiness going and the listeners closing."""
    linger_s: float = 1.0
    patience_s: float = 30.0


class WorkerSockets(msgspec.Struct):
    """What one process listens on; None = that listener is off."""

    http: socket.socket
    grpc: socket.socket | None = None
    admin: socket.socket | None = None

    def close(self) -> None:
        """Close this process's copies; others keep theirs."""
        for sock in (self.http, self.grpc, self.admin):
            if sock is not None:
                sock.close()


def listening_socket(address: Address, *, reuse_port: bool = False) -> socket.socket:
    """A socket that listens. Raises OSError, with the address as its `filename`, if it is taken or not ours."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG, reuse_port=reuse_port)
    except OSError as error:
        error.filename = str(address)
        raise


class _AdminServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listeners:
    """The listeners of one process."""

    def __init__(self, http: HttpServer, grpc: H2Server | None, admin: ASGIApplication | None, drain: Drain) -> None:
        self._http = http
        self._grpc = grpc
        self._drain = drain
        self._admin = None if admin is None else _AdminServer(_admin_config(admin))
        self._admin_task: asyncio.Task[None] | None = None

    async def start(self, sockets: WorkerSockets) -> Addresses:
        """Begin to serve; returns where."""
        grpc = None
        if self._grpc is not None and sockets.grpc is not None:
            grpc = _address(sockets.grpc)
            await self._grpc.start([sockets.grpc])
        admin = None
        if self._admin is not None and sockets.admin is not None:
            admin = _address(sockets.admin)
            self._admin_task = asyncio.create_task(self._admin.serve([sockets.admin]))
        http = _address(sockets.http)
        await self._http.start([sockets.http])
        return Addresses(http, grpc, admin)

    async def drain(self) -> int:
        """Stop as the module says; the caller has taken readiness away. Returns how many connections were cut."""
        await asyncio.sleep(self._drain.notice_s)
        patience_s = self._drain.patience_s
        drains = [self._http.drain(patience_s, linger_s=self._drain.linger_s)]
        if self._grpc is not None:
            drains.append(self._grpc.drain(patience_s))
        cut = sum(await asyncio.gather(*drains))
        await self._stop_admin()
        return cut

    async def abort(self) -> None:
        """Stop at once."""
        await self._http.aclose()
        if self._grpc is not None:
            await self._grpc.aclose()
        await self._stop_admin()

    async def _stop_admin(self) -> None:
        if self._admin is not None and self._admin_task is not None:
            self._admin.should_exit = True
            await self._admin_task
            self._admin_task = None


def _admin_config(app: ASGIApplication) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )


def _address(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return Address(host, port)


async def serve(
    listeners: Listeners,
    sockets: WorkerSockets,
    *,
    started: Callable[[Addresses], None],
    draining: Callable[[], None],
    parent: int | None = None,
) -> int:
    """Serve until SIGTERM, SIGINT, or the end of the supervisor, then drain. Returns how many connections were cut.

    `started` is told the addresses; `draining` takes readiness away. `parent` is the read end of a pipe whose other end
    the supervisor holds: it ends with it.
    """
    loop = asyncio.get_running_loop()
    stop, now = asyncio.Event(), asyncio.Event()

    def stopping() -> None:
        if stop.is_set():
            now.set()
        stop.set()

    def orphaned() -> None:
        if parent is not None:
            loop.remove_reader(parent)
        stop.set()

    for number in _STOPPING:
        loop.add_signal_handler(number, stopping)
    if parent is not None:
        loop.add_reader(parent, orphaned)
    try:
        started(await listeners.start(sockets))
        await stop.wait()
        draining()
        return await _drain_or_abort(listeners, now)
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)


async def _drain_or_abort(listeners: Listeners, now: asyncio.Event) -> int:
    drain = asyncio.create_task(listeners.drain())
    impatient = asyncio.create_task(now.wait())
    await asyncio.wait((drain, impatient), return_when=asyncio.FIRST_COMPLETED)
    impatient.cancel()
    if not drain.done():
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)
        await listeners.abort()
        return 0
    return drain.result()


def worker_sockets(addresses: Addresses, workers: int) -> list[WorkerSockets]:
    """Sockets for each of `workers` processes. Raises OSError if an address is taken or not ours.

    Each worker has a queue of its own (SO_REUSEPORT): the kernel spreads connections evenly, and because the supervisor
    holds every socket too, connections that wait in a dead worker's queue are there for its successor.
    """
    rows = [_shared(address, workers) for address in (addresses.http, addresses.grpc, addresses.admin)]
    return [WorkerSockets(http, grpc, admin) for http, grpc, admin in zip(*rows, strict=True) if http is not None]


def _shared(address: Address | None, count: int) -> Sequence[socket.socket | None]:
    if address is None:
        return [None] * count
    first = listening_socket(address, reuse_port=count > 1)
    return [first, *(listening_socket(_address(first), reuse_port=True) for _ in range(count - 1))]
