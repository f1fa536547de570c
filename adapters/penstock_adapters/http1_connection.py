"""One keep-alive HTTP/1.1 connection: a request is written, its answer is read, nothing else is on the wire.

Rule: a connection goes back to its pool only when exactly one answer was read to its end and not a byte more. Everything
else (a cancelled caller, surplus bytes, an answer before the request was out, "Connection: close") ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, Protocol

import httptools
import msgspec

from penstock_adapters.protocol.message import Buffer
from penstock_adapters.protocol.wire import room

SCRATCH: Final = 16 * 1024
"""Bytes of the buffer a connection reads answers' heads and small bodies into; larger bodies are read into their own."""
JOIN_MAX: Final = 64 * 1024
"""Requests up to this size are joined to one buffer and one write; larger ones are written without a copy."""
INTERIM_MAX: Final = 8
"""1xx answers before the real one."""


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer. Header names are in lower case; a repeated header is joined with commas (RFC 9110, 5.2)."""

    status: int
    headers: Mapping[bytes, bytes]
    body: Buffer


class AnswerCaps(msgspec.Struct, frozen=True):
    """What a server may send in one answer. Sizes in bytes."""

    body: int = 64 << 20
    head: int = 64 * 1024
    headers: int = 100
    chunks: int = 65_536

    @property
    def chunked(self) -> int:
        """All bytes of a chunked answer: its head, its body, the framing of every chunk, its trailers."""
        return self.head + self.body + 16 * self.chunks


class Lost(Exception):
    """The connection ended before the first byte of the answer."""


class Garbage(Exception):
    """What came is not an answer we can read; the argument is the problem in our own words."""


class Late(Exception):
    """The deadline passed."""


class Owner(Protocol):
    """What a connection tells its pool."""

    def opened(self, connection: Connection) -> None:
        """It is connected. Called before anything else."""
        ...

    def released(self, connection: Connection) -> None:
        """It is fit for the next request."""
        ...

    def ended(self, connection: Connection) -> None:
        """It is closed."""
        ...


class Connection(asyncio.BufferedProtocol):
    """See the module. Idle while `future` is None."""

    __slots__ = (
        "_body_view", "_caps", "_chunked", "_done", "_filled", "_headers", "_interim", "_keep",
        "_large", "_length", "_owner", "_parser", "_pieces", "_problem", "_scratch", "_started", "_status", "_wire",
        "deadline", "future", "idle_since", "reused", "transport", "was_opened",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, owner: Owner, caps: AnswerCaps) -> None:
        self._owner = owner
        self._caps = caps
        self._scratch = memoryview(bytearray(SCRATCH))
        self.future: asyncio.Future[Response] | None = None
        self.deadline = inf
        self.idle_since = 0.0
        self.reused = False
        self.was_opened = False
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._body_view: memoryview | None = None
        self._filled = self._length = self._wire = self._interim = self._status = 0
        self._keep = self._chunked = self._done = self._started = False
        self._problem = ""

    # -- the request --

    def send(self, head: bytes, parts: Sequence[Buffer], size: int, deadline: float) -> asyncio.Future[Response]:
        """Write one request; the future ends with its Response, Lost, Garbage or Late. `size` = bytes of `parts`.

        Raises Lost if the connection is closed already: then nothing was sent.
        """
        if self.transport.is_closing():
            raise Lost
        self.future = asyncio.get_running_loop().create_future()
        self.deadline = deadline
        self._large = size > JOIN_MAX
        if self._large:
            self.transport.writelines([head, *parts])
        elif size:
            self.transport.write(b"".join((head, *parts)))
        else:
            self.transport.write(head)
        return self.future

    def fail(self, error: Exception) -> None:
        """End the request under way, and the connection with it."""
        future, self.future = self.future, None
        self.transport.abort()
        if future is not None and not future.done():
            future.set_exception(error)

    # -- bytes from the server (asyncio.BufferedProtocol) --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio types it as the base of all transports
        self.was_opened = True
        self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  (asyncio's signature)
        if self._body_view is not None:
            return self._body_view[self._filled :]
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        if self._body_view is not None:
            self._filled += nbytes
            if self._filled >= self._length:
                self._keep = self._keep and self._filled == self._length
                self._finish(self._body_view[: self._length].toreadonly())
            return
        if self.future is None:
            self.transport.abort()  # nobody asked for anything
            return
        self._started = True
        self._wire += nbytes
        try:
            self._parser.feed_data(self._scratch[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Surplus bytes behind a whole answer do not spoil the answer, only the connection.
            self._keep = False
            if not self._done:
                self._problem = self._problem or "it is not HTTP/1.1"
        if self._problem:
            self.fail(Garbage(self._problem))
        elif self._done:
            if nbytes == SCRATCH:
                self._keep = False  # a full buffer may not be all there is
            self._finish(self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces))
        elif self._length:
            self._read_directly()
        elif self._wire > (self._caps.chunked if self._chunked else self._caps.head):
            self.fail(Garbage("its head or its trailers are too large"))

    def _read_directly(self) -> None:
        """The rest of a body of known length goes straight to where it will stay: one buffer, no parser, no copies.

        There is room for one byte more: what stands behind the body must be seen before anybody else is given the
        connection, or it would be read as the answer to the next request.
        """
        view = room(self._length + 1)
        for piece in self._pieces:
            view[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
        self._body_view = view
        self._parser = httptools.HttpResponseParser(self)  # the old one waits for this body's end

    def _finish(self, body: Buffer) -> None:
        response = Response(self._status, self._headers, body)
        future, self.future = self.future, None
        keep = self._keep and not self.transport.is_closing()
        if keep and self._large and self.transport.get_write_buffer_size():
            keep = False  # answered before it had read the request: what follows on the wire is not ours to guess
        self._reset()
        self.reused = True
        if keep:
            self._owner.released(self)
        else:
            self.transport.abort()
        if future is not None and not future.done():
            future.set_result(response)

    def eof_received(self) -> bool:
        return False  # half-closed is closed: connection_lost follows

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        self._owner.ended(self)
        future, self.future = self.future, None
        if future is not None and not future.done():
            future.set_exception(Garbage("it ends in the middle") if self._started else Lost())

    # -- the parser's callbacks (httptools) --

    def on_message_begin(self) -> None:
        if self._done:
            self._keep = False  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._done or self._chunked:
            return  # trailers mean nothing here
        name = name.lower()
        known = self._headers.get(name)
        self._headers[name] = value if known is None else known + b", " + value
        if len(self._headers) > self._caps.headers:
            self._problem = "it has too many headers"

    def on_headers_complete(self) -> None:
        if self._done:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:
            self._interim += 1
            if self._status == 101 or self._interim > INTERIM_MAX:
                self._problem = "it switches protocols or only promises to go on"
            return
        self._keep = self._parser.should_keep_alive()
        headers = self._headers
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            self._problem = "it is compressed, which was not asked for"
        length = headers.get(b"content-length")
        if length is not None:
            self._length = int(length)  # digits: the parser has checked
            if self._length > self._caps.body:
                self._problem = "its body is too large"
        elif headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            self._chunked = True
        elif self._status not in {204, 304}:
            self._problem = "its body has no length"

    def on_body(self, body: bytes) -> None:
        if self._done or self._problem:
            return
        self._pieces.append(body)
        if self._chunked:
            self._filled += len(body)
            if self._filled > self._caps.body:
                self._problem = "its body is too large"
            elif len(self._pieces) > self._caps.chunks:
                self._problem = "it comes in too many chunks"

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._headers = {}
        else:
            self._done = True
