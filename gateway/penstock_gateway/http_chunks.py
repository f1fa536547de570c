"""A chunked body, taken apart by hand: llhttp shows neither the extensions nor the number of chunks, and both need a bound."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from penstock_adapters.protocol.errors import TooLarge
from penstock_adapters.protocol.limits import Limits
from penstock_gateway.http_head import malformed

EXTENSION_MAX: Final = 256
TRAILER_MAX: Final = 8 * 1024
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")
_EXTENSION: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()


class ChunkedBody:
    """Feed it bytes; when `feed` gives something else than None, the body is whole and that is what followed it."""

    __slots__ = ("_chunks", "_left", "_limits", "_line", "_parts", "_size", "_state", "_trailer")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = _State.SIZE
        self._line = b""
        """A line of which the end has not arrived yet."""
        self._parts: list[bytes] = []
        self._size = 0
        self._chunks = 0
        self._left = 0
        self._trailer = 0

    def body(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def feed(self, data: bytes) -> bytes | None:
        """Raises InvalidArgument on anything that is not a chunk, TooLarge beyond the body's or the chunks' cap."""
        if self._line:
            data, self._line = self._line + data, b""
        at = 0
        while at < len(data):
            if self._state is _State.DATA:
                at = self._take(data, at)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._keep(data[at:])
                return None
            line = data[at:end]
            at = end + 2
            if self._state is _State.SIZE:
                self._begin(line)
            elif self._state is _State.DATA_END:
                if line:
                    raise malformed("a chunk is longer than it says")
                self._state = _State.SIZE
            elif not line:
                return data[at:]
            else:
                self._count_trailer(line)
        return None

    def _keep(self, line: bytes) -> None:
        """Wait for the line's end, unless it is wrong or too long already."""
        body = line.removesuffix(b"\r")
        if b"\n" in body or b"\r" in body:
            raise malformed("lines of a chunked body end with CR LF")
        if self._state is _State.DATA_END and body:
            raise malformed("a chunk is longer than it says")
        if self._state is _State.SIZE:
            self._check_size_line(body)
        elif len(line) > TRAILER_MAX:
            raise malformed("the trailers are too long")
        self._line = line

    def _check_size_line(self, line: bytes) -> tuple[bytes, bytes]:
        size, _, extension = line.partition(b";")
        if (size and not _SIZE.fullmatch(size)) or not _EXTENSION.fullmatch(extension):
            raise malformed("a chunk size is not a hexadecimal number")
        if len(extension) > EXTENSION_MAX:
            raise malformed("a chunk extension is too long")
        return size, extension

    def _begin(self, line: bytes) -> None:
        size, _ = self._check_size_line(line)
        if not size:
            raise malformed("a chunk size is missing")
        self._left = int(size, 16)
        if not self._left:
            self._state = _State.TRAILER
            return
        self._size += self._left
        self._chunks += 1
        if self._size > self._limits.body:
            raise TooLarge("body_too_large", limit=self._limits.body)
        if self._chunks > self._limits.chunks:
            raise TooLarge("chunks_too_many", limit=self._limits.chunks)
        self._state = _State.DATA

    def _take(self, data: bytes, at: int) -> int:
        part = data[at : at + self._left]
        self._parts.append(part)
        self._left -= len(part)
        if not self._left:
            self._state = _State.DATA_END
        return at + len(part)

    def _count_trailer(self, line: bytes) -> None:
        """Trailers are read over: nothing here may depend on a header that comes after the body."""
        self._trailer += len(line) + 2
        if self._trailer > TRAILER_MAX or not _TRAILER.fullmatch(line):
            raise malformed("a trailer is not a header, or the trailers are too long")
