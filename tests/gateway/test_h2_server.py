"""The gRPC listener's server; its drain, frame by frame, is in test_h2_connection.py."""

from __future__ import annotations

import grpc

from penstock_adapters.fake import Fault
from penstock_adapters.protocol.messages import METHODS
from tests.support.edges import grpc_listener
from tests.support.plane import MemoryPlane

LIVE = METHODS["ServerLive"].path


async def test_a_drain_with_idle_clients_ends_at_once() -> None:
    async with grpc_listener() as listener:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
            await channel.unary_unary(LIVE)(b"")

            assert await listener.server.drain(10) == 0
        assert not listener.server.connections


async def test_a_new_server_on_the_same_socket_takes_the_clients_over() -> None:
    plane = MemoryPlane()
    plane.adapter.fault = Fault(delay_s=0.05)
    async with grpc_listener(plane) as old, grpc_listener(plane) as new:
        copies = [sock.dup() for sock in old.server._acceptor._sockets]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{old.port}") as channel:
            live = channel.unary_unary(LIVE)
            await live(b"")
            await new.server.start(copies)
            await old.server.drain(10)

            assert METHODS["ServerLive"].response.FromString(await live(b"")).live


async def test_closing_twice_is_fine() -> None:
    async with grpc_listener() as listener:
        await listener.server.aclose()
