from __future__ import annotations

import pytest

from penstock_adapters.protocol.wire import LARGE, RestWire, room


def test_the_size_counts_every_part() -> None:
    assert RestWire((b"ab", memoryview(b"cde"))).size == 5
    assert RestWire(()).size == 0


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, 16_000_000])
def test_room_is_writable_zeros_of_just_that_size(size: int) -> None:
    body = room(size)
    assert len(body) == size
    if size:
        body[size - 1 :] = b"x"
        assert bytes(body[-2:]) == b"\0x"[-size:]
