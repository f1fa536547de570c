"""Frames as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway import h2_frames as h2
from penstock_gateway.h2_frames import ConnectionError2


@given(st.integers(0, (1 << 24) - 1), st.integers(0, 255), st.integers(0, 255), st.integers(0, h2.WINDOW_MAX))
def test_a_header_reads_back(length: int, kind: int, flags: int, stream: int) -> None:
    high, low, *rest = h2.unpack_header(h2.frame_header(length, kind, flags, stream))

    assert (high << 8 | low, *rest) == (length, kind, flags, stream)


def test_settings_read_back() -> None:
    values = {h2.INITIAL_WINDOW_SIZE: 70_000, h2.MAX_FRAME_SIZE: 1 << 20, 0xF000: 9}

    assert h2.read_settings(h2.settings(values)[9:]) == values


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"12345", h2.FRAME_SIZE_ERROR),
        (h2.settings({h2.ENABLE_PUSH: 2})[9:], h2.PROTOCOL_ERROR),
        (h2.settings({h2.INITIAL_WINDOW_SIZE: 1 << 31})[9:], h2.FLOW_CONTROL_ERROR),
        (h2.settings({h2.MAX_FRAME_SIZE: 16_383})[9:], h2.PROTOCOL_ERROR),
        (h2.settings({h2.MAX_FRAME_SIZE: 1 << 24})[9:], h2.PROTOCOL_ERROR),
    ],
)
def test_settings_out_of_range_end_the_connection(payload: bytes, code: int) -> None:
    with pytest.raises(ConnectionError2) as caught:
        h2.read_settings(payload)

    assert caught.value.code == code


def test_padding_and_priority_are_taken_off() -> None:
    assert h2.without_padding(b"abc", 0, priority=True) == b"abc"
    assert h2.without_padding(b"\x02abc\0\0", h2.PADDED, priority=False) == b"abc"
    assert h2.without_padding(b"\x01\0\0\0\x03\x10abc\0", h2.PADDED | h2.WITH_PRIORITY, priority=True) == b"abc"
    for payload, flags in ((b"", h2.PADDED), (b"\x05abc", h2.PADDED), (b"abc", h2.WITH_PRIORITY)):
        with pytest.raises(ConnectionError2):
            h2.without_padding(payload, flags, priority=True)


def test_words_have_four_bytes() -> None:
    assert h2.word(h2.window_update(3, 77)[9:]) == 77
    with pytest.raises(ConnectionError2):
        h2.word(b"123")
