"""Content codings (6.13)."""

from __future__ import annotations

import contextlib
import gzip
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol.compression import Coding, accepted, coding_of, compress, decompress
from penstock_adapters.protocol.errors import InvalidArgument, PenstockError, TooLarge, UnsupportedEncoding

BODY = b'{"inputs":[]}' * 100


def bare(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@given(st.lists(st.binary(max_size=200), max_size=3), st.sampled_from(["gzip", "deflate"]))
@settings(max_examples=60, deadline=None)
def test_what_is_compressed_is_decompressed(parts: list[bytes], coding: Coding) -> None:
    body = b"".join(parts)
    assert decompress(compress(tuple(parts), coding), coding, len(body)) == body


def test_clients_codings_are_decoded() -> None:
    limit = len(BODY)
    assert decompress(gzip.compress(BODY), "gzip", limit) == BODY
    assert decompress(zlib.compress(BODY), "deflate", limit) == BODY
    assert decompress(bare(BODY), "deflate", limit) == BODY
    assert decompress(memoryview(gzip.compress(b"")), "gzip", 0) == b""


def test_gzip_may_have_several_members_and_deflate_has_one() -> None:
    assert decompress(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", 4) == b"abcd"
    for body in (zlib.compress(b"a") * 2, bare(b"a") * 2):
        with pytest.raises(InvalidArgument):
            decompress(body, "deflate", 9)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_damage_is_refused(coding: Coding) -> None:
    good = compress((BODY,), coding)
    flipped = bytearray(good)
    flipped[-2] ^= 1
    for bad in (b"", b"x", good[:-1], good[:10], good + b"junk", bytes(flipped), BODY):
        with pytest.raises(InvalidArgument):
            decompress(bad, coding, 1 << 20)


def test_output_stops_at_the_cap() -> None:
    bomb = gzip.compress(bytes(1 << 24))
    for body in (bomb, gzip.compress(b"a" * 90) + bomb):
        with pytest.raises(TooLarge, match="100 bytes"):
            decompress(body, "gzip", 100)
    with pytest.raises(TooLarge):
        decompress(zlib.compress(BODY), "deflate", len(BODY) - 1)
    with pytest.raises(TooLarge):
        decompress(bare(BODY), "deflate", len(BODY) - 1)


def test_members_are_counted() -> None:
    member = gzip.compress(b"")
    assert decompress(member * (1 << 16), "gzip", 0) == b""
    with pytest.raises(InvalidArgument):
        decompress(member * ((1 << 16) + 1), "gzip", 0)


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate"]))
@settings(max_examples=100, deadline=None)
def test_garbage_raises_only_our_errors(body: bytes, coding: Coding) -> None:
    with contextlib.suppress(PenstockError):
        decompress(body, coding, 100)


def test_mutations_raise_only_our_errors() -> None:
    rng = random.Random(3)
    for _ in range(300):
        body = bytearray(compress((BODY,), rng.choice(("gzip", "deflate"))))
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        for coding in ("gzip", "deflate"):
            try:
                decompress(bytes(body), "gzip" if coding == "gzip" else "deflate", 1 << 16)
            except PenstockError:
                continue


@pytest.mark.parametrize(
    ("header", "coding"),
    [("", None), ("identity", None), ("gzip", "gzip"), (" X-GZIP ", "gzip"), ("Deflate", "deflate")],
)
def test_one_coding_is_taken(header: str, coding: Coding | None) -> None:
    assert coding_of(header) == coding


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "gzip,identity", "zstd", "compress"])
def test_another_coding_or_two_are_unsupported(header: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        coding_of(header)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, deflate;q=0.1", "deflate"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*, gzip;q=0", "deflate"),
        ("x-gzip", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;Q=1.0", "gzip"),
        ("br, zstd", None),
        ("gzip;q=2", None),
        ("gzip;level=1", None),
        ("GZIP", "gzip"),
    ],
)
def test_the_answers_coding_follows_the_q_values(header: str, coding: Coding | None) -> None:
    assert accepted(header) == coding
