"""Every answer has a request id."""

from __future__ import annotations

import pytest

from penstock_gateway.request_ids import RequestIds


@pytest.mark.parametrize("given", [b"a", b"trace-1.2_x", b"x" * 128])
def test_a_well_formed_id_is_the_callers(given: bytes) -> None:
    assert RequestIds().answering(given) == given


@pytest.mark.parametrize("given", [None, b"", b"x" * 129, b"a b", b"a\x00", b"a\n", "é".encode()])
def test_anything_else_gets_a_fresh_one(given: bytes | None) -> None:
    ids = RequestIds()
    fresh = {ids.answering(given) for _ in range(100)}

    assert len(fresh) == 100
    assert all(RequestIds().answering(one) == one for one in fresh)
    assert not fresh & {RequestIds().answering(given)}
