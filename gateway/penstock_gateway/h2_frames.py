"""HTTP/2 frames as bytes (RFC 9113): the constants, the builders, and what a connection dies of. Pure."""

from __future__ import annotations

import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_SIZE: Final = 9
FRAME_MAX: Final = 16_384
"""The largest payload a peer may send us, and we send: the size every implementation must take."""
WINDOW_MAX: Final = (1 << 31) - 1

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

_HEADER: Final = struct.Struct(">HBBBI")
_SETTING: Final = struct.Struct(">HI")
_WORD: Final = struct.Struct(">I")
_TWO_WORDS: Final = struct.Struct(">II")

unpack_header = _HEADER.unpack_from
"""(length >> 8, length & 255, type, flags, stream id with the reserved bit) of the 9 bytes at an offset."""


class ConnectionError2(Exception):
    """The connection cannot go on; `code` goes into the GOAWAY."""

    def __init__(self, code: int, what: str) -> None:
        self.code = code
        super().__init__(what)


def frame_header(length: int, kind: int, flags: int, stream: int) -> bytes:
    return _HEADER.pack(length >> 8, length & 255, kind, flags, stream)


def settings(values: dict[int, int]) -> bytes:
    payload = b"".join(_SETTING.pack(name, value) for name, value in values.items())
    return frame_header(len(payload), SETTINGS, 0, 0) + payload


def read_settings(payload: bytes) -> dict[int, int]:
    """Raises ConnectionError2 for a payload that is no list of settings, or one out of range."""
    if len(payload) % 6:
        raise ConnectionError2(FRAME_SIZE_ERROR, "a SETTINGS frame of no whole number of settings")
    values = dict(_SETTING.iter_unpack(payload))
    if values.get(ENABLE_PUSH, 0) > 1:
        raise ConnectionError2(PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
    if values.get(INITIAL_WINDOW_SIZE, 0) > WINDOW_MAX:
        raise ConnectionError2(FLOW_CONTROL_ERROR, "an initial window beyond 2^31-1")
    if not FRAME_MAX <= values.get(MAX_FRAME_SIZE, FRAME_MAX) < 1 << 24:
        raise ConnectionError2(PROTOCOL_ERROR, "a maximum frame size out of range")
    return values


SETTINGS_ACK: Final = frame_header(0, SETTINGS, ACK, 0)


def window_update(stream: int, credit: int) -> bytes:
    return frame_header(4, WINDOW_UPDATE, 0, stream) + _WORD.pack(credit)


def reset(stream: int, code: int) -> bytes:
    return frame_header(4, RST_STREAM, 0, stream) + _WORD.pack(code)


def ping(payload: bytes, *, ack: bool = False) -> bytes:
    return frame_header(8, PING, ACK if ack else 0, 0) + payload


def goaway(last_stream: int, code: int) -> bytes:
    return frame_header(8, GOAWAY, 0, 0) + _TWO_WORDS.pack(last_stream, code)


def word(payload: bytes) -> int:
    """The 31 bits of a WINDOW_UPDATE or RST_STREAM payload. Raises ConnectionError2 for another length."""
    if len(payload) != 4:
        raise ConnectionError2(FRAME_SIZE_ERROR, "a frame that must have 4 bytes has not")
    found: int = _WORD.unpack(payload)[0]
    return found


def without_padding(payload: bytes, flags: int, *, priority: bool) -> bytes:
    """The payload of a DATA or HEADERS frame proper. Raises ConnectionError2."""
    start = 0
    end = len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionError2(FRAME_SIZE_ERROR, "a padded frame without its pad length")
        start = 1
        end -= payload[0]
    if priority and flags & WITH_PRIORITY:
        start += 5
    if start > end:
        raise ConnectionError2(PROTOCOL_ERROR, "more padding than payload")
    return payload[start:end]
