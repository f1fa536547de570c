"""Elements of JSON tensors, rule by rule: 6.6 nesting, 6.7 numbers, 6.8 BYTES, 6.17 fine print."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import InvalidArgument, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS
from penstock_adapters.protocol.numbers_exact import nests_like, pack_floats, pack_values
from penstock_adapters.protocol.rest_exact import read_object


def packed(datatype: str, text: str, shape: tuple[int, ...] | None = None, **options: Any) -> bytes:
    """The raw data of a `data` member given as JSON text."""
    values = read_object(b'{"data":' + text.encode() + b"}", DEFAULT_LIMITS)["data"]
    shape = shape if shape is not None else (len(values),)
    return pack_values("x", DATATYPES[datatype], shape, values, room=options.pop("room", 1 << 20), **options)


def refused(datatype: str, text: str, shape: tuple[int, ...] | None = None, **options: Any) -> str:
    with pytest.raises(InvalidArgument) as caught:
        packed(datatype, text, shape, **options)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1.0]", 1),
        ("[1e2]", 100),
        ("[-0]", 0),
        ("[-0.0]", 0),
        ("[9007199254740992.0]", 1 << 53),
        ("[-9007199254740992e0]", -(1 << 53)),
        ("[9223372036854775807]", (1 << 63) - 1),
        ("[-9223372036854775808]", -(1 << 63)),
        ("[10.000000000000000000]", 10),
        ("[0e99999999999999999999]", 0),
        ("[1000000000000000000000e-20]", 10),
    ],
)
def test_an_integral_number_is_an_integer_however_it_is_spelled(text: str, value: int) -> None:
    assert packed("INT64", text) == struct.pack("<q", value)


@pytest.mark.parametrize(
    ("datatype", "text", "reason"),
    [
        ("INT64", "[1.5]", "element_invalid"),
        ("INT64", "[1.0000000000000000001]", "element_invalid"),
        ("INT64", "[1e-400]", "element_invalid"),
        ("INT64", "[1e-99999999999999999999]", "element_invalid"),
        ("INT64", "[9007199254740993.0]", "element_inexact"),
        ("INT64", "[9007199254740994.0]", "element_inexact"),
        ("INT64", "[1e16]", "element_inexact"),
        ("INT64", "[1e400]", "element_inexact"),
        ("INT64", "[1e99999999999999999999]", "element_inexact"),
        ("INT64", "[9223372036854775808]", "element_range"),
        ("INT64", "[" + "9" * 5000 + "]", "element_range"),
        ("UINT64", "[-1]", "element_range"),
        ("INT8", "[128]", "element_range"),
        ("UINT8", "[300]", "element_range"),
        ("INT16", "[-32769]", "element_range"),
        ("INT32", '["1"]', "element_invalid"),
        ("INT32", "[true]", "element_invalid"),
        ("INT32", "[null]", "element_invalid"),
        ("INT32", "[NaN]", "element_invalid"),
        ("INT32", "[{}]", "element_invalid"),
    ],
)
def test_an_integer_is_never_wrapped_rounded_or_guessed(datatype: str, text: str, reason: str) -> None:
    assert refused(datatype, text) == reason


def test_booleans_are_true_false_or_a_number_equal_to_0_or_1() -> None:
    assert packed("BOOL", "[true,false,1,0,1.0,0e5,-0,1.00000000000000000000]") == b"\1\0\1\0\1\0\0\1"
    for text in ("[2]", "[0.5]", '["true"]', "[null]", "[NaN]", "[1.00000000000000000001]", "[-1]"):
        assert refused("BOOL", text) == "element_invalid"


def test_nan_and_infinities_are_bare_words_or_strings() -> None:
    found = packed("FP32", '[NaN,Infinity,-Infinity,"NaN","Infinity","-Infinity"]')

    values = struct.unpack("<6f", found)
    assert [math.isnan(v) for v in values[::3]] == [True, True]
    assert values[1:3] == values[4:6] == (math.inf, -math.inf)


@pytest.mark.parametrize("text", ['["1"]', '["nan"]', '["inf"]', "[true]", "[null]", "[{}]"])
def test_a_float_tensor_takes_numbers_and_three_words(text: str) -> None:
    assert refused("FP32", text) == "element_invalid"


@pytest.mark.parametrize(
    ("datatype", "good", "bad"),
    [
        ("FP16", "65519.99", "65520"),
        ("BF16", repr(math.nextafter(2.0**127 * (2 - 2.0**-8), 0)), repr(2.0**127 * (2 - 2.0**-8))),
        ("FP32", "3.4028235677973362e38", "3.4028235677973366e38"),
        ("FP64", "1.7976931348623157e308", "1.8e308"),
        ("FP64", "1e308", "1" + "0" * 309),
        ("FP32", "1e38", "1" + "0" * 5000),
    ],
)
def test_a_finite_number_must_stay_finite(datatype: str, good: str, bad: str) -> None:
    packed(datatype, f"[{good},-{good}]")
    assert refused(datatype, f"[1,-{bad}]") == "element_range"


def test_minus_zero_keeps_its_sign_in_a_float_tensor() -> None:
    assert packed("FP32", "[-0,-0.0,-0e1,0]") == struct.pack("<4f", -0.0, -0.0, -0.0, 0.0)


def test_underflow_is_rounding() -> None:
    assert packed("FP32", "[1e-60,1e-400,1e-99999999999999999999]") == bytes(12)


@pytest.mark.parametrize(
    "value",
    # In two roundings, by way of FP32, these ties would fall to the other side.
    [1.0 + 2.0**-8 + 2.0**-40, 1.0 + 3 * 2.0**-8 - 2.0**-40, 2.0**-133 + 2.0**-170, -(1.0 + 2.0**-8 + 2.0**-40)],
)
def test_bf16_is_rounded_once(value: float) -> None:
    finite = np.arange(0x7F80, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(np.float64)
    nearest = min((*finite, *-finite), key=lambda candidate: abs(candidate - value))

    assert np.frombuffer(packed("BF16", f"[{value!r}]"), ml_dtypes.bfloat16)[0] == nearest


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=20))
@settings(max_examples=60, deadline=None)
def test_bf16_of_a_single_is_what_ml_dtypes_says(values: list[float]) -> None:
    row = DATATYPES["BF16"]
    expected = np.array(values, np.float32).astype(ml_dtypes.bfloat16)
    if np.isfinite(expected.astype(np.float32)).all():
        assert pack_floats(row, values) == expected.tobytes()
    else:
        with pytest.raises(OverflowError):
            pack_floats(row, values)


def test_bf16_keeps_nan_and_infinity() -> None:
    found = np.frombuffer(pack_floats(DATATYPES["BF16"], [math.nan, math.inf, -math.inf]), ml_dtypes.bfloat16)
    assert [str(v) for v in found] == ["nan", "inf", "-inf"]


def test_strings_become_utf8() -> None:
    assert packed("BYTES", '["","é","\\u0000"]') == b"\0\0\0\0\2\0\0\0\xc3\xa9\1\0\0\0\0"
    for text in ("[1]", "[null]", "[true]", "[1.00000000000000000001]"):
        assert refused("BYTES", text) == "element_invalid"


def test_base64_is_strict() -> None:
    assert packed("BYTES", '["","/w==","AAEC"]', base64=True) == b"\0\0\0\0\1\0\0\0\xff\3\0\0\0\0\1\2"
    for bad in ("/w", "/w=", "_w==", "AAEC=", "/x==", "é", " /w==", "/w==/w=="):
        assert refused("BYTES", json.dumps([bad]), base64=True) == "base64_invalid"


def test_data_is_flat_or_nested_like_the_shape() -> None:
    flat = packed("INT8", "[1,2,3,4,5,6]", (2, 3))

    assert packed("INT8", "[[1,2,3],[4,5,6]]", (2, 3)) == flat
    assert packed("INT8", "[[[1,2,3]],[[4,5,6]]]", (2, 3)) == flat, "dimensions of 1 do not count"
    assert packed("INT8", "[[1,2,3],[4,5,6]]", (1, 2, 1, 3)) == flat
    for bad in (
        "[[1,2],[3,4],[5,6]]",
        "[[1,2,3],[4,5]]",
        "[[1,2,3],4,5,6]",
        "[1,[2,3,4,5,6]]",
        "[[1],[2],[3],[4],[5],[6]]",
    ):
        assert refused("INT8", bad, (2, 3)) == "data_nesting"


def test_a_scalar_is_a_list_of_one() -> None:
    assert packed("INT8", "[7]", ()) == b"\7"
    assert refused("INT8", "7", ()) == "data_not_list"
    assert refused("INT8", '"7"', ()) == "data_not_list"


@pytest.mark.parametrize("text", ["[]", "[[],[]]"])
def test_a_zero_in_the_shape_needs_no_elements(text: str) -> None:
    assert packed("FP32", text, (2, 0, 3)) == b""


def test_the_count_is_judged_before_the_values() -> None:
    assert refused("INT8", '["a",1]', (3,)) == "element_count"
    assert refused("INT8", "[[1,2],[3,4]]", (3,)) == "element_count"


def test_more_bytes_than_there_is_room_for_are_too_large() -> None:
    with pytest.raises(TooLarge):
        packed("FP64", "[1,2]", room=15)


def test_the_first_bad_element_is_named() -> None:
    with pytest.raises(InvalidArgument) as caught:
        packed("INT8", "[1,2,1000,2000]")
    assert "1000" in caught.value.text
    assert "index 2" in caught.value.text


def test_nesting_below_an_empty_dimension_is_not_compared() -> None:
    assert nests_like([2, 0], (2, 0, 3))
    assert not nests_like([3, 0], (2, 0, 3))
    assert nests_like([], ()) is True


@pytest.mark.parametrize(
    "text", ["[[1]]", '[{"a":1}]', "[-Infinity]", "[Infinity]", '["' + "a" * 100 + '"]', "[false]"]
)
def test_every_kind_of_value_has_a_spelling(text: str) -> None:
    assert refused("INT8", text, (1, 1) if "[[" not in text else (2,)) in {"element_invalid", "element_count"}
