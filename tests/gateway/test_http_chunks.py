"""Chunked bodies: the same bytes however they are cut, and a bound on everything."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import InvalidArgument, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_gateway.http_chunks import EXTENSION_MAX, ChunkedBody


def encoded(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def read(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes, bytes] | None:
    body = ChunkedBody(limits)
    rest = body.feed(data)
    return None if rest is None else (body.body(), rest)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 30)), st.binary(max_size=9))
def test_a_body_is_the_same_however_it_is_cut(chunks: list[bytes], cuts: list[int], after: bytes) -> None:
    data = encoded(*chunks) + after
    body = ChunkedBody(DEFAULT_LIMITS)
    rest = None
    for cut in cuts:
        piece, data = data[:cut], data[cut:]
        if rest is None:
            rest = body.feed(piece)
        else:
            rest += piece
    rest = body.feed(data) if rest is None else rest + data

    assert rest == after
    assert body.body() == b"".join(chunks)


def test_extensions_and_trailers_are_read_over() -> None:
    data = b"3;name=value\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\nnext"

    assert read(data) == (b"abc", b"next")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"0x3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc0\r\n",
        b"1" * 17 + b"\r\n",
        b"3;" + b"x" * (EXTENSION_MAX + 1) + b"\r\n",
        b"3;" + b"x" * (EXTENSION_MAX + 1),
        b"3;\x00\r\n",
        b"0\r\nnot a header\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 2000,
        b"0\r\nX: " + b"y" * 9000,
    ],
)
def test_what_is_not_a_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        read(data)


def test_size_and_number_of_chunks_are_bounded() -> None:
    limits = Limits(body=10, chunks=3)

    assert read(encoded(b"abc", b"def", b"ghi"), limits) == (b"abcdefghi", b"")
    with pytest.raises(TooLarge):
        read(encoded(b"abcdefghijk"), limits)
    with pytest.raises(TooLarge):
        read(b"b\r\n", limits)
    with pytest.raises(TooLarge):
        read(encoded(b"a", b"b", b"c", b"d"), limits)


@given(st.binary(max_size=200))
def test_garbage_raises_only_our_errors(data: bytes) -> None:
    with suppress(InvalidArgument, TooLarge):
        read(data)
