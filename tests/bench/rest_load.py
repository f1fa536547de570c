"""Closed-loop REST load over keep-alive connections: asyncio.Protocol and just enough HTTP to find an answer's end."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Sequence
from typing import cast

from tests.bench.answers import Checker, Head, read_head
from tests.bench.jobs import Job
from tests.bench.rest_wire import http_request

STALL_S = 20.0
"""A run in which nothing is answered for so long is given up."""


class Schedule:
    """Hands out call numbers until the job's requests are used up, and knows when all are answered."""

    def __init__(self, requests: int, distinct: int) -> None:
        self._left = requests
        self._distinct = distinct
        self._running = requests
        self.done = asyncio.get_running_loop().create_future()

    def take(self) -> int | None:
        if self._left == 0:
            return None
        self._left -= 1
        return self._left % self._distinct

    def answered(self) -> None:
        self._running -= 1
        if self._running == 0 and not self.done.done():
            self.done.set_result(None)

    @property
    def running(self) -> int:
        return self._running


class Caller(asyncio.Protocol):
    """One connection with one request in flight."""

    def __init__(self, wires: Sequence[bytes], schedule: Schedule, checker: Checker, latencies: array[int]) -> None:
        self._wires = wires
        self._schedule = schedule
        self._checker = checker
        self._latencies = latencies
        self._transport = cast("asyncio.Transport", None)
        self._index: int | None = None
        self._sent = 0
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send_next(self) -> None:
        self._index = self._schedule.take()
        if self._index is not None:
            self._sent = time.perf_counter_ns()
            self._transport.write(self._wires[self._index])

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            data = self._read_head(data)
            if self._head is None:
                return
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        self._latencies.append(time.perf_counter_ns() - self._sent)
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        head, self._head, self._parts = self._head, None, []
        self._judge(head, body)
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._index is not None:
            self._index = None
            self._checker.fail(f"the connection was closed in mid-request: {error}")
            self._schedule.answered()

    def _read_head(self, data: bytes) -> bytes:
        """Take the head off what has come; the rest of the data is returned. Sets `_head` when it is complete."""
        data = b"".join((*self._parts, data))
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._parts = [data]
            return b""
        try:
            self._head = read_head(data[:end])
        except ValueError as error:
            self._checker.fail(str(error))
            self._index = None
            self._schedule.answered()
            self._transport.abort()
            return b""
        self._parts, self._missing = [], self._head.content_length
        return data[end + 4 :]

    def _judge(self, head: Head, body: bytes) -> None:
        index, self._index = self._index, None
        assert index is not None
        if head.status == 200:
            self._checker.check(index, body, head.header_length)
        else:
            self._checker.fail(f"status {head.status}: {body[:120]!r}")
        self._schedule.answered()


async def run_rest(job: Job, checker: Checker, latencies: array[int]) -> None:
    """Send the job's requests and wait for the last answer. A lost connection ends its share of the load early."""
    wires = [http_request(call, job.form, job.port) for call in checker.calls]
    schedule = Schedule(job.requests, len(wires))
    loop = asyncio.get_running_loop()
    make: Callable[[], Caller] = lambda: Caller(wires, schedule, checker, latencies)  # noqa: E731
    pairs = [await loop.create_connection(make, "127.0.0.1", job.port) for _ in range(job.connections)]
    for _, caller in pairs:
        caller.send_next()
    before = -1
    while not schedule.done.done() and schedule.running != before:
        before = schedule.running
        await asyncio.wait([schedule.done], timeout=STALL_S)
    for _ in range(schedule.running):
        checker.fail("never answered")
    for transport, _ in pairs:
        transport.close()
