"""gRPC over HTTP/2 as bytes: length-prefixed messages, timeouts, statuses (the published PROTOCOL-HTTP2). Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from math import inf
from typing import Final
from urllib.parse import quote

from penstock_adapters.protocol import compression
from penstock_adapters.protocol.errors import InvalidArgument, TooLarge, Unimplemented
from penstock_gateway.h2_headers import STATUS_200, block, literal

PREFIX_SIZE: Final = 5
Bytes = bytes | bytearray
_PREFIX: Final = struct.Struct(">BI")
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_MESSAGE_SAFE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

RESPONSE_HEADERS: Final = (
    STATUS_200
    + literal(b"content-type", b"application/grpc")
    + literal(b"grpc-accept-encoding", b"identity,deflate,gzip")
)
_STATUS_OK: Final = literal(b"grpc-status", b"0")


def prefix(size: int) -> bytes:
    """What stands before an uncompressed message of `size` bytes."""
    return _PREFIX.pack(0, size)


def ok_trailers(metadata: Iterable[tuple[str, str]]) -> bytes:
    return _STATUS_OK + block(metadata)


def error_trailers(status: int, text: str, metadata: Iterable[tuple[str, str]]) -> bytes:
    """The trailers of a failed call. The text is percent-encoded UTF-8, as gRPC says."""
    message = quote(text, safe=_MESSAGE_SAFE)
    return block((("grpc-status", str(status)), ("grpc-message", message), *metadata))


def timeout_s(value: str) -> float:
    """The header `grpc-timeout` in seconds; infinite if it is absent. Raises InvalidArgument."""
    if not value:
        return inf
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise InvalidArgument("header_invalid", name="grpc-timeout", expected="up to 8 digits and a unit")
    return int(found[1]) * _SECONDS[found[2]]


def announced_size(data: Bytes, limit: int) -> int | None:
    """The size of the message that `data` begins, prefix included; None = too little is there. Raises TooLarge."""
    if len(data) < PREFIX_SIZE:
        return None
    _, size = _PREFIX.unpack_from(data)
    if size > limit:
        raise TooLarge("body_too_large", limit=limit)
    return PREFIX_SIZE + int(size)


def unpacked(data: Bytes, encoding: str, limit: int) -> bytes:
    """The message in `data`, which is one whole length-prefixed message.

    Raises InvalidArgument (damaged), TooLarge (inflates beyond `limit`), Unimplemented (an encoding we do not know).
    """
    flag, _ = _PREFIX.unpack_from(data)
    message = bytes(data[PREFIX_SIZE:])
    if not flag:
        return message
    if flag != 1 or encoding in {"", "identity"}:
        raise InvalidArgument("framing_invalid", problem="a compressed gRPC message without grpc-encoding")
    if encoding not in {"gzip", "deflate"}:
        raise Unimplemented("extension_unsupported", extension="this grpc-encoding")
    return compression.decompress(message, "gzip" if encoding == "gzip" else "deflate", limit)
