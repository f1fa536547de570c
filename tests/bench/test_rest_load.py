from __future__ import annotations

import asyncio
from array import array

from tests.bench.answers import Checker
from tests.bench.calls import small
from tests.bench.jobs import Form, Job
from tests.bench.rest_load import run_rest
from tests.bench.upstream import Connection


class Faulty(Connection):
    """Flips the last byte of every answer of a connection's third request, and refuses its fifth."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def _send(self, status: int, document: bytes, raw: list[memoryview]) -> None:
        self.count += 1
        if self.count == 3:
            raw[-1] = memoryview(bytes(raw[-1][:-1]) + b"\x77")
        super()._send(503 if self.count == 5 else status, document, raw)


async def load(protocol: type[Connection], form: Form, requests: int) -> Checker:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    checker, latencies = Checker([small("digits", index) for index in range(5)], form), array("q")
    try:
        await run_rest(Job(port, form, requests, connections=2), checker, latencies)
    finally:
        server.close()
    return checker


async def test_every_answer_of_the_fake_upstream_is_right() -> None:
    for form in ("json", "binary"):
        checker = await load(Connection, form, 50)

        assert (checker.ok, checker.wrong, checker.failed) == (50, 0, 0), checker.first_complaint


async def test_a_wrong_byte_and_a_refusal_are_counted_apart() -> None:
    checker = await load(Faulty, "binary", 40)

    assert (checker.ok, checker.wrong, checker.failed) == (36, 2, 2)


class Closing(Connection):
    """Hangs up instead of answering."""

    def on_message_complete(self) -> None:
        self._transport.close()


async def test_a_lost_connection_is_a_failure() -> None:
    checker = await load(Closing, "json", 2)

    assert (checker.ok, checker.failed) == (0, 2)
