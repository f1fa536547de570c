"""Header blocks of HTTP/2: in through hpack with a cache, out as bytes that need no state.

A gRPC client repeats its headers, so after the first call its blocks are a few indices into the dynamic table, byte for
byte the same. Equal bytes over an unchanged table mean equal headers: they are decoded once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import hpack
from hpack.table import HeaderTable

from penstock_gateway.h2_frames import COMPRESSION_ERROR, ConnectionError2

CACHED_MAX: Final = 64
LIST_MAX: Final = 16 * 1024
"""The largest header list of a call, counted as HTTP/2 does (32 more per field): what SETTINGS announce."""
_DECODED_MAX: Final = 4 * LIST_MAX
"""Between the two a call is refused by name; beyond, the connection ends."""
_INDEXED: Final = 0x80
_ALL_ONES: Final = 0xFF
_RESIZE: Final = 0x20
_RESIZE_MASK: Final = 0xE0

Fields = dict[str, str]


class _Table(HeaderTable):
    """Counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)


class HeaderDecoder:
    """One per connection. `decode` gives (fields, size) or raises ConnectionError2: after an error nothing can be read."""

    __slots__ = ("_cache", "_decoder", "_table")

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(_DECODED_MAX)
        self._table = _Table()
        self._decoder.header_table = self._table
        self._cache: dict[bytes, tuple[Fields, int]] = {}

    def decode(self, block: bytes) -> tuple[Fields, int]:
        found = self._cache.get(block)
        if found is not None:
            return found
        before = self._table.changes
        try:
            pairs = self._pairs(block)
            fields = joined(pairs)
        except (hpack.HPACKError, UnicodeDecodeError, IndexError):
            raise ConnectionError2(COMPRESSION_ERROR, "a header block that cannot be read") from None
        read = fields, sum(len(name) + len(value) + 32 for name, value in pairs)
        if self._table.changes != before or (block and block[0] & _RESIZE_MASK == _RESIZE):
            self._cache.clear()
        elif len(self._cache) < CACHED_MAX:
            self._cache[block] = read
        return read

    def _pairs(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Leading indices are looked up here, at a tenth of hpack's cost; the rest is hpack's."""
        pairs = []
        at = size = 0
        for byte in block:
            if byte <= _INDEXED or byte == _ALL_ONES:
                break
            pair = self._table.get_by_index(byte & 0x7F)
            size += len(pair[0]) + len(pair[1]) + 32
            if size > _DECODED_MAX:  # One byte can stand for a whole table's worth.
                raise hpack.OversizedHeaderListError
            pairs.append(pair)
            at += 1
        if at < len(block):
            if at and block[at] & _RESIZE_MASK == _RESIZE:
                raise hpack.HPACKDecodingError
            pairs += [(field[0], field[1]) for field in self._decoder.decode(block[at:], raw=True)]
        return pairs


def joined(pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Fields by name; repeated ones joined with commas, as gRPC says."""
    fields: Fields = {}
    for raw_name, raw_value in pairs:
        name = raw_name.decode("ascii")
        value = raw_value.decode("latin-1")
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields


def literal(name: bytes, value: bytes) -> bytes:
    """A field as a literal without indexing: longer on the wire, but the same bytes at any time."""
    return b"\0" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    head = bytearray((127,))
    size -= 127
    while size >= 128:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + text


def block(fields: Iterable[tuple[str, str]]) -> bytes:
    """A header block of literals; names are lower case, values Latin-1 without control characters."""
    return b"".join(literal(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in fields)


STATUS_200: Final = b"\x88"
"""`:status: 200`, an entry of the static table."""
