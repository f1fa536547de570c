"""Accepting, and stopping without losing who waits."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from penstock_gateway.accepting import STALL_S, Acceptor, Stall


class Greeter(asyncio.Protocol):
    """Says hello."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"hello")
        transport.close()


async def hello(sock: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(sock=sock)
    async with asyncio.timeout(5):
        data = await reader.read()
    writer.close()
    return data


def connected(port: int) -> socket.socket:
    """A connection the kernel has accepted, and maybe nobody else yet."""
    return socket.create_connection(("127.0.0.1", port))


async def test_connections_that_wait_in_the_queue_are_taken_in() -> None:
    acceptor = Acceptor(Greeter, lambda _: None)
    await acceptor.start([socket.create_server(("127.0.0.1", 0))])
    [port] = acceptor.ports
    # The loop does not run between these lines: all of them are in the queue when accepting stops.
    waiting = [connected(port) for _ in range(20)]
    await acceptor.stop_accepting()

    assert [await hello(sock) for sock in waiting] == [b"hello"] * 20
    await acceptor.aclose()


async def test_a_socket_somebody_else_holds_goes_on_accepting() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    first, second = Acceptor(Greeter, lambda _: None), Acceptor(Greeter, lambda _: None)
    await first.start([listening.dup()])
    await first.aclose()
    waiting = connected(port)
    await second.start([listening.dup()])

    assert await hello(waiting) == b"hello"
    await second.aclose()
    await second.aclose()
    listening.close()


async def test_the_tick_comes_at_once_with_the_loops_time() -> None:
    ticks: list[float] = []
    acceptor = Acceptor(Greeter, ticks.append)
    await acceptor.start([])

    assert len(ticks) == 1
    assert abs(ticks[0] - asyncio.get_running_loop().time()) < 5
    await acceptor.aclose()


def test_a_stall_is_no_progress_for_long() -> None:
    stall = Stall()
    stall.begins(100.0)

    assert not stall.lasts(500, 101.0)
    assert not stall.lasts(400, 101.0 + STALL_S)
    assert not stall.lasts(400, 101.0 + 2 * STALL_S)
    assert stall.lasts(400, 102.0 + 2 * STALL_S)
