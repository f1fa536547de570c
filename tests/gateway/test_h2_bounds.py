"""Counts by the second, and what a peer that takes nothing can make us keep."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from penstock_gateway import h2_frames as h2
from penstock_gateway.grpc_wire import prefix
from penstock_gateway.h2_bounds import CONTROL_MAX, RESETS_MAX, YOUNG_S, Bounds
from penstock_gateway.h2_frames import ENHANCE_YOUR_CALM, ConnectionError2
from penstock_gateway.h2_stream import UNSENT_MAX
from tests.support.edges import GrpcListener, grpc_listener
from tests.support.polling import eventually
from tests.support.raw_h2 import RawH2, request_fields


def test_frames_that_do_nothing_are_counted_by_the_second() -> None:
    bounds = Bounds()
    for second in range(3):
        for _ in range(CONTROL_MAX):
            bounds.control(float(second) + 1.0)

    with pytest.raises(ConnectionError2) as caught:
        bounds.control(3.5)
    assert caught.value.code == ENHANCE_YOUR_CALM


def test_only_resets_of_new_streams_count() -> None:
    bounds = Bounds()
    for _ in range(RESETS_MAX * 5):
        bounds.reset(10.0, 9.9 - YOUNG_S)
    for _ in range(RESETS_MAX):
        bounds.reset(10.0, 10.0)

    with pytest.raises(ConnectionError2):
        bounds.reset(10.0, 10.0)


@pytest.fixture
async def grpc() -> AsyncIterator[GrpcListener]:
    async with grpc_listener() as listener:
        yield listener


async def test_who_does_not_read_is_not_read(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(raw.headers(1, "/no/rpc", end=True))
        await eventually(lambda: bool(grpc.server.connections))
        [connection] = grpc.server.connections
        block = raw.block(request_fields("/no/rpc"))
        last = 60_001
        for stream in range(3, last + 1, 2):
            raw.send_soon(h2.frame_header(len(block), h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream) + block)
        await eventually(lambda: connection.write_paused)
        assert connection._transport is not None
        assert not connection._transport.is_reading()
        assert (await raw.outcome(last)).status == "12"


async def test_tiny_credits_end_the_connection(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port, {h2.INITIAL_WINDOW_SIZE: 0}) as raw:
        await raw.send(raw.call(1))
        await eventually(lambda: any(c._blocked for c in grpc.server.connections))
        await raw.send(h2.window_update(0, 1) * (CONTROL_MAX + 10))
        assert await raw.goaway() == h2.ENHANCE_YOUR_CALM


async def test_questions_whose_answers_nobody_takes_are_bounded(grpc: GrpcListener) -> None:
    question = ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService").SerializeToString()
    async with await RawH2.open(grpc.port, {h2.INITIAL_WINDOW_SIZE: 0}) as raw:
        await raw.send(raw.headers(1, f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"))
        await eventually(lambda: any(c.streams for c in grpc.server.connections))
        [connection] = grpc.server.connections
        stream = connection.streams[1]
        for _ in range(200):
            await raw.send(raw.data(1, prefix(len(question)) + question, end=False))
            await eventually(lambda: not stream.waiting)
        assert stream.unsent < 2 * UNSENT_MAX
        await raw.send(h2.window_update(0, 1 << 25), h2.window_update(1, 1 << 25))
        assert (await raw.outcome(1)).status == "8"
