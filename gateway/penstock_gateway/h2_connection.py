"""One HTTP/2 connection of the gRPC listener: frames in, streams out, and an end to every way of wasting our time.

What RFC 9113 leaves to the server is decided for gRPC: prior knowledge only, no priorities, no push. Every count a peer
drives is bounded: streams at once, header bytes, frames of one kind a second, and streams that are opened and reset.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from penstock_adapters.protocol.errors import HeadersTooLarge, PenstockError, RequestTimeout
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import Buffer
from penstock_gateway import h2_bounds as bounds
from penstock_gateway import h2_frames as h2
from penstock_gateway.accepting import Stall
from penstock_gateway.h2_bounds import CONNECTION_WINDOW, STREAM_WINDOW, Bounds
from penstock_gateway.h2_frames import ConnectionError2
from penstock_gateway.h2_headers import LIST_MAX, HeaderDecoder
from penstock_gateway.h2_stream import Calls, Stream

JOINED_MAX: Final = 16
"""More pieces than this are a large message in many frames, which is not worth a copy."""
_DRAIN_PING: Final = b"drainING"
_ALIVE_PING: Final = b"alive???"


class Shared(Protocol):
    """What the connections of one listener share."""

    calls: Calls
    limits: Limits
    streams_max: int
    connections: set[H2Connection]


class H2Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        self._shared = shared
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.limits = shared.limits
        self.streams: dict[int, Stream] = {}
        self.send_window = 65_535
        self.write_paused = False
        self._recv_window = CONNECTION_WINDOW
        self._peer_window = 65_535
        self._buffer = b""
        self._greeted = False
        self._decoder = HeaderDecoder()
        self._block: tuple[int, int, bytearray] | None = None
        """Stream, flags and bytes of a header block whose CONTINUATION is awaited."""
        self._last_stream = 0
        self._blocked: dict[int, Stream] = {}
        self._closing = False
        self._bounds = Bounds()
        self._settled = False
        """Draining, and the client knows: no stream may come any more."""
        self._heard = 0.0
        self._pinged = 0.0
        self._stall = Stall()

    # -- the transport's calls ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._heard = self._loop.time()
        self._shared.connections.add(self)
        ours = {
            h2.MAX_CONCURRENT_STREAMS: self._shared.streams_max,
            h2.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            h2.MAX_HEADER_LIST_SIZE: LIST_MAX,
        }
        self.write(h2.settings(ours), h2.window_update(0, CONNECTION_WINDOW - 65_535))

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client left: all of its calls are cancelled, down to their backends."""
        self._shared.connections.discard(self)
        self._transport = None
        self._blocked.clear()
        for stream in list(self.streams.values()):
            stream.cancel()

    def pause_writing(self) -> None:
        """Who does not read is not read either: what it asks for next would only grow the pile."""
        self.write_paused = True
        self._stall.begins(self._loop.time())
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._transport is not None:
            self._transport.resume_reading()
        self._pump()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._closing:
            return
        if self._buffer:
            data = self._buffer + data
        try:
            self._buffer = self._read(data)
        except ConnectionError2 as error:
            self._die(error.code)

    # -- what streams ask --------------------------------------------------------------------------------------------

    def write(self, *parts: Buffer) -> None:
        if self._transport is None:
            return
        if len(parts) <= JOINED_MAX:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)

    def blocked(self, stream: Stream) -> None:
        self._blocked[stream.id] = stream

    def forget(self, stream: Stream) -> None:
        stream.over = True
        self._blocked.pop(stream.id, None)
        if self.streams.pop(stream.id, None) is None:
            return
        if not stream.ended:
            self.write(h2.reset(stream.id, h2.NO_ERROR))  # The rest of the request is not wanted.
        self._close_if_drained()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> bytes:
        """Take every whole frame; what is left is returned."""
        at = 0
        if not self._greeted:
            if not h2.PREFACE.startswith(data[:24]):
                raise ConnectionError2(h2.PROTOCOL_ERROR, "not HTTP/2")
            if len(data) < 24:
                return data
            self._greeted = True
            at = 24
        size = len(data)
        while size - at >= 9:
            high, low, kind, flags, number = h2.unpack_header(data, at)
            length = high << 8 | low
            if length > h2.FRAME_MAX:
                raise ConnectionError2(h2.FRAME_SIZE_ERROR, "a frame larger than announced")
            end = at + 9 + length
            if end > size:
                break
            self._frame(kind, flags, number & 0x7FFFFFFF, data[at + 9 : end])
            if self._closing:
                return b""
            at = end
        return data[at:] if at else data

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != h2.CONTINUATION:
            raise ConnectionError2(h2.PROTOCOL_ERROR, "a header block without its end")
        if kind == h2.HEADERS:
            fragment = h2.without_padding(payload, flags, priority=True)
            if flags & h2.END_HEADERS:
                self._headers(number, flags, fragment)
            else:
                self._block = (number, flags, bytearray(fragment))
        elif kind == h2.DATA:
            self._data(number, flags, payload)
        elif kind == h2.WINDOW_UPDATE:
            self._credit(number, h2.word(payload) & 0x7FFFFFFF)
        elif kind == h2.RST_STREAM:
            self._reset(number, h2.word(payload))
        elif kind == h2.SETTINGS:
            self._settings(number, flags, payload)
        elif kind == h2.PING:
            self._ping(number, flags, payload)
        elif kind == h2.CONTINUATION:
            self._continue_block(number, flags, payload)
        elif kind == h2.PUSH_PROMISE:
            raise ConnectionError2(h2.PROTOCOL_ERROR, "a client cannot push")
        else:  # PRIORITY, GOAWAY and what later versions may send change nothing here.
            self._bounds.control(self._heard)

    # -- headers -----------------------------------------------------------------------------------------------------

    def _continue_block(self, number: int, flags: int, fragment: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise ConnectionError2(h2.PROTOCOL_ERROR, "a CONTINUATION of nothing")
        _, first_flags, block = self._block
        block += fragment
        self._bounds.control(self._heard)
        if len(block) > bounds.BLOCK_MAX:
            raise ConnectionError2(h2.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & h2.END_HEADERS:
            self._block = None
            self._headers(number, first_flags, bytes(block))

    def _headers(self, number: int, flags: int, block: bytes) -> None:
        fields, size = self._decoder.decode(block)
        stream = self.streams.get(number)
        if stream is not None:  # The request's trailers; gRPC clients send none that matter.
            if not flags & h2.END_STREAM:
                raise ConnectionError2(h2.PROTOCOL_ERROR, "trailers that do not end the stream")
            self._ended(stream)
            return
        if not number & 1:
            raise ConnectionError2(h2.PROTOCOL_ERROR, "an even stream from a client")
        if number <= self._last_stream:
            raise ConnectionError2(h2.STREAM_CLOSED, "headers on a stream that is over")
        if self._settled:
            return  # The last GOAWAY said so: the client takes this call elsewhere.
        self._last_stream = number
        if len(self.streams) >= self._shared.streams_max:
            self.write(h2.reset(number, h2.REFUSED_STREAM))
            return
        stream = Stream(self, number, fields, (STREAM_WINDOW, self._peer_window))
        stream.opened = self._heard
        self.streams[number] = stream
        stream.ended = bool(flags & h2.END_STREAM)
        if size > LIST_MAX:
            self._reject(stream, HeadersTooLarge("headers_too_large", limit=LIST_MAX, count=LIST_MAX // 32))
            return
        self._shared.calls.begin(stream)
        if stream.ended and number in self.streams and not stream.streaming:
            self._shared.calls.ready(stream)

    def _never_opened(self, number: int) -> bool:
        """After the last GOAWAY a client may still have opened streams that we do not know (RFC 9113 6.8)."""
        return number > self._last_stream and not self._settled

    def _reject(self, stream: Stream, error: PenstockError) -> None:
        stream.reject()
        self._shared.calls.refuse(stream, error)

    # -- data and flow -----------------------------------------------------------------------------------------------

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        length = len(payload)
        self._recv_window -= length
        if self._recv_window < 0:
            raise ConnectionError2(h2.FLOW_CONTROL_ERROR, "more data than the connection's window")
        if self._recv_window < CONNECTION_WINDOW // 2:
            self.write(h2.window_update(0, CONNECTION_WINDOW - self._recv_window))
            self._recv_window = CONNECTION_WINDOW
        stream = self.streams.get(number)
        if stream is None:
            if self._never_opened(number) or not number & 1:
                raise ConnectionError2(h2.PROTOCOL_ERROR, "data on a stream nobody opened")
            if not length:
                self._bounds.control(self._heard)
            return  # It was answered or reset meanwhile.
        if stream.ended:
            raise ConnectionError2(h2.STREAM_CLOSED, "data after the end of a stream")
        stream.recv_window -= length
        if stream.recv_window < 0:
            raise ConnectionError2(h2.FLOW_CONTROL_ERROR, "more data than the stream's window")
        if flags & h2.PADDED:
            payload = h2.without_padding(payload, flags, priority=False)
        if not payload:
            self._bounds.control(self._heard)
        try:
            stream.take(payload)
        except PenstockError as error:
            self._reject(stream, error)
            return
        if flags & h2.END_STREAM:
            self._ended(stream)
        elif stream.recv_window < STREAM_WINDOW // 2:
            self.write(h2.window_update(number, STREAM_WINDOW - stream.recv_window))
            stream.recv_window = STREAM_WINDOW

    def _ended(self, stream: Stream) -> None:
        if stream.ended:
            raise ConnectionError2(h2.STREAM_CLOSED, "a second end of a stream")
        stream.ended = True
        if stream.streaming:
            stream.arrived()
        else:
            self._shared.calls.ready(stream)

    def _credit(self, number: int, credit: int) -> None:
        target = self.streams.get(number) if number else self
        if target is None:
            if self._never_opened(number):
                raise ConnectionError2(h2.PROTOCOL_ERROR, "credit for a stream nobody opened")
            return  # It was answered meanwhile.
        if not credit:
            raise ConnectionError2(h2.PROTOCOL_ERROR, "a credit of nothing")
        was_shut = target.send_window <= 0
        target.send_window += credit
        if target.send_window > h2.WINDOW_MAX:
            raise ConnectionError2(h2.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")
        if not self._blocked:
            return
        if credit < bounds.CREDIT_MIN:
            self._bounds.control(self._heard)
        if was_shut and target is self:
            self._pump()
        elif was_shut and (waiting := self._blocked.pop(number, None)) is not None:
            waiting.pump()

    def _pump(self) -> None:
        """Let every stream that waits for room send, each a turn."""
        waiting, self._blocked = self._blocked, {}
        for stream in waiting.values():
            stream.pump()

    # -- control -----------------------------------------------------------------------------------------------------

    def _reset(self, number: int, _code: int) -> None:
        if number == 0 or self._never_opened(number):
            raise ConnectionError2(h2.PROTOCOL_ERROR, "a reset of a stream nobody opened")
        stream = self.streams.pop(number, None)
        if stream is None:
            self._bounds.control(self._heard)
            return
        self._bounds.reset(self._heard, stream.opened)
        self._blocked.pop(number, None)
        stream.cancel()
        self._close_if_drained()

    def _settings(self, number: int, flags: int, payload: bytes) -> None:
        if number or (flags & h2.ACK and payload):
            raise ConnectionError2(h2.PROTOCOL_ERROR, "SETTINGS of a stream, or an ACK that says something")
        self._bounds.control(self._heard)
        if flags & h2.ACK:
            return
        values = h2.read_settings(payload)
        window = values.get(h2.INITIAL_WINDOW_SIZE, self._peer_window)
        for stream in self.streams.values():
            stream.send_window += window - self._peer_window
        self._peer_window = window
        self.write(h2.SETTINGS_ACK)
        self._pump()

    def _ping(self, number: int, flags: int, payload: bytes) -> None:
        if number or len(payload) != 8:
            raise ConnectionError2(h2.FRAME_SIZE_ERROR if not number else h2.PROTOCOL_ERROR, "not a PING")
        self._bounds.control(self._heard)
        if not flags & h2.ACK:
            self.write(h2.ping(payload, ack=True))
        elif payload == _DRAIN_PING:
            # The client has seen the first GOAWAY; every stream it opened before has arrived.
            self._settled = True
            self.write(h2.goaway(self._last_stream, h2.NO_ERROR))
            self._close_if_drained()

    # -- ends --------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Ask the client to open no more streams, and find out when it has heard it (RFC 9113 6.8)."""
        self.write(h2.goaway(h2.WINDOW_MAX, h2.NO_ERROR), h2.ping(_DRAIN_PING))

    def _close_if_drained(self) -> None:
        if self._settled and not self.streams:
            self._close()

    def _close(self) -> None:
        self._closing = True
        self._buffer = b""
        self._stall.begins(self._loop.time())
        if self._transport is not None:
            self._transport.close()

    def _die(self, code: int) -> None:
        self.write(h2.goaway(self._last_stream, code))
        self._close()
        for stream in list(self.streams.values()):
            stream.cancel()

    def abort(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now: float) -> None:
        """Called about once a second: end what takes too long."""
        quiet = now - self._heard
        if self.write_paused or self._closing:
            if self._transport is not None and self._stall.lasts(self._transport.get_write_buffer_size(), now):
                self.abort()
            return
        if not self._greeted:
            if quiet > bounds.PREFACE_S:
                self.abort()
        elif not self.streams:
            if quiet > bounds.IDLE_S:
                self._die(h2.NO_ERROR)
        elif quiet > bounds.QUIET_S + bounds.GONE_S:
            self.abort()
        elif quiet > bounds.QUIET_S and now - self._pinged > bounds.QUIET_S:
            self._pinged = now
            self.write(h2.ping(_ALIVE_PING))
        for stream in [s for s in self._blocked.values() if s.stall.lasts(s.unsent, now)]:
            self.write(h2.reset(stream.id, h2.CANCEL))
            self._reset(stream.id, h2.CANCEL)
        for stream in [s for s in self.streams.values() if s.comes_too_slowly(now)]:
            self._reject(stream, RequestTimeout("request_too_slow", part="message"))
