"""Header blocks: the cache changes nothing but the time."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway.h2_frames import ConnectionError2
from penstock_gateway.h2_headers import HeaderDecoder, block, joined

NAMES = st.sampled_from(["grpc-timeout", "x-user", ":path", "content-type", "te"])
VALUES = st.text("abc019", max_size=6)
LISTS = st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=5), max_size=12)


@given(LISTS, st.data())
def test_the_cache_decodes_as_hpack_does(lists: list[list[tuple[str, str]]], data: st.DataObject) -> None:
    encoder, plain, cached = hpack.Encoder(), hpack.Decoder(), HeaderDecoder()
    for fields in lists:
        if data.draw(st.integers(0, 4)) == 0:
            encoder.header_table_size = data.draw(st.sampled_from([0, 64, 4096]))
        for _ in range(2):
            sent = encoder.encode(fields, huffman=data.draw(st.booleans()))
            expected = [(bytes(name), bytes(value)) for name, value in plain.decode(sent, raw=True)]
            assert cached.decode(sent)[0] == joined(expected)


def test_repeated_blocks_are_decoded_once() -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    fields = [(":path", "/a"), ("x-user", "ann")]
    first = decoder.decode(encoder.encode(fields))
    second = decoder.decode(encoder.encode(fields))
    third = decoder.decode(encoder.encode(fields))

    assert first == second
    assert third is second


@pytest.mark.parametrize(
    "data", [b"\x80", b"\xff\xff\xff\xff\xff", b"\xfe", b"\x40", b"\x00\x05abc", b"\x3f\xe2\x1f\x20"]
)
def test_blocks_that_cannot_be_read_end_the_connection(data: bytes) -> None:
    with pytest.raises(ConnectionError2):
        HeaderDecoder().decode(data)


def test_indices_of_a_large_field_are_no_bomb() -> None:
    decoder = HeaderDecoder()
    decoder.decode(hpack.Encoder().encode([("x", "a" * 4000)]))

    with pytest.raises(ConnectionError2):
        decoder.decode(b"\xbe" * 1000)  # 1000 bytes that mean 4 MB, and 2 GB of copies to join them


@given(st.binary(max_size=60))
def test_garbage_raises_only_our_error(data: bytes) -> None:
    decoder = HeaderDecoder()
    try:
        decoder.decode(data)
    except ConnectionError2 as error:
        assert error.code  # noqa: PT017 - either outcome is right; nothing else may be raised


@given(
    st.dictionaries(st.text("abc-", min_size=1, max_size=5), st.text(st.characters(max_codepoint=255), max_size=300))
)
def test_what_is_written_reads_back(fields: dict[str, str]) -> None:
    found = dict(hpack.Decoder().decode(block(fields.items()), raw=True))

    assert found == {name.encode(): value.encode("latin-1") for name, value in fields.items()}


def test_repeated_fields_are_joined() -> None:
    assert joined([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]) == {"a": "1,3", "b": "2"}
