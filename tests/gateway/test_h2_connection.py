"""One HTTP/2 connection, frame by frame: what is right works however it is cut, what is wrong ends, nothing hangs."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from math import inf

import pytest

from penstock_adapters.fake import Fault
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.messages import METHODS, ModelInferRequest, ModelInferResponse
from penstock_gateway import h2_bounds as bounds
from penstock_gateway import h2_frames as h2
from penstock_gateway.accepting import STALL_S
from penstock_gateway.grpc_infer import GrpcOptions
from penstock_gateway.grpc_wire import prefix
from penstock_gateway.h2_server import STREAMS_MAX
from tests.support.edges import GrpcListener, grpc_listener
from tests.support.polling import eventually
from tests.support.raw_h2 import INFER, LIVE, RawH2, request_fields

LIVE_ANSWER = METHODS["ServerLive"].response(live=True).SerializeToString()


def infer_request(rows: int = 1) -> bytes:
    message = ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype="FP32", shape=[rows, 4])
    message.raw_input_contents.append(bytes(16 * rows))
    data: bytes = message.SerializeToString()
    return data


@pytest.fixture
async def grpc() -> AsyncIterator[GrpcListener]:
    async with grpc_listener(options=GrpcOptions(Limits(body=8 << 20))) as listener:
        yield listener


async def works(port: int) -> bool:
    async with await RawH2.open(port) as raw:
        await raw.send(raw.call(1))
        return (await raw.outcome(1)).message == bytes(LIVE_ANSWER)


async def test_calls_are_answered_on_one_connection(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        for stream in (1, 3, 5):
            await raw.send(raw.call(stream))
            outcome = await raw.outcome(stream)
            assert (outcome.headers[":status"], outcome.status, outcome.message) == ("200", "0", LIVE_ANSWER)
            assert outcome.headers["content-type"] == "application/grpc"
            assert outcome.trailers["x-request-id"]


async def test_a_call_is_the_same_however_it_is_cut(grpc: GrpcListener) -> None:
    for size in (1, 3, 7, 30):
        async with await RawH2.open(grpc.port) as raw:
            whole = raw.call(1, INFER, infer_request())
            for start in range(0, len(whole), size):
                await raw.send(whole[start : start + size])
                await asyncio.sleep(0)
            assert (await raw.outcome(1)).status == "0"


async def test_headers_may_continue_and_frames_may_be_padded(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        block = raw.block(request_fields(LIVE))
        first = b"\x03\0\0\0\0\x10" + block[:5] + bytes(3)
        await raw.send(
            h2.frame_header(len(first), h2.HEADERS, h2.PADDED | h2.WITH_PRIORITY, 1) + first,
            h2.frame_header(2, h2.CONTINUATION, 0, 1) + block[5:7],
            h2.frame_header(len(block) - 7, h2.CONTINUATION, h2.END_HEADERS, 1) + block[7:],
            h2.frame_header(8, h2.DATA, h2.PADDED, 1) + b"\x02" + prefix(0) + bytes(2),
            h2.frame_header(0, h2.DATA, h2.END_STREAM, 1),
        )
        assert (await raw.outcome(1)).status == "0"


async def test_unknown_frames_and_settings_are_ignored(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port, {0xABCD: 1}) as raw:
        await raw.send(h2.frame_header(3, 0xEE, 0xFF, 7) + b"abc", raw.call(1))

        assert (await raw.outcome(1)).status == "0"


async def test_ping_is_answered(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(h2.ping(b"12345678"))
        [*_, pong] = await raw.frames_until(h2.PING)

        assert (pong.flags, pong.payload) == (h2.ACK, b"12345678")


async def test_a_large_answer_waits_for_both_windows(grpc: GrpcListener) -> None:
    rows = 40_000  # 480,000 bytes of answer
    async with await RawH2.open(grpc.port, {h2.INITIAL_WINDOW_SIZE: 1000}) as raw:
        request = prefix(len(infer_request(rows))) + infer_request(rows)
        frames = [request[at : at + h2.FRAME_MAX] for at in range(0, len(request), h2.FRAME_MAX)]
        await raw.send(raw.headers(1, INFER))
        for index, frame in enumerate(frames):
            await raw.send(raw.data(1, frame, end=index == len(frames) - 1))
        body = b""
        first = [frame for frame in await raw.frames_until(h2.DATA) if frame.kind == h2.DATA]
        assert [len(frame.payload) for frame in first] == [1000]
        body += first[0].payload
        await raw.send(h2.window_update(0, 1 << 20), h2.settings({h2.INITIAL_WINDOW_SIZE: 2000}))
        [*_, second] = await raw.frames_until(h2.DATA)
        assert len(second.payload) == 1000
        body += second.payload
        await raw.send(h2.window_update(1, 1 << 20))
        outcome = await raw.outcome(1)

    answer = ModelInferResponse.FromString((body + outcome.body)[5:])
    assert outcome.headers["grpc-status"] == "0"  # The raw client read the first HEADERS elsewhere.
    assert len(answer.raw_output_contents[0]) == rows * 12


async def test_a_large_request_gets_its_windows_back(grpc: GrpcListener) -> None:
    rows = 300_000  # 4.8 MB, several windows
    request = prefix(len(infer_request(rows))) + infer_request(rows)
    async with await RawH2.open(grpc.port, {h2.INITIAL_WINDOW_SIZE: 1 << 24}) as raw:
        await raw.send(raw.headers(1, INFER), h2.window_update(0, 1 << 24))
        left = bounds.STREAM_WINDOW
        for at in range(0, len(request), h2.FRAME_MAX):
            piece = request[at : at + h2.FRAME_MAX]
            while left < len(piece):
                [*_, frame] = await raw.frames_until(h2.WINDOW_UPDATE)
                if frame.stream == 1:
                    left += int.from_bytes(frame.payload, "big")
            left -= len(piece)
            await raw.send(raw.data(1, piece, end=at + h2.FRAME_MAX >= len(request)))

        assert (await raw.outcome(1)).status == "0"


async def test_a_client_that_leaves_or_resets_cancels_its_calls(grpc: GrpcListener) -> None:
    grpc.plane.adapter.fault = Fault(delay_s=inf)
    raw = await RawH2.open(grpc.port)
    await raw.send(raw.call(1, INFER, infer_request()), raw.call(3, INFER, infer_request()))
    await eventually(lambda: grpc.plane.adapter.in_flight == 2)
    await raw.send(h2.reset(1, h2.CANCEL))
    await eventually(lambda: grpc.plane.adapter.in_flight == 1)
    raw.close()
    await eventually(lambda: grpc.plane.adapter.in_flight == 0)

    assert grpc.counted() == {("digits", "", "", "", "grpc", "499"): 2}


async def test_a_message_over_the_cap_is_refused_before_it_is_sent(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(raw.headers(1, INFER), raw.data(1, prefix(9 << 20) + bytes(100), end=False))
        outcome = await raw.outcome(1)
        assert (outcome.status, outcome.headers["grpc-retry-pushback-ms"]) == ("8", "-1")
        await raw.send(raw.data(1, bytes(100), end=False), raw.call(3))
        assert (await raw.outcome(3)).status == "0"


async def test_too_much_metadata_is_refused_by_name(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        block = raw.block(request_fields(LIVE, ("x-large", "a!~b" * 5000)))
        pieces = [block[at : at + 10_000] for at in range(0, len(block), 10_000)]
        await raw.send(h2.frame_header(len(pieces[0]), h2.HEADERS, 0, 1) + pieces[0])
        for index, piece in enumerate(pieces[1:], 2):
            flags = h2.END_HEADERS if index == len(pieces) else 0
            await raw.send(h2.frame_header(len(piece), h2.CONTINUATION, flags, 1) + piece)
        outcome = await raw.outcome(1)

    assert (outcome.status, outcome.headers["penstock-reason"]) == ("8", "headers_too_large")


async def test_streams_beyond_the_limit_are_refused_and_may_be_tried_again(grpc: GrpcListener) -> None:
    grpc.plane.adapter.fault = Fault(delay_s=inf)
    async with await RawH2.open(grpc.port) as raw:
        for number in range(STREAMS_MAX):
            await raw.send(raw.call(2 * number + 1, INFER, infer_request()))
        last = 2 * STREAMS_MAX + 1
        await raw.send(raw.call(last, INFER, infer_request()))

        assert (await raw.outcome(last)).status == f"reset {h2.REFUSED_STREAM}"


BAD = {
    "not http2": b"GET / HTTP/1.1\r\n\r\nHost: x\r\n\r\n",
    "headers on stream 0": h2.frame_header(1, h2.HEADERS, h2.END_HEADERS, 0) + b"\x88",
    "an even stream": h2.frame_header(1, h2.HEADERS, h2.END_HEADERS, 2) + b"\x88",
    "data on an idle stream": h2.frame_header(1, h2.DATA, 0, 9) + b"a",
    "data on stream 0": h2.frame_header(1, h2.DATA, 0, 0) + b"a",
    "a large frame": h2.frame_header(h2.FRAME_MAX + 1, h2.DATA, 0, 1),
    "a short window update": h2.frame_header(3, h2.WINDOW_UPDATE, 0, 0) + b"abc",
    "a credit of nothing": h2.window_update(0, 0),
    "a credit beyond the end": h2.window_update(0, h2.WINDOW_MAX),
    "credit for an idle stream": h2.window_update(9, 1),
    "a reset of an idle stream": h2.reset(9, 0),
    "a reset of stream 0": h2.reset(0, 0),
    "settings of a stream": h2.frame_header(0, h2.SETTINGS, 0, 1),
    "settings of five bytes": h2.frame_header(5, h2.SETTINGS, 0, 0) + b"12345",
    "an ack that says something": h2.frame_header(6, h2.SETTINGS, h2.ACK, 0) + bytes(6),
    "a ping of seven bytes": h2.frame_header(7, h2.PING, 0, 0) + bytes(7),
    "a ping of a stream": h2.frame_header(8, h2.PING, 0, 1) + bytes(8),
    "a push": h2.frame_header(4, h2.PUSH_PROMISE, h2.END_HEADERS, 1) + bytes(4),
    "a continuation of nothing": h2.frame_header(1, h2.CONTINUATION, h2.END_HEADERS, 1) + b"\x88",
    "a block without end": h2.frame_header(1, h2.HEADERS, 0, 1) + b"\x88" + h2.ping(bytes(8)),
    "a continuation of another": h2.frame_header(1, h2.HEADERS, 0, 1)
    + b"\x88"
    + h2.frame_header(1, h2.CONTINUATION, h2.END_HEADERS, 3)
    + b"\x88",
    "an unreadable block": h2.frame_header(1, h2.HEADERS, h2.END_HEADERS, 1) + b"\x80",
    "more padding than frame": h2.frame_header(2, h2.DATA, h2.PADDED, 1) + b"\x09a",
    "a ping flood": h2.ping(bytes(8)) * (bounds.CONTROL_MAX + 10),
    "a settings flood": h2.settings({}) * (bounds.CONTROL_MAX + 10),
    "a priority flood": (h2.frame_header(5, h2.PRIORITY, 0, 1) + bytes(5)) * (bounds.CONTROL_MAX + 10),
    "a continuation flood": h2.frame_header(0, h2.HEADERS, 0, 1)
    + h2.frame_header(0, h2.CONTINUATION, 0, 1) * (bounds.CONTROL_MAX + 10),
    "a large block": h2.frame_header(0, h2.HEADERS, 0, 1)
    + (h2.frame_header(10_000, h2.CONTINUATION, 0, 1) + bytes(10_000)) * 8,
}


@pytest.mark.parametrize("name", BAD)
async def test_what_breaks_the_protocol_ends_the_connection_and_only_that(grpc: GrpcListener, name: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", grpc.port)
    greeting = b"" if name == "not http2" else h2.PREFACE + h2.settings({})
    writer.write(greeting + BAD[name])
    raw = RawH2(reader, writer)

    assert await raw.goaway() != h2.NO_ERROR
    writer.close()
    assert await works(grpc.port)


async def test_streams_that_are_opened_to_be_reset_end_the_connection(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        for number in range(bounds.RESETS_MAX + 10):
            stream = 2 * number + 1
            await raw.send(raw.headers(stream, INFER), h2.reset(stream, h2.CANCEL))

        assert await raw.goaway() == h2.ENHANCE_YOUR_CALM
    assert await works(grpc.port)


@pytest.mark.parametrize("seed", range(40))
async def test_random_frames_never_hang_or_break_the_server(grpc: GrpcListener, seed: int) -> None:
    random_ = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", grpc.port)
    writer.write(h2.PREFACE + h2.settings({}))
    for _ in range(30):
        payload = random_.randbytes(random_.choice([0, 1, 4, 5, 6, 8, 20]))
        kind, flags, stream = random_.randrange(11), random_.randrange(256), random_.choice([0, 1, 1, 3, 2, 7])
        writer.write(struct.pack(">HBBBI", 0, len(payload), kind, flags, stream) + payload)
    writer.write_eof()
    async with asyncio.timeout(2):
        while await reader.read(65_536):
            pass
    writer.close()
    assert await works(grpc.port)


async def test_a_sender_that_is_too_slow_is_refused(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(raw.headers(1, INFER), raw.data(1, b"\0\0", end=False))
        await eventually(lambda: any(c.streams for c in grpc.server.connections))
        [connection] = grpc.server.connections
        now = asyncio.get_running_loop().time()
        connection.sweep(now)
        connection.sweep(now + bounds.BODY_GRACE_S + 1)
        outcome = await raw.outcome(1)

    assert (outcome.status, outcome.headers["penstock-reason"]) == ("4", "request_too_slow")


async def test_a_peer_that_is_gone_is_found_out(grpc: GrpcListener) -> None:
    grpc.plane.adapter.fault = Fault(delay_s=inf)
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(raw.call(1, INFER, infer_request()))
        await eventually(lambda: grpc.plane.adapter.in_flight == 1)
        [connection] = grpc.server.connections
        now = asyncio.get_running_loop().time()
        connection.sweep(now + bounds.QUIET_S + 1)
        assert (await raw.frames_until(h2.PING))[-1].kind == h2.PING
        connection.sweep(now + bounds.QUIET_S + bounds.GONE_S + 2)
        await eventually(lambda: grpc.plane.adapter.in_flight == 0)


async def test_idle_and_silent_connections_are_closed(grpc: GrpcListener) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", grpc.port)
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(raw.call(1))
        await raw.outcome(1)
        await eventually(lambda: len(grpc.server.connections) == 2)
        now = asyncio.get_running_loop().time()
        for connection in list(grpc.server.connections):
            connection.sweep(now + bounds.PREFACE_S + 1)
        await eventually(lambda: len(grpc.server.connections) == 1)
        for connection in list(grpc.server.connections):
            connection.sweep(now + bounds.IDLE_S + 1)
        assert await raw.goaway() == h2.NO_ERROR
    writer.close()
    del reader


async def test_a_reader_that_takes_nothing_is_cut_off(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port, {h2.INITIAL_WINDOW_SIZE: 1 << 26}) as raw:
        await raw.send(h2.window_update(0, 1 << 30))
        request = prefix(len(infer_request(60_000))) + infer_request(60_000)
        for stream in range(1, 41, 2):
            raw.send_soon(raw.headers(stream, INFER))
            for at in range(0, len(request), h2.FRAME_MAX):
                raw.send_soon(raw.data(stream, request[at : at + h2.FRAME_MAX], end=at + h2.FRAME_MAX >= len(request)))
        await eventually(lambda: bool(grpc.server.connections))
        [connection] = grpc.server.connections
        await eventually(lambda: connection.write_paused)
        now = asyncio.get_running_loop().time()
        connection.sweep(now)
        connection.sweep(now + STALL_S + 1)
        await eventually(lambda: not grpc.server.connections)


async def test_an_answer_nobody_gives_credit_for_is_thrown_away(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port, {h2.INITIAL_WINDOW_SIZE: 0}) as raw:
        await raw.send(raw.call(1), raw.call(3))
        await eventually(lambda: [len(c._blocked) for c in grpc.server.connections] == [2])
        [connection] = grpc.server.connections
        now = asyncio.get_running_loop().time()
        connection.sweep(now)
        await raw.send(h2.window_update(3, 2))
        await eventually(lambda: connection.streams[3].send_window == 0 and connection.streams[3].unsent == 5)
        connection.sweep(now + STALL_S + 1)

        assert list(connection.streams) == [3]
        assert (await raw.outcome(1)).status == f"reset {h2.CANCEL}"
        await raw.send(h2.window_update(3, 5))
        await eventually(lambda: not connection.streams)


async def test_a_closing_connection_whose_reader_takes_nothing_is_cut_off(grpc: GrpcListener) -> None:
    async with await RawH2.open(grpc.port, {h2.INITIAL_WINDOW_SIZE: 1 << 26}) as raw:
        await raw.send(h2.window_update(0, 1 << 30))
        await eventually(lambda: bool(grpc.server.connections))
        [connection] = grpc.server.connections
        transport = connection._transport
        assert transport is not None
        transport.set_write_buffer_limits(high=1 << 30)  # Never paused, as with a rest below the limit.
        request = prefix(len(infer_request(60_000))) + infer_request(60_000)
        for stream in range(1, 41, 2):
            await raw.send(raw.headers(stream, INFER))
            for at in range(0, len(request), h2.FRAME_MAX):
                await raw.send(raw.data(stream, request[at : at + h2.FRAME_MAX], end=at + h2.FRAME_MAX >= len(request)))
        await eventually(lambda: not connection.streams and transport.get_write_buffer_size() > 0)
        await raw.send(h2.frame_header(1, h2.PING, 0, 0) + b"?")
        await eventually(lambda: connection._closing)
        now = asyncio.get_running_loop().time()
        connection.sweep(now)
        connection.sweep(now + STALL_S + 1)
        await eventually(lambda: not grpc.server.connections)


async def test_draining_answers_what_was_opened_and_takes_no_more(grpc: GrpcListener) -> None:
    grpc.plane.adapter.fault = Fault(delay_s=0.2)
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(raw.call(1, INFER, infer_request()))
        await eventually(lambda: grpc.plane.adapter.in_flight == 1)
        drain = asyncio.create_task(grpc.server.drain(10))
        [*_, first] = await raw.frames_until(h2.GOAWAY)
        assert int.from_bytes(first.payload[:4], "big") == h2.WINDOW_MAX
        [*_, ping] = await raw.frames_until(h2.PING)
        # Opened before the client could know: still answered.
        await raw.send(raw.call(3, INFER, infer_request()), h2.ping(ping.payload, ack=True), raw.call(5))
        [*_, second] = await raw.frames_until(h2.GOAWAY)
        assert int.from_bytes(second.payload[:4], "big") == 3
        assert (await raw.outcome(3)).status == "0"
        assert await drain == 0
        assert await raw.frame() is None


async def test_a_drain_ends_at_its_timeout(grpc: GrpcListener) -> None:
    grpc.plane.adapter.fault = Fault(delay_s=inf)
    async with await RawH2.open(grpc.port) as raw:
        await raw.send(raw.call(1, INFER, infer_request()))
        await eventually(lambda: grpc.plane.adapter.in_flight == 1)

        assert await grpc.server.drain(0.1) == 1
        await eventually(lambda: grpc.plane.adapter.in_flight == 0)
