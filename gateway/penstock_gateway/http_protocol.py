"""HTTP/1.1 for the predict listener: bytes to `RestApp.answer` and back, with nothing in between.

An ASGI server builds a scope, an event, two callables and three messages for each request, and copies bodies twice; here
that would be half of the gateway's time (see docs/adr). llhttp still reads every head (`http_head`). One request runs
per connection at a time; bytes of the next one wait. Timeouts are swept once a second (`http_server`), not timed singly.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Awaitable
from enum import Enum, auto
from typing import Final, Protocol, cast

from penstock_adapters.protocol.errors import PenstockError, RequestTimeout, TooLarge
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import Buffer
from penstock_adapters.protocol.wire import room
from penstock_gateway.accepting import Stall
from penstock_gateway.http_chunks import ChunkedBody
from penstock_gateway.http_head import END, Head, check_unfinished, parse_head
from penstock_gateway.rest_answers import Answer
from penstock_gateway.rest_headers import RestHeaders

PENDING_MAX: Final = 64 * 1024
"""Bytes of pipelined requests that wait; with more the socket is not read until the running request is answered."""
JOIN_MAX: Final = 64 * 1024
"""Smaller answers are one write; larger ones are written part by part, without a copy."""
REPEATED_MAX: Final = 2048
"""Longer heads are parsed each time."""
HEAD_TIMEOUT_S: Final = 10.0
BODY_GRACE_S: Final = 5.0
BODY_RATE_MIN: Final = 1024
"""Bytes a second, over the whole body, once the grace is over."""
KEEP_ALIVE_S: Final = 75.0
LINGER_S: Final = 2.0
"""How long a refused sender is read on, so that it gets to see why (a close with unread bytes resets the connection)."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINE: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}


class App(Protocol):
    """What answers: `RestApp`."""

    def answer(self, method: str, path: bytes, headers: RestHeaders, body: Buffer) -> Awaitable[Answer | None]: ...

    def refusal(self, error: PenstockError) -> Answer:
        """The answer to a message that never became a request."""
        ...


class Shared(Protocol):
    """What the connections of one listener share."""

    app: App
    limits: Limits
    draining: bool
    date: bytes
    """The current Date header line, with its line end."""
    connections: set[HttpProtocol]


class State(Enum):
    HEAD = auto()
    """Idle, or part of a head has arrived."""
    BODY = auto()
    BUSY = auto()
    """The request runs."""
    REFUSED = auto()
    """An error was written; what still comes is thrown away."""
    CLOSED = auto()


class HttpProtocol(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_body", "_buffer", "_chunks", "_filled", "_head", "_last_head", "_loop", "_received", "_served", "_shared", "_since",
        "_stall", "_task", "_transport", "_write_paused", "state",
    )  # fmt: skip

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        self._shared = shared
        self._loop = loop
        self.state = State.HEAD
        self._buffer = b""
        """Part of a head, or what came after the running request."""
        self._head: Head | None = None
        self._last_head: tuple[bytes, Head | None] = (END, None)
        """The bytes of the last head and what they mean: clients repeat themselves, and equal bytes mean the same."""
        self._body: memoryview | None = None
        self._filled = 0
        self._chunks: ChunkedBody | None = None
        self._received = 0
        self._since = 0.0
        """When the current state began."""
        self._served = False
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._write_paused = False
        self._stall = Stall()

    # -- the transport's calls ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but ancestry.
        self._since = self._loop.time()
        self._shared.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client left: its request is cancelled, all the way down to the backend."""
        self._shared.connections.discard(self)
        self.state = State.CLOSED
        self._transport = None
        self._body = self._chunks = None
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> None:
        """A FIN means gone: nobody who wants the answer half-closes, and it is how a leaving client looks."""

    def pause_writing(self) -> None:
        self._write_paused = True
        self._stall.begins(self._loop.time())

    def resume_writing(self) -> None:
        self._write_paused = False
        if self.state is State.BUSY and self._task is None:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        try:
            self._take(data)
        except PenstockError as error:
            self._refuse(error)

    # -- reading -----------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        if self.state is State.HEAD:
            self._take_head(data)
        elif self.state is State.BODY:
            self._received += len(data)
            if self._chunks is not None:
                self._take_chunks(self._chunks, data)
            else:
                self._fill(data)
        elif self.state is State.BUSY:
            self._buffer += data
            if len(self._buffer) > PENDING_MAX and self._transport is not None:
                self._transport.pause_reading()

    def _take_head(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        else:
            self._since = self._loop.time()
        at = 0
        while data.startswith(b"\r\n", at):  # RFC 9112 2.2: an empty line before the request line is read over.
            at += 2
        data = data[at:]
        known, head = self._last_head
        if data.startswith(known):
            end = len(known)
        else:
            end = data.find(END) + 4
            if end < 4:
                if data:
                    check_unfinished(data, self._shared.limits)
                self._buffer = data
                return
            raw = data[:end]
            head = parse_head(raw, self._shared.limits)
            if end <= REPEATED_MAX:
                self._last_head = (raw, head)
        assert head is not None
        self._head = head
        self._begin(head, data[end:])

    def _begin(self, head: Head, rest: bytes) -> None:
        """The head is here: find out about the body. Raises TooLarge."""
        length = head.length
        if length == 0:
            self._run(b"", rest)
        elif length is None:
            self._chunks = ChunkedBody(self._shared.limits)
            self._await_body(rest)
        elif length > self._shared.limits.body:
            raise TooLarge("body_too_large", limit=self._shared.limits.body)
        elif len(rest) >= length:
            self._run(*((rest, b"") if len(rest) == length else (rest[:length], rest[length:])))
        else:
            self._body = room(length)
            self._filled = 0
            self._await_body(rest)

    def _await_body(self, rest: bytes) -> None:
        assert self._head is not None
        self.state = State.BODY
        self._since = self._loop.time()
        self._received = 0
        if self._head.expects_continue and not rest and self._transport is not None:
            self._transport.write(_CONTINUE)
        if rest:
            self._take(rest)

    def _fill(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        start = self._filled
        end = start + len(data)
        if end < len(body):
            body[start:end] = data
            self._filled = end
            return
        used = len(body) - start
        body[start:] = data if used == len(data) else memoryview(data)[:used]
        self._body = None
        self._run(body, data[used:])

    def _take_chunks(self, chunks: ChunkedBody, data: bytes) -> None:
        rest = chunks.feed(data)
        if rest is not None:
            self._chunks = None
            self._run(chunks.body(), rest)

    # -- answering ---------------------------------------------------------------------------------------------------

    def _run(self, body: Buffer, rest: bytes) -> None:
        assert self._head is not None
        self.state = State.BUSY
        self._buffer = rest
        self._task = self._loop.create_task(self._answer(self._head, body))

    async def _answer(self, head: Head, body: Buffer) -> None:
        try:
            answer = await self._shared.app.answer(head.method, head.path, head.headers, body)
        except asyncio.CancelledError:
            if self._transport is not None:
                self._transport.abort()  # The process is stopping and its patience is over.
                raise
            return
        self._task = None
        if self._transport is None:
            return
        if answer is None:
            self.abort()  # Nobody was to be left, yet somebody is: better closed than waiting for ever.
            return
        keep_alive = head.keep_alive and not self._shared.draining
        self._write(self._transport, answer, keep_alive=keep_alive, with_body=head.method != "HEAD")
        if not keep_alive:
            self.close()
            return
        self._head = None
        self._served = True
        if not self._write_paused:  # Else whoever sends requests without reading answers would fill our memory.
            self._await_head()

    def _await_head(self) -> None:
        self.state = State.HEAD
        self._since = self._loop.time()
        if self._buffer and self._transport is not None:
            self._continue(self._transport)

    def _continue(self, transport: asyncio.Transport) -> None:
        """The next pipelined request."""
        waiting, self._buffer = self._buffer, b""
        if len(waiting) > PENDING_MAX:
            transport.resume_reading()
        self.data_received(waiting)

    def _write(self, transport: asyncio.Transport, answer: Answer, *, keep_alive: bool, with_body: bool) -> None:
        lines = [_STATUS_LINE.get(answer.status) or b"HTTP/1.1 %d \r\n" % answer.status, self._shared.date]
        for name, value in answer.headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
        parts = answer.parts if with_body else ()
        if sum(map(len, parts)) <= JOIN_MAX:
            transport.write(b"".join((*lines, *parts)))
        else:
            transport.writelines((b"".join(lines), *parts))

    def _refuse(self, error: PenstockError) -> None:
        """Answer, say that nothing follows, and throw away what still comes."""
        transport = self._transport
        self._body = self._chunks = None
        self._buffer = b""
        if transport is None or transport.is_closing():
            return
        self.state = State.REFUSED
        self._since = self._loop.time()
        self._write(transport, self._shared.app.refusal(error), keep_alive=False, with_body=True)
        if transport.can_write_eof():
            transport.write_eof()

    def close(self) -> None:
        self.state = State.CLOSED
        self._stall.begins(self._loop.time())
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self.state = State.CLOSED
        if self._transport is not None:
            self._transport.abort()

    # -- the sweep ---------------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Between two requests, with nothing half read."""
        return self.state is State.HEAD and not self._buffer and not self._write_paused

    def sweep(self, now: float) -> None:
        """Called about once a second: end what takes too long."""
        age = now - self._since
        if self._write_paused or self.state is State.CLOSED:
            if self._transport is not None and self._stall.lasts(self._transport.get_write_buffer_size(), now):
                self.abort()
        elif self.state is State.HEAD:
            if self._buffer and age > HEAD_TIMEOUT_S:
                self._refuse(RequestTimeout("request_too_slow", part="head"))
            elif not self._buffer and age > (KEEP_ALIVE_S if self._served else HEAD_TIMEOUT_S):
                self.close()
        elif self.state is State.BODY:
            if age > BODY_GRACE_S and self._received < age * BODY_RATE_MIN:
                self._refuse(RequestTimeout("request_too_slow", part="body"))
        elif self.state is State.REFUSED and age > LINGER_S:
            self.abort()
