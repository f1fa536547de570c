"""The hot path's HTTP/1.1 client: a bounded keep-alive pool to one server, on asyncio and httptools.

It exists because forwarding is what Penstock does: a small request costs a tenth of a general client's CPU here. It
does what forwarding needs and no more: known lengths out, known lengths or chunks in, identity coding, caps on all that
comes back. No redirects, no cookies, no compression, no proxies. Everything else in the project uses aiohttp.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import NamedTuple
from urllib.parse import urlsplit

from penstock_adapters.deadlines import EarliestTimer
from penstock_adapters.http1_connection import AnswerCaps, Connection, Garbage, Late, Lost, Response
from penstock_adapters.protocol.errors import BadBackendAnswer, DeadlineExceeded, InvalidArgument, Unavailable
from penstock_adapters.protocol.message import Buffer

IDLE_S_MAX = 30.0
"""An idle connection older than this is not used again: firewalls forget it, servers are about to close it."""


class _Waiter(NamedTuple):
    """A request that waits for a connection: it gets one, or None and with it the right to open one."""

    future: asyncio.Future[Connection | None]
    deadline: float


class HttpClient:
    """Requests to one server. Belongs to one event loop. Satisfies http1_connection.Owner."""

    def __init__(
        self,
        url: str,
        *,
        connections_max: int = 64,
        waiters_max: int = 1024,
        connect_timeout_s: float = 1.0,
        caps: AnswerCaps | None = None,
    ) -> None:
        """`url` is http[s]://host[:port], without a path. Raises InvalidArgument if it is not."""
        self._host, self._port, self._ssl = _address(url)
        self._head = b" HTTP/1.1\r\nhost: %s\r\n" % _host_header(self._host, self._port, self._ssl)
        self._connections_max = connections_max
        self._waiters_max = waiters_max
        self._connect_timeout_s = connect_timeout_s
        self._caps = caps or AnswerCaps()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._open = 0  # connections made and being made
        self._waiters: deque[_Waiter] = deque()
        self._timer = EarliestTimer(self._sweep)
        self._closed = False
        self._empty: asyncio.Event = asyncio.Event()

    async def request(
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (),
        parts: Sequence[Buffer] = (),
        *,
        deadline: float = inf,
        idempotent: bool = False,
        model: str = "",
    ) -> Response:
        """Send one request, return its answer, whatever its status.

        `deadline` is absolute, on the loop's clock. `idempotent` allows one more try on a new connection if a pooled one
        turns out to be closed: the server may or may not have seen the first. `model` is whom the errors name. Raises
        Unavailable (nothing was answered), BadBackendAnswer, DeadlineExceeded. A cancelled call closes its connection.
        """
        start = asyncio.get_running_loop().time()
        size = 0
        for part in parts:
            size += len(part)
        lines = [method, b" ", target, self._head]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"content-length: %d\r\n\r\n" % size)
        head = b"".join(lines)
        if head.count(b"\n") != len(headers) + 4:
            raise ValueError("a line break in a header or target would begin another request")
        if deadline < self._timer.at:
            self._timer.arm(deadline)  # a deadline that has passed ends the call at the first wait
        try:
            connection = self._pooled(start) or await self._acquire(deadline, model)
            reused = connection.reused
            try:
                return await self._exchange(connection, head, parts, size, deadline)
            except Lost:
                if not (reused and idempotent):
                    raise
            return await self._exchange(await self._fresh(deadline, model), head, parts, size, deadline)
        except (Lost, OSError):
            raise Unavailable("backend_unreachable", model=model) from None
        except Garbage as garbage:
            raise BadBackendAnswer("backend_answer", model=model, problem=garbage.args[0]) from None
        except Late:
            raise DeadlineExceeded("deadline_exceeded", timeout_ms=max(0, round((deadline - start) * 1000))) from None

    async def _exchange(
        self, connection: Connection, head: bytes, parts: Sequence[Buffer], size: int, deadline: float
    ) -> Response:
        future = connection.send(head, parts, size, deadline)
        if deadline < self._timer.at:
            self._timer.arm(deadline)  # a sweep while the connection was opening or handed over has not seen this call
        try:
            return await future
        except asyncio.CancelledError:
            if connection.future is future:
                connection.fail(Lost())  # its answer is still to come: nobody else may read it
            raise

    async def aclose(self) -> None:
        """Close every connection, fail every call. May be called twice."""
        self._closed = True
        self._timer.cancel()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_exception(Lost())
        for connection in tuple(self._all):
            connection.fail(Lost())
        self._idle.clear()
        while self._all:
            self._empty.clear()
            await self._empty.wait()

    @property
    def connections(self) -> int:
        """Connections that are open or being opened."""
        return self._open

    # -- the pool --

    def _pooled(self, now: float) -> Connection | None:
        """The connection used last, so that surplus ones grow old and are dropped."""
        while self._idle:
            connection = self._idle.pop()
            if connection.transport.is_closing():
                continue
            if now - connection.idle_since < IDLE_S_MAX:
                return connection
            connection.transport.abort()
        return None

    async def _acquire(self, deadline: float, model: str) -> Connection:
        if self._closed:
            raise Lost
        if self._open < self._connections_max:
            self._open += 1
            return await self._connect(deadline)
        if len(self._waiters) >= self._waiters_max:
            raise Unavailable("overloaded", limit=self._connections_max + self._waiters_max, model=model)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), deadline)
        self._waiters.append(waiter)
        try:
            connection = await waiter.future
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            # The turn may have come in the very moment of the cancellation; then it goes to the next in the queue.
            elif waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                given = waiter.future.result()
                if given is None:
                    self._freed()
                else:
                    self.released(given)
            raise
        if connection is not None and not connection.transport.is_closing():
            return connection
        return await (self._acquire(deadline, model) if connection else self._connect(deadline))

    async def _fresh(self, deadline: float, model: str) -> Connection:
        """A new connection. In a full pool the oldest idle one makes room for it."""
        if self._open >= self._connections_max and self._idle:
            self._idle.pop(0).transport.abort()
        return await self._acquire(deadline, model)

    async def _connect(self, deadline: float) -> Connection:
        """Open a connection. `_open` counts it already: ended() takes that back, or we do if it never opened."""
        loop = asyncio.get_running_loop()
        give_up = min(deadline, loop.time() + self._connect_timeout_s)
        connection = Connection(self, self._caps)
        ready = False
        try:
            async with asyncio.timeout_at(give_up):
                await loop.create_connection(lambda: connection, self._host, self._port, ssl=self._ssl)
            if self._closed:
                raise Lost
            ready = True
        except TimeoutError:
            raise (Late if give_up == deadline else Lost) from None
        finally:
            if not connection.was_opened:
                self._freed()
            elif not ready:
                connection.transport.abort()
                self.ended(connection)  # uvloop never says connection_lost of a connection whose maker was cancelled
        return connection

    def opened(self, connection: Connection) -> None:
        self._all.add(connection)

    def released(self, connection: Connection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(connection)
                return
        self._idle.append(connection)

    def ended(self, connection: Connection) -> None:
        if connection not in self._all:
            return
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._freed()
        if not self._all:
            self._empty.set()

    def _freed(self) -> None:
        """One connection fewer: the next waiter may open one, under the same count."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(None)
                return
        self._open -= 1

    def _sweep(self, now: float) -> float:
        nearest = inf
        for connection in tuple(self._all):
            if connection.future is None:
                continue
            if connection.deadline <= now:
                connection.fail(Late())
            else:
                nearest = min(nearest, connection.deadline)
        for waiter in tuple(self._waiters):
            if waiter.future.done():
                continue
            if waiter.deadline <= now:
                self._waiters.remove(waiter)
                waiter.future.set_exception(Late())
            else:
                nearest = min(nearest, waiter.deadline)
        return nearest


def _address(url: str) -> tuple[str, int, ssl.SSLContext | None]:
    expected = "http[s]://host[:port], in ASCII, without path or credentials"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidArgument("url_invalid", where="endpoint", expected=expected) from None
    plain = not (parts.query or parts.fragment or parts.username is not None) and parts.path in {"", "/"}
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.hostname.isascii() or not plain:
        raise InvalidArgument("url_invalid", where="endpoint", expected=expected)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    return parts.hostname, port or (443 if context else 80), context


def _host_header(host: str, port: int, context: ssl.SSLContext | None) -> bytes:
    name = f"[{host}]" if ":" in host else host
    return (name if port == (443 if context else 80) else f"{name}:{port}").encode("ascii")
