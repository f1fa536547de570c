"""The table of datatypes agrees with numpy, struct, the gRPC messages, the manifests and Triton's sizes."""

from __future__ import annotations

import struct
from typing import get_args

import ml_dtypes
import numpy as np
import pytest

from penstock_adapters.protocol.datatypes import DATATYPES, Datatype
from penstock_registry import kinds

ROWS = list(DATATYPES.values())
NUMBERS = [row for row in ROWS if row.size]
SIZES = {
    "BOOL": 1,
    **dict.fromkeys(("UINT8", "INT8"), 1),
    **dict.fromkeys(("UINT16", "INT16", "FP16", "BF16"), 2),
    **dict.fromkeys(("UINT32", "INT32", "FP32"), 4),
    **dict.fromkeys(("UINT64", "INT64", "FP64"), 8),
    "BYTES": 0,
}


def ids(row: Datatype) -> str:
    return row.name


def test_the_datatypes_are_those_of_the_specification() -> None:
    assert {row.name: row.size for row in ROWS} == SIZES
    assert all(name == row.name for name, row in DATATYPES.items())


def test_manifests_know_the_same_datatypes() -> None:
    assert get_args(kinds.Datatype) == tuple(DATATYPES)


@pytest.mark.parametrize("row", NUMBERS, ids=ids)
def test_numpy_agrees_on_the_size(row: Datatype) -> None:
    assert row.dtype.itemsize == row.size
    assert row.dtype.byteorder in "<=|"


@pytest.mark.parametrize("row", [row for row in NUMBERS if row.struct_code], ids=ids)
def test_struct_agrees_on_the_size(row: Datatype) -> None:
    assert struct.calcsize("<" + row.struct_code) == row.size


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind == "int"], ids=ids)
def test_the_range_of_an_integer_is_exactly_what_its_bytes_hold(row: Datatype) -> None:
    for value in (row.low, row.high):
        packed = struct.pack("<" + row.struct_code, value)
        assert int(np.frombuffer(packed, row.dtype)[0]) == value
    for value in (row.low - 1, row.high + 1):
        with pytest.raises(struct.error):
            struct.pack("<" + row.struct_code, value)


def test_half_floats_have_no_typed_field_and_bf16_is_the_upper_half_of_an_fp32() -> None:
    assert DATATYPES["FP16"].contents_field == DATATYPES["BF16"].contents_field == ""
    one = np.frombuffer(struct.pack("<f", 1.0)[2:], DATATYPES["BF16"].dtype)
    assert one[0] == ml_dtypes.bfloat16(1.0)


def test_a_bytes_element_is_an_object() -> None:
    assert DATATYPES["BYTES"].dtype == np.dtype(object)
