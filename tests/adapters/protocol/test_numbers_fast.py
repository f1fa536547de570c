"""The fast path takes only what the exact path takes, and to the same bits."""

from __future__ import annotations

import json
import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.limits import DEFAULT_LIMITS
from penstock_adapters.protocol.numbers_exact import pack_values
from penstock_adapters.protocol.numbers_fast import pack_raw
from penstock_adapters.protocol.rest_exact import read_object

literals = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.floats().map(json.dumps),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?\Z"),
    st.sampled_from(["true", "false", "null", "-0", "1.0", "0", "1", '"NaN"', '"a"', "[]", "{}", "1,", ""]),
)


@given(st.sampled_from(sorted(DATATYPES)), st.lists(literals, max_size=4), st.booleans())
@settings(max_examples=600, deadline=None)
def test_what_the_fast_path_takes_the_exact_path_takes_to_the_same_bits(
    datatype: str, elements: list[str], nested: bool
) -> None:
    text = f"[{','.join(elements)}]"
    text = f"[{text},{text}]" if nested else text
    shape = (2, len(elements)) if nested else (len(elements),)
    row = DATATYPES[datatype]
    fast = pack_raw(msgspec.Raw(text.encode()), row, shape, math.prod(shape))

    if fast is not None:
        values = read_object(f'{{"data":{text}}}'.encode(), DEFAULT_LIMITS)["data"]
        assert pack_values("x", row, shape, values, room=1 << 20) == fast


@pytest.mark.parametrize("datatype", ["FP32", "INT16", "BF16", "BOOL"])
def test_large_arrays_are_read_in_pieces(datatype: str) -> None:
    rng = random.Random(7)
    values = [bool(rng.getrandbits(1)) if datatype == "BOOL" else rng.randrange(100) for _ in range(300_000)]
    text = json.dumps(values).encode()
    row = DATATYPES[datatype]
    shape = (len(values),)

    fast = pack_raw(msgspec.Raw(text), row, shape, len(values))

    assert fast is not None
    assert fast == pack_values("x", row, shape, values, room=1 << 24)
    assert pack_raw(msgspec.Raw(text), row, (1,), 1) is None, "wrong count"
    assert pack_raw(msgspec.Raw(text[:-1] + b",]"), row, shape, len(values)) is None, "trailing comma"
    assert pack_raw(msgspec.Raw(text[:-1] + b",[1]]"), row, shape, len(values)) is None, "nested"


def test_a_comma_too_many_where_the_pieces_meet_is_seen() -> None:
    text = b"[" + b" " * (1 << 18) + b"1,]"
    assert pack_raw(msgspec.Raw(text), DATATYPES["INT8"], (1,), 1) is None


def test_minus_zero_goes_to_the_exact_path() -> None:
    row = DATATYPES["FP32"]
    assert pack_raw(msgspec.Raw(b"[-0]"), row, (1,), 1) is None
    assert pack_raw(msgspec.Raw(b"[-0.5]"), row, (1,), 1) is not None


@pytest.mark.parametrize("text", [b"[[[[[[1]]]]]]", b"[[1],[2,3]]", b"[[],[]]", b"[[1,2]", b"7"])
def test_unusual_nesting_goes_to_the_exact_path(text: bytes) -> None:
    assert pack_raw(msgspec.Raw(text), DATATYPES["INT8"], (3,), 3) is None


def test_nested_rows_are_flattened() -> None:
    assert pack_raw(msgspec.Raw(b"[[[1,2]],[[3,4]]]"), DATATYPES["INT8"], (2, 1, 2), 4) == b"\1\2\3\4"


def test_out_of_range_goes_to_the_exact_path_which_names_it() -> None:
    assert pack_raw(msgspec.Raw(b"[300]"), DATATYPES["UINT8"], (1,), 1) is None
    with pytest.raises(InvalidArgument, match="300"):
        pack_values("x", DATATYPES["UINT8"], (1,), [300], room=9)
