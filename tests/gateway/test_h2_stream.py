"""A stream's bytes in and out, without a socket."""

from __future__ import annotations

import asyncio

import pytest

from penstock_adapters.protocol.errors import InvalidArgument, RateLimited, TooLarge
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import Buffer
from penstock_gateway import h2_frames as h2
from penstock_gateway.grpc_wire import prefix
from penstock_gateway.h2_stream import WAITING_MAX, Stream


class Wire:
    """A connection that keeps what is written."""

    def __init__(self, send_window: int = 65_535) -> None:
        self.limits = Limits(body=1000)
        self.send_window = send_window
        self.write_paused = False
        self.written = b""
        self.over = False
        self.waits = False

    def write(self, *parts: Buffer) -> None:
        self.written += b"".join(parts)

    def forget(self, stream: Stream) -> None:
        assert stream.id == 1
        self.over = True

    def blocked(self, stream: Stream) -> None:
        assert stream.id == 1
        self.waits = True

    def frames(self) -> list[tuple[int, int, bytes]]:
        """(type, flags, payload) of what was written."""
        found = []
        data = self.written
        while data:
            high, low, kind, flags, _ = h2.unpack_header(data)
            length = high << 8 | low
            found.append((kind, flags, data[9 : 9 + length]))
            data = data[9 + length :]
        return found

    def body(self) -> bytes:
        return b"".join(payload for kind, _, payload in self.frames() if kind == h2.DATA)


def stream(wire: Wire, window: int = 65_535, **fields: str) -> Stream:
    return Stream(wire, 1, {name.replace("_", "-"): value for name, value in fields.items()}, (65_535, window))


def framed(message: bytes) -> bytes:
    return prefix(len(message)) + message


def test_a_unary_answer_is_headers_data_trailers() -> None:
    wire = Wire()
    stream(wire).reply(b"abc", b"\x88")

    kinds = [(kind, flags) for kind, flags, _ in wire.frames()]
    assert kinds == [(h2.HEADERS, h2.END_HEADERS), (h2.DATA, 0), (h2.HEADERS, h2.END_HEADERS | h2.END_STREAM)]
    assert (wire.body(), wire.over) == (framed(b"abc"), True)


@pytest.mark.parametrize(("connection", "own"), [(3, 65_535), (65_535, 3)])
def test_nothing_is_sent_beyond_a_window(connection: int, own: int) -> None:
    wire = Wire(connection)
    one = stream(wire, own)
    one.reply(b"abcdef", b"\x88")
    assert (len(wire.body()), wire.waits, wire.over) == (3, True, False)
    wire.send_window += 4
    one.send_window += 4
    one.pump()
    assert (len(wire.body()), wire.over) == (7, False)
    wire.send_window += 100
    one.send_window += 100
    one.pump()

    assert (wire.body(), wire.over) == (framed(b"abcdef"), True)
    assert wire.frames()[-1][:2] == (h2.HEADERS, h2.END_HEADERS | h2.END_STREAM)


def test_large_messages_go_in_frames_of_the_agreed_size() -> None:
    wire = Wire(1 << 20)
    message = bytes(range(256)) * 200
    stream(wire, 1 << 20).reply(message, b"\x88")

    assert [len(p) for kind, _, p in wire.frames() if kind == h2.DATA] == [16_384, 16_384, 16_384, 2053]
    assert wire.body() == framed(message)


def test_a_paused_transport_is_waited_for() -> None:
    wire = Wire()
    wire.write_paused = True
    one = stream(wire)
    one.reply(b"abc", b"\x88")
    assert (wire.body(), wire.over) == (b"", False)
    wire.write_paused = False
    one.pump()

    assert (wire.body(), wire.over) == (framed(b"abc"), True)


def test_an_error_without_messages_is_trailers_only() -> None:
    wire = Wire()
    stream(wire).finish(b"\x88")

    [(kind, flags, _)] = wire.frames()
    assert (kind, flags) == (h2.HEADERS, h2.END_HEADERS | h2.END_STREAM)


def test_a_unary_request_is_exactly_one_message() -> None:
    one = stream(Wire())
    for byte in framed(b"hello"):
        one.take(bytes((byte,)))
    assert one.message() == b"hello"
    for data in (b"", b"\0\0", framed(b"abc")[:-1]):
        other = stream(Wire())
        other.take(data)
        with pytest.raises(InvalidArgument):
            other.message()


def test_more_than_the_announced_message_is_refused_as_it_comes() -> None:
    for more in (b"b", framed(b"a")):
        one = stream(Wire())
        one.take(framed(b"a"))
        with pytest.raises(InvalidArgument):
            one.take(more)  # Not at the end, which may never come.


def test_a_message_over_the_cap_is_refused_at_its_announcement() -> None:
    with pytest.raises(TooLarge):
        stream(Wire()).take(prefix(1001))


async def test_a_streaming_request_is_read_message_by_message() -> None:
    one = stream(Wire())
    one.streaming = True
    one.take(framed(b"a") + framed(b"b")[:3])
    assert await one.next_message() == b"a"
    waiting = asyncio.create_task(one.next_message())
    await asyncio.sleep(0)
    one.take(framed(b"b")[3:])
    assert await waiting == b"b"
    waiting = asyncio.create_task(one.next_message())
    await asyncio.sleep(0)
    one.ended = True
    one.arrived()
    assert await waiting is None


def test_unread_messages_are_bounded() -> None:
    one = stream(Wire())
    one.streaming = True
    with pytest.raises(RateLimited):
        one.take(framed(b"") * (WAITING_MAX + 1))


def test_a_stream_that_is_over_sends_nothing_more() -> None:
    wire = Wire()
    one = stream(wire)
    one.cancel()
    one.reply(b"late", b"\x88")
    one.send(b"later")
    one.finish(b"\x88")
    one.pump()

    assert wire.written == b""
