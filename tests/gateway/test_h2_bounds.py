"""Counts by the second."""

from __future__ import annotations

import pytest

from penstock_gateway.h2_bounds import CONTROL_MAX, RESETS_MAX, YOUNG_S, Bounds
from penstock_gateway.h2_frames import ENHANCE_YOUR_CALM, ConnectionError2


def test_frames_that_do_nothing_are_counted_by_the_second() -> None:
    bounds = Bounds()
    for second in range(3):
        for _ in range(CONTROL_MAX):
            bounds.control(float(second) + 1.0)

    with pytest.raises(ConnectionError2) as caught:
        bounds.control(3.5)
    assert caught.value.code == ENHANCE_YOUR_CALM


def test_only_resets_of_new_streams_count() -> None:
    bounds = Bounds()
    for _ in range(RESETS_MAX * 5):
        bounds.reset(10.0, 9.9 - YOUNG_S)
    for _ in range(RESETS_MAX):
        bounds.reset(10.0, 10.0)

    with pytest.raises(ConnectionError2):
        bounds.reset(10.0, 10.0)
