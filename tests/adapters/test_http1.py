"""The pool: which connection a request gets, how long it waits, when a request is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from penstock_adapters import http1
from penstock_adapters.http1 import HttpClient
from penstock_adapters.protocol.errors import DeadlineExceeded, InvalidArgument, PenstockError, Unavailable
from tests.support.raw_server import Peer, always, answer, eventually, serving
from tests.support.triton import free_port


async def get(client: HttpClient, target: bytes = b"/", within_s: float = 5.0, *, idempotent: bool = False) -> bytes:
    deadline = asyncio.get_running_loop().time() + within_s
    return bytes((await client.request(b"GET", target, deadline=deadline, idempotent=idempotent, model="m")).body)


async def echo_target(peer: Peer) -> None:
    while request := await peer.request():
        await peer.send(answer(request.split(b" ")[1]))


def held(release: asyncio.Event) -> Callable[[Peer], asyncio.Future[None]]:
    """Answers with the target, but only once released."""

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            await release.wait()
            await peer.send(answer(request.split(b" ")[1]))

    return script  # type: ignore[return-value]


async def test_requests_one_after_another_share_a_connection() -> None:
    async with serving(echo_target) as server:
        client = HttpClient(server.url)

        for i in range(50):
            assert await get(client, b"/%d" % i) == b"/%d" % i

        assert server.accepted == 1
        await client.aclose()


async def test_the_request_carries_host_headers_and_length() -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            seen.append(request)
            await peer.send(answer())

    async with serving(script) as server:
        client = HttpClient(server.url)
        await client.request(b"POST", b"/x", ((b"a", b"b"),), (b"12", memoryview(b"34")))
        await client.aclose()

    host = b"127.0.0.1:%d" % server.port
    assert seen == [b"POST /x HTTP/1.1\r\nhost: " + host + b"\r\na: b\r\ncontent-length: 4\r\n\r\n1234"]


async def test_every_caller_gets_its_own_answer_under_concurrency() -> None:
    async with serving(echo_target) as server:
        client = HttpClient(server.url, connections_max=4)

        targets = [b"/%d" % i for i in range(400)]
        assert await asyncio.gather(*(get(client, target) for target in targets)) == targets

        assert server.accepted <= 4
        await client.aclose()


async def test_a_full_pool_makes_callers_wait_and_a_full_queue_refuses_them() -> None:
    release = asyncio.Event()
    async with serving(held(release)) as server:
        client = HttpClient(server.url, connections_max=2, waiters_max=3)
        calls = [asyncio.create_task(get(client, b"/%d" % i)) for i in range(5)]
        await eventually(lambda: server.accepted == 2)

        with pytest.raises(Unavailable, match="in flight"):
            await get(client)

        release.set()
        assert await asyncio.gather(*calls) == [b"/%d" % i for i in range(5)]
        assert server.accepted == 2
        await client.aclose()


async def test_a_caller_waits_no_longer_than_its_deadline() -> None:
    async with serving(held(asyncio.Event())) as server:
        client = HttpClient(server.url, connections_max=1)
        first = asyncio.create_task(get(client, within_s=60))
        await eventually(lambda: server.accepted == 1)

        with pytest.raises(DeadlineExceeded):
            await get(client, within_s=0.05)

        assert not first.done()
        await client.aclose()
        with pytest.raises(Unavailable):
            await first


async def test_the_earlier_deadline_is_kept_also_when_it_comes_second() -> None:
    async with serving(held(asyncio.Event())) as server:
        client = HttpClient(server.url)
        calls = [asyncio.create_task(get(client, within_s=seconds)) for seconds in (60, 0.05, 0.1)]

        done, _ = await asyncio.wait(calls[1:], timeout=5)

        assert len(done) == 2
        assert all(isinstance(call.exception(), DeadlineExceeded) for call in done)
        assert not calls[0].done()
        await client.aclose()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_deadline_that_has_passed_is_exceeded() -> None:
    async with serving(echo_target) as server:
        client = HttpClient(server.url)

        with pytest.raises(DeadlineExceeded):
            await get(client, within_s=-1)
        await get(client)
        with pytest.raises(DeadlineExceeded):
            await get(client, within_s=-1)

        await client.aclose()


async def test_nobody_listening_is_unavailable() -> None:
    client = HttpClient(f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Unavailable, match="cannot be reached"):
        await get(client)

    assert client.connections == 0
    await client.aclose()


async def test_an_unknown_host_is_unavailable() -> None:
    client = HttpClient("http://no-such-host.invalid:80")

    with pytest.raises(Unavailable):
        await get(client)

    await client.aclose()


class Stale:
    """Answers once on the first connection, then closes it on the next request without an answer."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset
        self.requests = 0

    async def __call__(self, peer: Peer) -> None:
        for turn in range(100):
            if not await peer.request():
                return
            self.requests += 1
            if peer.number == 0 and turn == 1:
                if self.reset:
                    peer.reset()
                return
            await peer.send(answer(b"%d" % peer.number))


@pytest.mark.parametrize("reset", [False, True])
async def test_an_idempotent_request_on_a_stale_connection_is_sent_again(*, reset: bool) -> None:
    script = Stale(reset=reset)
    async with serving(script) as server:
        client = HttpClient(server.url)
        await get(client)

        assert await get(client, idempotent=True) == b"1"

        assert script.requests == 3
        await client.aclose()


async def test_any_other_request_on_a_stale_connection_is_sent_once() -> None:
    script = Stale()
    async with serving(script) as server:
        client = HttpClient(server.url)
        await get(client)

        with pytest.raises(Unavailable):
            await get(client)

        assert script.requests == 2
        await client.aclose()


async def test_a_fresh_connection_that_fails_is_not_tried_again() -> None:
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        if await peer.request():
            requests += 1

    async with serving(script) as server:
        client = HttpClient(server.url)

        with pytest.raises(Unavailable):
            await get(client, idempotent=True)

        assert requests == 1
        await client.aclose()


async def test_a_second_stale_connection_ends_the_retries() -> None:
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        await peer.request()
        requests += 1
        if peer.number == 0:
            await peer.send(answer())
            await peer.request()
            requests += 1

    async with serving(script) as server:
        client = HttpClient(server.url)
        await get(client)

        with pytest.raises(Unavailable):
            await get(client, idempotent=True)

        assert requests == 3
        await client.aclose()


async def test_a_retry_in_a_full_pool_takes_the_place_of_the_oldest_idle_connection() -> None:
    async with serving(echo_target) as server:
        client = HttpClient(server.url, connections_max=1)
        await get(client)

        fresh = await client._fresh(inf, "m")

        assert not fresh.reused
        assert server.accepted == 2
        assert client.connections == 1
        await client.aclose()


async def test_a_connection_the_server_closed_while_idle_is_not_used() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())

    async with serving(script) as server:
        client = HttpClient(server.url)
        for _ in range(3):
            await get(client)
            await eventually(lambda: client.connections == 0)

        assert server.accepted == 3
        await client.aclose()


async def test_an_old_idle_connection_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "IDLE_S_MAX", 0.0)
    async with serving(echo_target) as server:
        client = HttpClient(server.url)

        await get(client)
        await get(client)

        assert server.accepted == 2
        await client.aclose()


async def test_a_cancelled_caller_closes_its_connection() -> None:
    release = asyncio.Event()
    async with serving(held(release)) as server:
        client = HttpClient(server.url)
        call = asyncio.create_task(get(client, b"/cancelled"))
        await eventually(lambda: server.accepted == 1)

        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: client.connections == 0)

        release.set()
        assert await get(client, b"/mine") == b"/mine"
        await client.aclose()


async def test_cancelled_callers_never_lose_a_place_in_the_pool() -> None:
    async with serving(echo_target) as server:
        client = HttpClient(server.url, connections_max=2)
        for turn in range(60):
            calls = [asyncio.create_task(get(client, b"/%d" % i)) for i in range(8)]
            for _ in range(turn % 12):
                await asyncio.sleep(0)
            for call in calls[:: 1 + turn % 3]:
                call.cancel()
            for i, got in enumerate(await asyncio.gather(*calls, return_exceptions=True)):
                assert got == b"/%d" % i or isinstance(got, asyncio.CancelledError)

        assert client.connections <= 2
        assert await asyncio.gather(*(get(client, b"/%d" % i) for i in range(8))) == [b"/%d" % i for i in range(8)]
        await client.aclose()
        assert client.connections == 0


async def test_a_waiter_takes_over_when_a_connection_dies() -> None:
    async def script(peer: Peer) -> None:
        request = await peer.request()
        if b"/die" in request:
            await asyncio.sleep(0.01)
            return
        await peer.send(answer(b"alive"))
        await peer.closed()

    async with serving(script) as server:
        client = HttpClient(server.url, connections_max=1)
        dying = asyncio.create_task(get(client, b"/die"))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(get(client, b"/live"))

        with pytest.raises(Unavailable):
            await dying
        assert await waiting == b"alive"
        await client.aclose()


async def test_aclose_fails_calls_under_way_and_later_ones_and_may_come_twice() -> None:
    async with serving(held(asyncio.Event())) as server:
        client = HttpClient(server.url, connections_max=1)
        calls = [asyncio.create_task(get(client)) for _ in range(3)]
        await eventually(lambda: server.accepted == 1)

        await client.aclose()
        await client.aclose()

        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, Unavailable)
        with pytest.raises(Unavailable):
            await get(client)
        assert client.connections == 0


async def test_a_line_break_in_a_header_is_refused() -> None:
    client = HttpClient("http://127.0.0.1:1")

    with pytest.raises(ValueError, match="line break"):
        await client.request(b"GET", b"/", ((b"a", b"b\r\nc: d"),))


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "ftp://h:1",
        "http://",
        "http://h:x",
        "http://h:1/path",
        "http://u:p@h:1",
        "http://h:1?q",
        "http://é:1",
    ],
)
def test_a_url_that_is_not_a_server_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument):
        HttpClient(url)


async def test_default_ports_and_ipv6_are_written_as_the_rfc_says() -> None:
    assert b"host: h\r\n" in HttpClient("http://h")._head
    assert b"host: [::1]:81\r\n" in HttpClient("http://[::1]:81")._head
    assert b"host: h\r\n" in HttpClient("https://h:443/")._head


async def test_all_errors_are_ours_when_the_server_dies_under_load() -> None:
    async with serving(always(answer(b"ok"))) as server:
        client = HttpClient(server.url, connections_max=8)
        calls = [asyncio.create_task(get(client)) for _ in range(200)]
        await eventually(lambda: server.accepted > 0)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert all(outcome == b"ok" or isinstance(outcome, PenstockError) for outcome in outcomes)
    await client.aclose()
    assert client.connections == 0
