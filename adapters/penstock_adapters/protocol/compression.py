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
_CHUNK: Final = 1 << 16
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
    if coding == "gzip":
        return _gunzip(body, limit)
    # zlib framing starts with a header whose 16 bits are a multiple of 31; some clients send deflate bare.
    framed = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    try:
        data, rest = _inflate(body, _ZLIB if framed else _BARE, limit, coding)
    except InvalidArgument:
        if not framed:
            raise
        data, rest = _inflate(body, _BARE, limit, coding)
    if rest:
        raise InvalidArgument("compression_invalid", coding=coding, problem="bytes follow its end")
    return data


def _gunzip(body: Buffer, limit: int) -> bytes:
    members: list[bytes] = []
    rest: Buffer = body
    size = 0
    while True:
        data, rest = _inflate(rest, _GZIP, limit - size, "gzip", cap=limit)
        members.append(data)
        size += len(data)
        if not rest:
            return b"".join(members)


def _inflate(body: Buffer, window: int, room: int, coding: Coding, *, cap: int = 0) -> tuple[bytes, bytes]:
    """One stream and the bytes after it, never holding more than `room` bytes and one."""
    stream = zlib.decompressobj(window)
    try:
        data = stream.decompress(body, room + 1)
    except zlib.error:
        raise InvalidArgument("compression_invalid", coding=coding, problem="its bytes are damaged") from None
    if len(data) > room:
        raise TooLarge("body_too_large", limit=cap or room)
    if not stream.eof:
        raise InvalidArgument("compression_invalid", coding=coding, problem="it ends too early")
    return data, stream.unused_data


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
