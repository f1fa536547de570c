"""One connection, over real sockets: framing, pipelining, timeouts, refusals, and a client that leaves."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from penstock_adapters.protocol.errors import PenstockError
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import Buffer
from penstock_gateway import http_protocol
from penstock_gateway.accepting import STALL_S
from penstock_gateway.http_protocol import State
from penstock_gateway.http_server import HttpServer
from penstock_gateway.rest_answers import Answer, error_answer, length
from penstock_gateway.rest_headers import RestHeaders
from tests.support.polling import eventually
from tests.support.raw_http import NOTHING, RawConnection, ask, get, post


class Echo:
    """Answers with method, path and body, so that a mixed-up answer is seen."""

    def __init__(self) -> None:
        self.gate: Callable[[], Awaitable[object]] | None = None
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def answer(self, method: str, path: bytes, headers: RestHeaders, body: Buffer) -> Answer | None:
        assert headers.get("host")
        self.started.set()
        if self.gate is not None:
            try:
                await self.gate()
            except asyncio.CancelledError:
                self.cancelled.set()
                return None
        said = b"%s %s " % (method.encode(), path)
        if path == b"/apart":
            return Answer(200, (length(len(said) + len(body)),), (said, body))
        content = said + bytes(body)
        return Answer(200, (length(len(content)),), (content,))

    def refusal(self, error: PenstockError) -> Answer:
        return error_answer(error)


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture
async def server(app: Echo) -> AsyncIterator[HttpServer]:
    server = HttpServer(app, Limits(body=1 << 20))
    await server.start([socket.create_server(("127.0.0.1", 0))])
    yield server
    await server.aclose()


@pytest.fixture
def port(server: HttpServer) -> int:
    return server.ports[0]


async def test_requests_follow_each_other_on_one_connection(port: int) -> None:
    async with await RawConnection.open(port) as connection:
        for body in (b"one", b"", b"three" * 10_000):
            await connection.send(post("/p", body))
            assert (await connection.answer()).body == b"POST /p " + body


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    async with await RawConnection.open(port) as connection:
        chunked = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        await connection.send(post("/1", b"a") + chunked + get("/2") + post("/3", b"z" * 100_000) + get("/4"))
        bodies = [(await connection.answer()).body for _ in range(5)]

    assert bodies == [b"POST /1 a", b"POST /c abc", b"GET /2 ", b"POST /3 " + b"z" * 100_000, b"GET /4 "]


async def test_a_request_is_the_same_however_it_is_cut(port: int) -> None:
    whole = b"\r\n" + post("/cut", b"0123456789", "X-A: b") + get("/next")
    for size in (1, 2, 3, 7, 50):
        async with await RawConnection.open(port) as connection:
            for start in range(0, len(whole), size):
                await connection.send(whole[start : start + size])
                await asyncio.sleep(0)
            assert (await connection.answer()).body == b"POST /cut 0123456789"
            assert (await connection.answer()).body == b"GET /next "


async def test_a_large_answer_in_parts_arrives_whole(port: int) -> None:
    body = bytes(range(256)) * 4000

    assert (await ask(port, post("/apart", body))).body == b"POST /apart " + body


async def test_head_is_answered_without_a_body_but_with_its_length(port: int) -> None:
    async with await RawConnection.open(port) as connection:
        await connection.send(get("/h").replace(b"GET", b"HEAD", 1) + get("/g"))
        head = await connection.answer(method="HEAD")
        after = await connection.answer()

    assert (head.status, head.headers["content-length"], after.body) == (200, "8", b"GET /g ")


async def test_continue_is_said_before_the_body_and_not_after_a_refusal(port: int) -> None:
    async with await RawConnection.open(port) as connection:
        head, _, body = post("/e", b"abc", "Expect: 100-continue").partition(b"abc")
        await connection.send(head)
        assert (await connection.answer()).status == 100
        await connection.send(body or b"abc")
        assert (await connection.answer()).body == b"POST /e abc"
    refused = b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n"
    assert (await ask(port, refused)).status == 413


async def test_a_body_over_the_cap_is_refused_unread_and_the_sender_gets_to_see_it(port: int) -> None:
    async with await RawConnection.open(port) as connection:
        await connection.send(post("/big", b"x" * (2 << 20)))
        answer = await connection.answer()

        assert (answer.status, answer.headers["penstock-reason"]) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"
        assert await connection.is_closed()


async def test_a_chunked_body_over_the_cap_is_refused(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert (await ask(port, head + b"200000\r\n")).status == 413
    assert (await ask(port, head + b"1\r\na\r\n" * 65_537)).headers["penstock-reason"] == "chunks_too_many"


async def test_a_malformed_request_after_a_good_one_is_refused_in_its_turn(port: int, app: Echo) -> None:
    release = asyncio.Event()
    app.gate = release.wait
    async with await RawConnection.open(port) as connection:
        await connection.send(get("/good") + b"nonsense\r\n\r\n")
        await app.started.wait()
        release.set()

        assert (await connection.answer()).body == b"GET /good "
        assert (await connection.answer()).status == 400
        assert await connection.is_closed()


async def test_a_client_that_leaves_cancels_its_request(port: int, app: Echo) -> None:
    app.gate = asyncio.Event().wait
    connection = await RawConnection.open(port)
    await connection.send(get("/slow"))
    await app.started.wait()
    connection.close()

    async with asyncio.timeout(5):
        await app.cancelled.wait()


async def test_connection_close_is_honoured(port: int) -> None:
    async with await RawConnection.open(port) as connection:
        await connection.send(get("/last", "Connection: close"))
        answer = await connection.answer()

        assert answer.headers["connection"] == "close"
        assert await connection.is_closed()


@pytest.mark.parametrize(
    ("sent", "part"),
    [(b"GET /v2 HT", "head"), (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "body")],
)
async def test_a_sender_that_is_too_slow_gets_408(server: HttpServer, port: int, sent: bytes, part: str) -> None:
    async with await RawConnection.open(port) as connection:
        await connection.send(sent)
        await eventually(lambda: bool(server.connections))
        [protocol] = server.connections
        await eventually(lambda: not protocol.is_idle)
        now = asyncio.get_running_loop().time()
        protocol.sweep(now)
        assert protocol.state is not State.REFUSED
        protocol.sweep(now + http_protocol.HEAD_TIMEOUT_S + 1)
        answer = await connection.answer()

        assert (answer.status, part in answer.json["error"]) == (408, True)
        assert await connection.is_closed()


async def test_idle_connections_are_closed_without_a_word(server: HttpServer, port: int) -> None:
    async with await RawConnection.open(port) as silent, await RawConnection.open(port) as served:
        await served.send(get("/x"))
        await served.answer()
        now = asyncio.get_running_loop().time()
        await eventually(lambda: len(server.connections) == 2)
        for protocol in list(server.connections):
            protocol.sweep(now + http_protocol.HEAD_TIMEOUT_S + 1)

        assert await silent.answer() == NOTHING
        await served.send(get("/again"))
        assert (await served.answer()).status == 200


async def test_a_reader_that_takes_nothing_is_cut_off(server: HttpServer, port: int) -> None:
    body = b"x" * (1 << 20)
    async with await RawConnection.open(port) as connection:
        for _ in range(12):
            connection.send_soon(post("/apart", body))
        await eventually(lambda: any(c._write_paused for c in server.connections))
        [protocol] = server.connections
        now = asyncio.get_running_loop().time()
        protocol.sweep(now)
        protocol.sweep(now + STALL_S + 1)

        await eventually(lambda: not server.connections)


async def test_repeated_heads_with_other_bodies_and_paths_are_told_apart(port: int) -> None:
    async with await RawConnection.open(port) as connection:
        for path, body in (("/a", b"111"), ("/a", b"222"), ("/b", b"333"), ("/a", b"444"), ("/a", b"55"), ("/a", b"")):
            await connection.send(post(path, body))
            assert (await connection.answer()).body == f"POST {path} ".encode() + body
        await connection.send(post("/a", b"111")[:-3])
        await connection.send(b"xyz" + post("/a", b"777"))
        assert (await connection.answer()).body == b"POST /a xyz"
        assert (await connection.answer()).body == b"POST /a 777"


async def test_a_body_takes_memory_as_it_comes_not_as_it_is_announced(server: HttpServer, port: int) -> None:
    async with await RawConnection.open(port) as connection:
        await connection.send(post("/x", b"x" * (1 << 20))[:100])
        await eventually(lambda: [c.state for c in server.connections] == [State.BODY])
        [protocol] = server.connections

        assert sys.getsizeof(protocol._body) < 4096


async def test_pipelined_requests_wait_for_a_reader_that_takes_nothing(
    server: HttpServer, port: int, app: Echo
) -> None:
    unsent: list[int] = []

    async def look() -> None:
        [protocol] = server.connections
        assert protocol._transport is not None
        unsent.append(protocol._transport.get_write_buffer_size())

    app.gate = look
    body = b"x" * (1 << 20)
    async with await RawConnection.open(port) as connection:
        for _ in range(20):
            connection.send_soon(post("/apart", body))
        await eventually(lambda: any(c._write_paused for c in server.connections))
        for _ in range(20):
            assert (await connection.answer()).body == b"POST /apart " + body

    assert len(unsent) == 20
    assert max(unsent) < len(body)  # None began while the answer before it was waiting to be taken.


async def test_an_application_without_an_answer_ends_the_connection(port: int, app: Echo) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError  # As when a library under the application was closed.

    app.gate = give_up
    async with await RawConnection.open(port) as connection:
        await connection.send(get("/x"))
        assert await connection.is_closed()


async def test_a_closed_connection_whose_reader_takes_nothing_is_cut_off(server: HttpServer, port: int) -> None:
    async with await RawConnection.open(port) as connection:
        await connection.send(get("/x"))
        await connection.answer()
        [protocol] = server.connections
        transport = protocol._transport
        assert transport is not None
        transport.set_write_buffer_limits(high=1 << 30)  # Never paused, as with a rest below the limit.
        for _ in range(12):
            await connection.send(post("/apart", b"x" * (1 << 20)))
        await eventually(lambda: protocol.is_idle and transport.get_write_buffer_size() > 0)
        await connection.send(get("/last", "Connection: close"))
        await eventually(lambda: protocol.state is State.CLOSED)
        now = asyncio.get_running_loop().time()
        protocol.sweep(now)
        protocol.sweep(now + STALL_S + 1)

        await eventually(lambda: not server.connections)
