"""Level 0 of a body: the REST bytes as they stand on the wire."""

from __future__ import annotations

import msgspec

from penstock_adapters.protocol.message import Buffer


class RestWire(msgspec.Struct, frozen=True, gc=False):
    """A REST body: its bytes in order, and the length of the JSON part (None = all of it is JSON, nothing binary)."""

    parts: tuple[Buffer, ...]
    header_length: int | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))
