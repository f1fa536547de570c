"""Bodies at the edge, without a server."""

from __future__ import annotations

import gzip

import pytest

from penstock_adapters.protocol.errors import InvalidArgument, TooLarge, UnsupportedEncoding
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_gateway.rest_bodies import compressed, decompressed, request_body
from penstock_gateway.rest_headers import RestHeaders
from tests.support.plane import MODELS

NONE = RestHeaders([])


def coded(coding: bytes) -> RestHeaders:
    return RestHeaders([(b"content-encoding", coding), (b"accept-encoding", coding)])


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_coded_body_is_decoded_on_and_off_the_loop(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)

    assert await decompressed(coded(b"gzip"), gzip.compress(body), DEFAULT_LIMITS) == body
    assert await decompressed(coded(b"identity"), body, DEFAULT_LIMITS) == body


async def test_decoding_stops_at_the_cap() -> None:
    with pytest.raises(TooLarge):
        await decompressed(coded(b"gzip"), gzip.compress(b"0" * 5000), Limits(body=4999))
    with pytest.raises(UnsupportedEncoding):
        await decompressed(coded(b"zstd"), b"", DEFAULT_LIMITS)


@pytest.mark.parametrize("size", [2000, 100_000])
async def test_answers_are_coded_in_one_piece(size: int) -> None:
    parts = (b"a" * size, memoryview(b"b" * size))
    body, length, fields = await compressed(parts, 2 * size, (), coded(b"gzip"))

    assert gzip.decompress(b"".join(body)) == b"a" * size + b"b" * size
    assert length == len(b"".join(body))
    assert dict(fields) == {b"vary": b"Accept-Encoding", b"content-encoding": b"gzip"}
    assert await compressed(parts, 2 * size, (), NONE) == (parts, 2 * size, ((b"vary", b"Accept-Encoding"),))


def test_a_raw_request_is_read_by_the_signature() -> None:
    raw = RestHeaders([(b"inference-header-content-length", b"0")])
    message = request_body(raw, bytes(16), DEFAULT_LIMITS).check(MODELS["digits", "1"])

    assert [(t.name, t.shape, bytes(t.data)) for t in message.inputs] == [("x", (1, 4), bytes(16))]
    assert message.binary_output
    for signature in (None, MODELS["pair", "1"]):
        with pytest.raises(InvalidArgument):
            request_body(raw, bytes(16), DEFAULT_LIMITS).check(signature)


def test_a_request_with_a_foreign_charset_is_not_read() -> None:
    with pytest.raises(InvalidArgument):
        request_body(RestHeaders([(b"content-type", b"text/json; charset=utf-16")]), b"{}", DEFAULT_LIMITS)
