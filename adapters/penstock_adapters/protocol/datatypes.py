"""The v2 datatypes as a table: name, element size, numpy dtype, gRPC typed field, range. Source: OIP v2, "Tensor Data Types"."""

from __future__ import annotations

from typing import Any, Final, Literal

import ml_dtypes
import msgspec
import numpy as np

Kind = Literal["bool", "int", "float", "bytes"]


class Datatype(msgspec.Struct, frozen=True):
    """One row. `size` is bytes per element, 0 for BYTES (4-byte length, then the bytes, per element)."""

    name: str
    size: int
    kind: Kind
    dtype: np.dtype[np.generic]
    struct_code: str
    """`struct` format letter of one element; "" where struct has none (BF16, BYTES)."""
    contents_field: str
    """Field of InferTensorContents; "" where gRPC carries it raw only."""
    low: int = 0
    high: int = 0


def _int(name: str, dtype: type[np.integer[Any]], code: str, field: str) -> Datatype:
    info = np.iinfo(dtype)
    return Datatype(
        name, info.bits // 8, "int", np.dtype(dtype).newbyteorder("<"), code, field, int(info.min), int(info.max)
    )


_ROWS = (
    Datatype("BOOL", 1, "bool", np.dtype(np.bool_), "B", "bool_contents", 0, 1),
    _int("UINT8", np.uint8, "B", "uint_contents"),
    _int("UINT16", np.uint16, "H", "uint_contents"),
    _int("UINT32", np.uint32, "I", "uint_contents"),
    _int("UINT64", np.uint64, "Q", "uint64_contents"),
    _int("INT8", np.int8, "b", "int_contents"),
    _int("INT16", np.int16, "h", "int_contents"),
    _int("INT32", np.int32, "i", "int_contents"),
    _int("INT64", np.int64, "q", "int64_contents"),
    Datatype("FP16", 2, "float", np.dtype("<f2"), "e", ""),
    Datatype("BF16", 2, "float", np.dtype(ml_dtypes.bfloat16), "", ""),
    Datatype("FP32", 4, "float", np.dtype("<f4"), "f", "fp32_contents"),
    Datatype("FP64", 8, "float", np.dtype("<f8"), "d", "fp64_contents"),
    Datatype("BYTES", 0, "bytes", np.dtype(object), "", "bytes_contents"),
)
DATATYPES: Final[dict[str, Datatype]] = {row.name: row for row in _ROWS}
