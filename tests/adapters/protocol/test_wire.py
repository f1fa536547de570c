from __future__ import annotations

from penstock_adapters.protocol.wire import RestWire


def test_the_size_counts_every_part() -> None:
    assert RestWire((b"ab", memoryview(b"cde"))).size == 5
    assert RestWire(()).size == 0
