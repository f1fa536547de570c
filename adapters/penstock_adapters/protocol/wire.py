"""Level 0 of a body: the REST bytes as they stand on the wire."""

from __future__ import annotations

import mmap
from typing import Final

import msgspec

from penstock_adapters.protocol.message import Buffer

LARGE: Final = 64 * 1024
"""Bytes from which a body gets pages of its own."""


def room(size: int) -> memoryview:
    """A writable buffer for a body of `size` bytes, filled with zeros.

    A large one is mapped: it costs memory only where it is written, so that an announced length alone costs none, and it
    goes back to the system whole. From the heap, bodies of 16 MB left holes five times their size.
    """
    if size < LARGE:
        return memoryview(bytearray(size))
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class RestWire(msgspec.Struct, frozen=True, gc=False):
    """A REST body: its bytes in order, and the length of the JSON part (None = all of it is JSON, nothing binary)."""

    parts: tuple[Buffer, ...]
    header_length: int | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))
