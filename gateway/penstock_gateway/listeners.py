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
from typing import Final, Protocol

import msgspec
import uvicorn
from uvicorn._types import ASGIApplication

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
    """What one process listens on. The gRPC library binds for itself: it gets an address."""

    http: socket.socket
    admin: socket.socket | None = None
    grpc: Address | None = None

    def close(self) -> None:
        """Close this process's copies; others keep theirs."""
        self.http.close()
        if self.admin is not None:
            self.admin.close()


class Grpc(Protocol):
    """The gRPC listener: `GrpcServer`."""

    async def start(self, address: str) -> int: ...

    async def drain(self, timeout_s: float) -> None: ...


def listening_socket(address: Address, *, reuse_port: bool = False) -> socket.socket:
    """A socket that listens. Raises OSError if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG, reuse_port=reuse_port)


class _AdminServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listeners:
    """The listeners of one process."""

    def __init__(self, http: HttpServer, grpc: Grpc | None, admin: ASGIApplication | None, drain: Drain) -> None:
        self._http = http
        self._grpc = grpc
        self._drain = drain
        self._admin = None if admin is None else _AdminServer(_admin_config(admin))
        self._admin_task: asyncio.Task[None] | None = None

    async def start(self, sockets: WorkerSockets) -> Addresses:
        """Begin to serve; returns where. Raises OSError or RuntimeError if the gRPC port cannot be bound."""
        grpc = None
        if self._grpc is not None and sockets.grpc is not None:
            port = await self._grpc.start(str(sockets.grpc))
            grpc = Address(sockets.grpc.host, port)
        admin = None
        if self._admin is not None and sockets.admin is not None:
            admin = _address(sockets.admin)
            self._admin_task = asyncio.create_task(self._admin.serve([sockets.admin]))
        http = _address(sockets.http)
        await self._http.start([sockets.http])
        return Addresses(http, grpc, admin)

    async def drain(self) -> int:
        """Stop as the module says; the caller has taken readiness away. Returns how many HTTP connections were cut."""
        await asyncio.sleep(self._drain.notice_s)
        grpc = self._grpc.drain(self._drain.patience_s) if self._grpc is not None else asyncio.sleep(0)
        http = self._http.drain(self._drain.patience_s, linger_s=self._drain.linger_s)
        cut, _ = await asyncio.gather(http, grpc)
        await self._stop_admin()
        return cut

    async def abort(self) -> None:
        """Stop at once."""
        await self._http.aclose()
        if self._grpc is not None:
            await self._grpc.drain(0)
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


def worker_sockets(addresses: Addresses, workers: int) -> tuple[list[WorkerSockets], Sequence[socket.socket]]:
    """Sockets for each of `workers` processes, and those that only reserve a port; hold on to all of them.

    Each worker has a queue of its own (SO_REUSEPORT): the kernel spreads connections evenly, and because the supervisor
    holds every socket too, connections that wait in a dead worker's queue are there for its successor.
    """
    with contextlib.ExitStack() as undo:
        made = _made(addresses, workers, undo)
        undo.pop_all()
        return made


def _made(
    addresses: Addresses, workers: int, undo: contextlib.ExitStack
) -> tuple[list[WorkerSockets], Sequence[socket.socket]]:
    """`undo` closes what was bound before an address that is taken."""
    if workers == 1:
        admin = undo.enter_context(listening_socket(addresses.admin)) if addresses.admin else None
        return [WorkerSockets(undo.enter_context(listening_socket(addresses.http)), admin, addresses.grpc)], ()
    reserved = []
    grpc = addresses.grpc
    if grpc is not None and grpc.port == 0:
        placeholder = undo.enter_context(socket.socket(socket.AF_INET6 if ":" in grpc.host else socket.AF_INET))
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        placeholder.bind((grpc.host, 0))
        reserved.append(placeholder)
        grpc = _address(placeholder)
    http = _shared(addresses.http, workers, undo)
    shared = _shared(addresses.admin, workers, undo) if addresses.admin else None
    admins: Sequence[socket.socket | None] = shared or [None] * workers
    return [WorkerSockets(h, a, grpc) for h, a in zip(http, admins, strict=True)], reserved


def _shared(address: Address, count: int, undo: contextlib.ExitStack) -> list[socket.socket]:
    sockets = [undo.enter_context(listening_socket(address, reuse_port=True))]
    bound = _address(sockets[0])
    return sockets + [undo.enter_context(listening_socket(bound, reuse_port=True)) for _ in range(count - 1)]
