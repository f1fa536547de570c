"""What one connection makes of the bytes a server sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from penstock_adapters.http1 import HttpClient
from penstock_adapters.http1_connection import SCRATCH, AnswerCaps, Response
from penstock_adapters.protocol.errors import BadBackendAnswer, DeadlineExceeded, Unavailable
from tests.support.raw_server import Peer, RawServer, Script, always, answer, eventually, serving

CAPS = AnswerCaps(body=1 << 20, head=8192, headers=20, chunks=100)
Ask = Callable[..., Awaitable[Response]]


@pytest.fixture
async def exchange() -> AsyncIterator[Callable[[Script], Awaitable[tuple[RawServer, HttpClient]]]]:
    """Start a scripted server and a client of it."""
    opened: list[tuple[RawServer, HttpClient]] = []

    async def start(script: Script) -> tuple[RawServer, HttpClient]:
        server = await RawServer(script).__aenter__()
        client = HttpClient(server.url, caps=CAPS)
        opened.append((server, client))
        return server, client

    yield start
    for server, client in opened:
        await client.aclose()
        await server.__aexit__(None, None, None)


Exchange = Callable[[Script], Awaitable[tuple[RawServer, HttpClient]]]


async def ask(client: HttpClient, body: bytes = b"question", within_s: float = 5.0) -> Response:
    deadline = asyncio.get_running_loop().time() + within_s
    return await client.request(b"POST", b"/infer", (), (body,), deadline=deadline, model="m")


async def test_an_answer_comes_back_with_status_headers_and_body(exchange: Exchange) -> None:
    _, client = await exchange(always(answer(b"body", b"404 Not Found", b"X-One: 1", b"x-one: 2")))

    got = await ask(client)

    assert (got.status, bytes(got.body)) == (404, b"body")
    assert got.headers[b"x-one"] == b"1, 2"


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 100_000, 1 << 20])
async def test_bodies_of_every_size_come_back_whole(exchange: Exchange, size: int) -> None:
    body = bytes(i % 251 for i in range(size))
    server, client = await exchange(always(answer(body)))

    for _ in range(3):
        assert bytes((await ask(client)).body) == body

    assert server.accepted == 1


async def test_a_body_that_comes_byte_by_byte_is_one_body(exchange: Exchange) -> None:
    wire = answer(b"one byte at a time")
    _, client = await exchange(always(*(wire[i : i + 1] for i in range(len(wire)))))

    assert bytes((await ask(client)).body) == b"one byte at a time"


async def test_chunks_are_joined_and_the_connection_is_kept(exchange: Exchange) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n"
    server, client = await exchange(always(chunked))

    answers = [await ask(client) for _ in range(2)]

    assert [bytes(got.body) for got in answers] == [b"abcdefg"] * 2
    assert server.accepted == 1


async def test_a_large_request_arrives_whole(exchange: Exchange) -> None:
    body = bytes(range(256)) * 40_000
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            seen.append(request.partition(b"\r\n\r\n")[2])
            await peer.send(answer(b"ok"))

    server, client = await exchange(script)
    for _ in range(2):
        await client.request(b"POST", b"/", (), (body[:100], memoryview(body)[100:]), model="m")

    assert seen == [body, body]
    assert server.accepted == 1


async def test_interim_answers_are_skipped(exchange: Exchange) -> None:
    _, client = await exchange(always(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n", answer(b"real")))

    got = await ask(client)

    assert bytes(got.body) == b"real"
    assert b"x" not in got.headers


GARBAGE = {
    "not_http": b"\x16\x03\x01garbage\r\n\r\n",
    "bare_line_feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length_and_chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "negative_length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "no_length": b"HTTP/1.1 200 OK\r\n\r\nok",
    "compressed": answer(b"\x1f\x8b", b"200 OK", b"Content-Encoding: gzip"),
    "other_transfer_coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "huge_length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    "absurd_length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
    "many_headers": answer(b"", b"200 OK", *(b"h%d: x" % i for i in range(30))),
    "endless_head": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
    "chunk_size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "many_chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 200,
    "large_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + b"a" * 0x200000,
    "endless_trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nt: " + b"a" * 0x200000,
    "protocol_switch": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "endless_interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
}


@pytest.mark.parametrize("wire", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_a_bad_answer_and_ends_the_connection(exchange: Exchange, wire: bytes) -> None:
    server, client = await exchange(always(wire))

    with pytest.raises(BadBackendAnswer):
        await ask(client)

    await eventually(lambda: client.connections == 0)
    await eventually(lambda: server.open == 0)


TRUNCATED = {
    "in_the_head": b"HTTP/1.1 200 OK\r\nContent-",
    "in_a_small_body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "in_a_large_body": b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + b"a" * 300_000,
    "in_a_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "before_the_last_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("wire", TRUNCATED.values(), ids=TRUNCATED.keys())
async def test_an_answer_cut_short_is_a_bad_answer(exchange: Exchange, wire: bytes, *, reset: bool) -> None:
    delivered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(wire)
        if reset:
            await asyncio.sleep(0.05)  # a reset destroys what the client has not read yet
            peer.reset()
        delivered.set()

    _, client = await exchange(script)

    with pytest.raises(BadBackendAnswer, match="ends in the middle"):
        await ask(client)


async def test_a_connection_closed_without_an_answer_is_unavailable(exchange: Exchange) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()

    _, client = await exchange(script)

    with pytest.raises(Unavailable, match="cannot be reached"):
        await ask(client)


async def test_a_drip_is_cut_at_the_deadline(exchange: Exchange) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.01)

    server, client = await exchange(script)

    with pytest.raises(DeadlineExceeded):
        await ask(client, within_s=0.2)

    await eventually(lambda: server.open == 0 and client.connections == 0)


async def test_connection_close_is_honoured(exchange: Exchange) -> None:
    server, client = await exchange(always(answer(b"bye", b"200 OK", b"Connection: close")))

    assert bytes((await ask(client)).body) == bytes((await ask(client)).body) == b"bye"

    assert server.accepted == 2


async def test_http_1_0_answers_close(exchange: Exchange) -> None:
    server, client = await exchange(always(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))

    assert bytes((await ask(client)).body) == bytes((await ask(client)).body) == b"ok"

    assert server.accepted == 2


@pytest.mark.parametrize("junk", [b"junk", answer(b"another answer"), b"\x00"])
async def test_bytes_behind_an_answer_end_the_connection_not_the_answer(exchange: Exchange, junk: bytes) -> None:
    server, client = await exchange(always(answer(b"mine") + junk))

    answers = [bytes((await ask(client)).body) for _ in range(3)]

    assert answers == [b"mine"] * 3
    assert server.accepted == 3


async def test_bytes_on_an_idle_connection_are_never_an_answer(exchange: Exchange) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"first"))
        if peer.number == 0:
            await asyncio.sleep(0.02)
            await peer.send(answer(b"poison"))
        await peer.request()
        await peer.send(answer(b"second"))

    server, client = await exchange(script)
    assert bytes((await ask(client)).body) == b"first"
    await eventually(lambda: client.connections == 0)

    assert bytes((await ask(client)).body) == b"first"
    assert server.accepted == 2


async def test_an_answer_before_the_request_was_read_is_delivered_and_the_connection_dropped(
    exchange: Exchange,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(answer(b"too large", b"413 Content Too Large"))
        await peer.closed()

    server, client = await exchange(script)
    body = bytes(64 << 20)

    first, second = await ask(client, body), await ask(client, body)

    assert (first.status, second.status) == (413, 413)
    assert server.accepted == 2


async def silence(peer: Peer) -> None:
    await peer.request()
    await peer.closed()


async def test_a_deadline_is_kept_when_an_earlier_one_passes_while_the_connection_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.create_connection
    connectable = asyncio.Event()
    connectable.set()

    async def slowly(*args: Any, **kwargs: Any) -> object:
        await connectable.wait()
        return await connect(*args, **kwargs)

    monkeypatch.setattr(loop, "create_connection", slowly)
    async with serving(silence) as server:
        client = HttpClient(server.url, connect_timeout_s=5.0)
        first = asyncio.create_task(ask(client, within_s=0.1))
        await eventually(lambda: server.accepted == 1)
        connectable.clear()
        second = asyncio.create_task(ask(client, within_s=0.5))
        with pytest.raises(DeadlineExceeded):
            await first
        connectable.set()

        done, _ = await asyncio.wait([second], timeout=5)

        assert [type(call.exception()) for call in done] == [DeadlineExceeded]
        second.cancel()
        await client.aclose()


@pytest.mark.parametrize("size", [1, SCRATCH - len(answer(b"x" * SCRATCH)) + SCRATCH, SCRATCH, 100_000])
async def test_a_waiting_caller_never_gets_the_bytes_behind_another_s_answer(size: int) -> None:
    body = b"x" * size
    async with serving(always(answer(body) + answer(b"poison"))) as server:
        client = HttpClient(server.url, connections_max=1)

        answers = await asyncio.gather(ask(client), ask(client), ask(client))

        assert [bytes(one.body) for one in answers] == [body] * 3

        await client.aclose()
