"""Content codings, bounded: gzip and deflate decoded up to a cap, and chosen for an answer by Accept-Encoding (6.13)."""

from __future__ import annotations

import re
import zlib
from typing import Final, Literal

from penstock_adapters.protocol.errors import InvalidArgument, TooLarge, UnsupportedEncoding
from penstock_adapters.protocol.message import Buffer

Coding = Literal["gzip", "deflate"]
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_BARE: Final = -zlib.MAX_WBITS
_PIECE_MIN: Final = 256
_PIECE_MAX: Final = 1 << 16
_MEMBERS_MAX: Final = 1 << 16
_FASTEST: Final = 1
_ITEM: Final = re.compile(r"\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*(?:;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")


def coding_of(content_encoding: str) -> Coding | None:
    """The one coding of a Content-Encoding header; None = identity. Raises UnsupportedEncoding for another, or for two."""
    name = content_encoding.strip().lower()
    match name:
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return "gzip"
        case "deflate":
            return "deflate"
    raise UnsupportedEncoding("encoding_unsupported", coding=name)


def decompress(body: Buffer, coding: Coding, limit: int) -> bytes:
    """The decoded body: gzip (several members allowed) or deflate (zlib or bare).

    Raises TooLarge as soon as more than `limit` bytes come out, InvalidArgument for a broken, cut or trailing stream.
    """
    view = memoryview(body)
    if coding == "gzip":
        return _gunzip(view, limit)
    # zlib framing starts with a header whose 16 bits are a multiple of 31; some clients send deflate bare.
    framed = len(view) >= 2 and view[0] & 0x0F == 8 and (view[0] << 8 | view[1]) % 31 == 0
    try:
        end, data = _inflate(view, _ZLIB if framed else _BARE, limit)
    except zlib.error:
        if not framed:
            raise _damaged(coding) from None
        try:
            end, data = _inflate(view, _BARE, limit)
        except zlib.error:
            raise _damaged(coding) from None
    if data is None:
        raise TooLarge("body_too_large", limit=limit)
    if end != len(view):
        raise InvalidArgument("compression_invalid", coding=coding, problem="it is cut, or bytes follow its end")
    return data


def _damaged(coding: Coding) -> InvalidArgument:
    return InvalidArgument("compression_invalid", coding=coding, problem="its bytes are damaged")


def _gunzip(view: memoryview, limit: int) -> bytes:
    members: list[bytes] = []
    size = start = 0
    while len(members) < _MEMBERS_MAX:
        try:
            end, data = _inflate(view[start:], _GZIP, limit - size)
        except zlib.error:
            raise _damaged("gzip") from None
        if data is None:
            raise TooLarge("body_too_large", limit=limit)
        if end < 0:
            raise InvalidArgument("compression_invalid", coding="gzip", problem="it is cut")
        members.append(data)
        size += len(data)
        start += end
        if start == len(view):
            return b"".join(members)
    raise InvalidArgument("compression_invalid", coding="gzip", problem=f"it has more than {_MEMBERS_MAX} members")


def _inflate(view: memoryview, window: int, room: int) -> tuple[int, bytes | None]:
    """One stream: where it ends in the view (-1 = it is cut), and its bytes (None = more than `room`). Raises zlib.error.

    Fed in growing pieces: what follows a stream's end is copied by zlib, and many short members must not add up.
    """
    stream = zlib.decompressobj(window)
    parts: list[bytes] = []
    size = position = 0
    piece = _PIECE_MIN
    while not stream.eof:
        chunk: Buffer = stream.unconsumed_tail
        if not chunk:
            chunk = view[position : position + piece]
            position += len(chunk)
            piece = min(piece * 4, _PIECE_MAX)
            if not chunk:
                return -1, b"".join(parts)
        data = stream.decompress(chunk, room - size + 1)
        size += len(data)
        if size > room:
            return position, None
        parts.append(data)
    return position - len(stream.unused_data), b"".join(parts)


def compress(parts: tuple[Buffer, ...], coding: Coding) -> bytes:
    """A body in one piece, at the fastest level."""
    stream = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP if coding == "gzip" else _ZLIB)
    return b"".join((*map(stream.compress, parts), stream.flush()))


def accepted(accept_encoding: str) -> Coding | None:
    """The coding to answer in: the one with the highest q-value, gzip before deflate; None = identity.

    A header that cannot be read asks for nothing.
    """
    quality: dict[str, float] = {}
    for item in accept_encoding.split(","):
        found = _ITEM.fullmatch(item)
        if found is not None:
            quality[found[1].lower()] = float(found[2] or 1)
    wildcard = quality.get("*", 0.0)
    gzip = quality.get("gzip", quality.get("x-gzip", wildcard))
    deflate = quality.get("deflate", wildcard)
    best, coding = max((gzip, 1, "gzip"), (deflate, 0, "deflate"))[::2]
    if best <= 0 or best < quality.get("identity", 0.0):
        return None
    return "gzip" if coding == "gzip" else "deflate"
