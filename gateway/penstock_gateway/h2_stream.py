"""One HTTP/2 stream of the gRPC listener: a call's bytes in, its answer out under both flow-control windows."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from penstock_adapters.protocol.errors import InvalidArgument, PenstockError, RateLimited
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import Buffer
from penstock_gateway.accepting import Stall
from penstock_gateway.grpc_wire import PREFIX_SIZE, RESPONSE_HEADERS, Bytes, announced_size, prefix, unpacked
from penstock_gateway.h2_bounds import BODY_GRACE_S, BODY_RATE_MIN
from penstock_gateway.h2_frames import DATA, END_HEADERS, END_STREAM, FRAME_MAX, HEADERS, frame_header
from penstock_gateway.h2_headers import Fields

WAITING_MAX: Final = 64
"""Messages of a streaming call that wait to be read."""
UNSENT_MAX: Final = 1 << 20
"""Bytes of a streaming answer that may wait for a client that gives no credit for them."""


class Calls(Protocol):
    """Who answers: `GrpcApp`."""

    def begin(self, stream: Stream) -> None:
        """A call's headers are here. A streaming call may start."""
        ...

    def ready(self, stream: Stream) -> None:
        """A call's request is complete."""
        ...

    def refuse(self, stream: Stream, error: PenstockError) -> None:
        """Answer with an error instead."""
        ...


class Connection(Protocol):
    """What a stream needs of its connection."""

    limits: Limits
    send_window: int
    write_paused: bool

    def write(self, *parts: Buffer) -> None: ...

    def forget(self, stream: Stream) -> None:
        """The stream is over on our side."""
        ...

    def blocked(self, stream: Stream) -> None:
        """The stream has more to send than the windows let it."""
        ...


class Stream:
    """`fields` are the request's headers. A unary call's message is `message()` once it is complete; a streaming one's
    are awaited with `next_message()`.
    """

    __slots__ = (
        "_arrived", "_body", "_connection", "_pending", "_started", "_trailers", "ended", "fields", "id", "opened", "over",
        "received", "recv_window", "rejected", "send_window", "stall", "streaming", "task", "waiting",
    )  # fmt: skip

    def __init__(self, connection: Connection, number: int, fields: Fields, windows: tuple[int, int]) -> None:
        self._connection = connection
        self.id = number
        self.fields = fields
        self.recv_window, self.send_window = windows
        self.opened = 0.0
        self.received = 0
        self.ended = False
        """The client has sent everything."""
        self.over = False
        """Nothing may be sent any more: it was answered, or reset, or its connection is gone."""
        self.rejected = False
        self.streaming = False
        self.task: asyncio.Task[None] | None = None
        self.waiting: deque[bytes] = deque()
        self._arrived: asyncio.Event | None = None
        self._body: Bytes = b""
        self._pending: deque[memoryview] = deque()
        self.stall = Stall()
        self._trailers: bytes | None = None
        self._started = False

    # -- the request -------------------------------------------------------------------------------------------------

    def take(self, payload: bytes) -> None:
        """Bytes of the request. Raises TooLarge as soon as a message announces more than the cap, InvalidArgument for
        more bytes than a unary call's message announces.
        """
        self.received += len(payload)
        if not self._body:
            self._body = payload
        elif isinstance(self._body, bytearray):
            self._body += payload
        else:
            self._body = bytearray(self._body + payload)
        if not self.streaming:
            size = announced_size(self._body, self._connection.limits.body)
            if size is not None and len(self._body) > size:
                raise _not_one_message()
            return
        while (size := announced_size(self._body, self._connection.limits.body)) is not None:
            if len(self._body) < size:
                return
            if len(self.waiting) >= WAITING_MAX:
                raise RateLimited("rate_limited", retry_after_s=1)
            self.waiting.append(self._unpacked(self._body[:size]))
            self._body = bytes(self._body[size:])
            self.arrived()

    def _unpacked(self, data: Bytes) -> bytes:
        return unpacked(data, self.fields.get("grpc-encoding", ""), self._connection.limits.body)

    def message(self) -> bytes:
        """The one message of a unary call. Raises InvalidArgument if it holds another number, else as `unpacked` does."""
        if announced_size(self._body, self._connection.limits.body) != len(self._body):
            raise _not_one_message()
        body, self._body = self._body, b""
        return self._unpacked(body)

    def arrived(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    async def next_message(self) -> bytes | None:
        """The next message of a streaming call; None = the client has sent all."""
        while not self.waiting:
            if self.ended:
                return None
            self._arrived = asyncio.Event()
            await self._arrived.wait()
        return self.waiting.popleft()

    def comes_too_slowly(self, now: float) -> bool:
        """Is a unary call's message slower than a client that means it?"""
        age = now - self.opened
        waited_for = not (self.ended or self.streaming or self.rejected)
        return waited_for and age > BODY_GRACE_S and self.received < age * BODY_RATE_MIN

    def cancel(self) -> None:
        """The client does not want the answer any more."""
        self.over = True
        if self.task is not None:
            self.task.cancel()

    def reject(self) -> None:
        """An error is about to be answered instead of whatever the task would say."""
        self.rejected = True
        if self.task is not None:
            self.task.cancel()

    # -- the answer --------------------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes of the answer that wait for the windows."""
        return sum(map(len, self._pending))

    def reply(self, message: bytes, trailers: bytes) -> None:
        """One message and the end: a unary answer. In one write if the windows allow it, as they mostly do."""
        size = PREFIX_SIZE + len(message)
        connection = self._connection
        if (
            self.over
            or size > FRAME_MAX
            or size > connection.send_window
            or size > self.send_window
            or connection.write_paused
        ):
            self.send(message)
            self.finish(trailers)
            return
        connection.send_window -= size
        connection.write(
            frame_header(len(RESPONSE_HEADERS), HEADERS, END_HEADERS, self.id),
            RESPONSE_HEADERS,
            frame_header(size, DATA, 0, self.id),
            prefix(len(message)),
            message,
            frame_header(len(trailers), HEADERS, END_HEADERS | END_STREAM, self.id),
            trailers,
        )
        connection.forget(self)

    def send(self, message: bytes) -> None:
        """One message of several. Raises RateLimited while too much of the earlier ones waits."""
        if self.over:
            return
        if self.unsent > UNSENT_MAX:
            raise RateLimited("rate_limited", retry_after_s=1)
        if not self._started:
            self._started = True
            self._connection.write(frame_header(len(RESPONSE_HEADERS), HEADERS, END_HEADERS, self.id), RESPONSE_HEADERS)
        self._pending.append(memoryview(prefix(len(message))))
        if message:
            self._pending.append(memoryview(message))
        self.pump()

    def finish(self, trailers: bytes) -> None:
        """The end, after everything that waits. Without any message the answer is its trailers only."""
        if self.over:
            return
        if not self._started:
            self._started = True
            trailers = RESPONSE_HEADERS + trailers
        self._trailers = trailers
        self.pump()

    def pump(self) -> None:
        """Send what the windows let through."""
        if self.over:
            return
        connection = self._connection
        parts: list[Buffer] = []
        while self._pending and not connection.write_paused:
            room = min(connection.send_window, self.send_window, FRAME_MAX)
            if room <= 0:
                break
            self._frame(parts, room)
        if parts:
            connection.write(*parts)
        if self._pending:
            connection.blocked(self)
            return
        self.stall.begins(0.0)
        if self._trailers is not None:
            trailers, self._trailers = self._trailers, None
            connection.write(frame_header(len(trailers), HEADERS, END_HEADERS | END_STREAM, self.id), trailers)
            connection.forget(self)

    def _frame(self, parts: list[Buffer], room: int) -> None:
        """One DATA frame of at most `room` bytes, from as many pending pieces as fit."""
        pieces: list[memoryview] = []
        size = 0
        while self._pending and size < room:
            piece = self._pending.popleft()
            if len(piece) > room - size:
                self._pending.appendleft(piece[room - size :])
                piece = piece[: room - size]
            pieces.append(piece)
            size += len(piece)
        self._connection.send_window -= size
        self.send_window -= size
        parts.append(frame_header(size, DATA, 0, self.id))
        parts += pieces


def _not_one_message() -> InvalidArgument:
    return InvalidArgument("framing_invalid", problem="the call needs exactly one message")
