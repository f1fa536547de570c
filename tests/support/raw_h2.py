"""An HTTP/2 client that sends the frames it is told to, for what no well-behaved library would send."""

from __future__ import annotations

import asyncio
from typing import Self

import hpack
import msgspec

from penstock_adapters.protocol.messages import METHODS
from penstock_gateway import h2_frames as h2
from penstock_gateway.grpc_wire import prefix

PATIENCE_S = 5.0
LIVE = METHODS["ServerLive"].path
INFER = METHODS["ModelInfer"].path


class Frame(msgspec.Struct, frozen=True):
    kind: int
    flags: int
    stream: int
    payload: bytes


class Outcome(msgspec.Struct):
    """What one stream got."""

    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str]

    @property
    def status(self) -> str:
        return self.trailers.get("grpc-status", self.headers.get("grpc-status", ""))

    @property
    def message(self) -> bytes:
        return self.body[5:]


def request_fields(path: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "penstock"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]


class RawH2:
    """One connection, greeted. Reads are bounded; windows are given back only when a test does it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()

    @classmethod
    async def open(cls, port: int, settings: dict[int, int] | None = None) -> Self:
        raw = cls(*await asyncio.open_connection("127.0.0.1", port))
        await raw.send(h2.PREFACE, h2.settings(settings or {}))
        return raw

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()

    async def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))
        await self._writer.drain()

    def send_soon(self, data: bytes) -> None:
        """Send without waiting until the server takes it."""
        self._writer.write(data)

    def block(self, fields: list[tuple[str, str]]) -> bytes:
        return bytes(self._encoder.encode(fields))

    def headers(self, stream: int, path: str = LIVE, *more: tuple[str, str], end: bool = False) -> bytes:
        block = self.block(request_fields(path, *more))
        flags = h2.END_HEADERS | (h2.END_STREAM if end else 0)
        return h2.frame_header(len(block), h2.HEADERS, flags, stream) + block

    def data(self, stream: int, payload: bytes, *, end: bool = True) -> bytes:
        return h2.frame_header(len(payload), h2.DATA, h2.END_STREAM if end else 0, stream) + payload

    def call(self, stream: int, path: str = LIVE, message: bytes = b"", *more: tuple[str, str]) -> bytes:
        """A whole unary call."""
        return self.headers(stream, path, *more) + self.data(stream, prefix(len(message)) + message)

    async def frame(self) -> Frame | None:
        """The next frame; None = the server closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                high, low, kind, flags, stream = h2.unpack_header(await self._reader.readexactly(9))
                payload = await self._reader.readexactly(high << 8 | low)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return None
        return Frame(kind, flags, stream, payload)

    async def frames_until(self, kind: int) -> list[Frame]:
        """Frames up to the first of a kind, or the end of the connection."""
        found = []
        while (frame := await self.frame()) is not None:
            found.append(frame)
            if frame.kind == kind:
                break
        return found

    async def goaway(self) -> int:
        """Wait for the server's GOAWAY; its error code. The connection must end after it."""
        frames = await self.frames_until(h2.GOAWAY)
        assert frames, "the server said nothing"
        assert frames[-1].kind == h2.GOAWAY, frames
        return int.from_bytes(frames[-1].payload[4:8], "big")

    async def outcome(self, stream: int) -> Outcome:
        """Read to the end of a stream; frames of others are thrown away. A reset is status "reset CODE"."""
        outcome = Outcome({}, b"", {})
        while (frame := await self.frame()) is not None:
            if frame.kind == h2.HEADERS:
                fields = {str(name): str(value) for name, value in self._decoder.decode(frame.payload)}
                if frame.stream == stream:
                    outcome.headers, outcome.trailers = (
                        (fields, {}) if not outcome.headers else (outcome.headers, fields)
                    )
            if frame.stream != stream:
                continue
            if frame.kind == h2.DATA:
                outcome.body += frame.payload
            elif frame.kind == h2.RST_STREAM:
                outcome.trailers = {"grpc-status": f"reset {int.from_bytes(frame.payload, 'big')}"}
                return outcome
            if frame.kind in {h2.HEADERS, h2.DATA} and frame.flags & h2.END_STREAM:
                return outcome
        return outcome
