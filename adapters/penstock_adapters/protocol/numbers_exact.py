"""Parsed JSON elements to raw tensor data, exactly and with the first bad element named (protocol policy 6.6 to 6.8, 6.17).

The reader hands over Python values: int and float for number literals, `Literal` where a double would lose something of
the text, str for strings. This is the slow, total path; `numbers_fast` takes what is certainly good.
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from decimal import Decimal, DecimalException
from itertools import chain
from math import inf, isfinite, nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from penstock_adapters.protocol.datatypes import Datatype
from penstock_adapters.protocol.errors import InvalidArgument, TooLarge
from penstock_adapters.protocol.tensors import element_count as product
from penstock_adapters.protocol.tensors import join_bytes
from penstock_adapters.protocol.validate import element_count, shape_text

_EXACT_MAX: Final = 1 << 53
_OVERFLOW: Final = {"FP16": 65520.0, "BF16": 2.0**127 * (2 - 2.0**-8), "FP32": 2.0**127 * (2 - 2.0**-24)}
"""The smallest double that rounds to infinity: the largest finite value plus half a unit in its last place."""
_WORDS: Final = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}


_USUAL: Final[dict[str, frozenset[type]]] = {
    "float": frozenset((float,)),
    "int": frozenset((int,)),
    "bool": frozenset((bool,)),
}
_NONE: Final[frozenset[type]] = frozenset()


class Literal(str):
    """The text of a number literal that an int or double would not hold exactly enough."""

    __slots__ = ()


class NegativeZero(int):
    """The literal `-0`: an integer like 0, but -0.0 in a float tensor."""


def pack_values(
    name: str, row: Datatype, shape: tuple[int, ...], values: object, *, base64: bool = False, room: int
) -> bytes:
    """Raw data of a parsed `data` member. Raises InvalidArgument (count first, then the first bad element) or TooLarge."""
    flat = _flatten(name, shape, values)
    if row.size * len(flat) > room:
        raise TooLarge("body_too_large", limit=room)
    if set(map(type, flat)) <= _USUAL.get(row.kind, _NONE):
        try:
            return pack_numbers(row, flat)
        except (OverflowError, struct.error):
            pass  # the loops below name the element
    if row.kind == "float":
        return _pack_floats(name, row, [_float(name, row, i, value) for i, value in enumerate(flat)])
    if row.kind == "int":
        return pack_integers(name, row, [_integer(name, row, i, value) for i, value in enumerate(flat)])
    if row.kind == "bool":
        return bytes([_boolean(name, i, value) for i, value in enumerate(flat)])
    return join_bytes([_element(name, i, value, base64=base64) for i, value in enumerate(flat)])


def _flatten(name: str, shape: tuple[int, ...], values: object) -> Sequence[object]:
    """The elements in row-major order, if the nesting is flat or the shape's (6.6)."""
    if not isinstance(values, list):
        raise InvalidArgument("data_not_list", tensor=name)
    level: list[object] = values
    nesting = [len(level)]
    while level and list in set(map(type, level)):
        rows = [item for item in level if isinstance(item, list)]
        width = len(rows[0])
        if len(rows) != len(level) or any(len(row) != width for row in rows):
            raise InvalidArgument("data_nesting", tensor=name, shape=shape_text(shape))
        nesting.append(width)
        level = list(chain.from_iterable(rows))
    expected = product(shape)
    if len(level) != expected:
        raise element_count(name, shape, expected, len(level))
    if not nests_like(nesting, shape):
        raise InvalidArgument("data_nesting", tensor=name, shape=shape_text(shape))
    return level


def nests_like(nesting: Sequence[int], shape: Sequence[int]) -> bool:
    """Flat, or equal to the shape once dimensions of 1 are dropped; below an empty list nothing can be compared."""
    if len(nesting) == 1:
        return True
    found = [n for n in nesting if n != 1]
    wanted = [n for n in shape if n != 1]
    if 0 in found and 0 in wanted:
        return found[: found.index(0)] == wanted[: wanted.index(0)]
    return found == wanted


def _bad(name: str, row_name: str, index: int, value: object) -> InvalidArgument:
    return InvalidArgument("element_invalid", tensor=name, found=_spelling(value), datatype=row_name, index=index)


def _range(name: str, row: Datatype, index: int, value: object) -> InvalidArgument:
    return InvalidArgument("element_range", tensor=name, found=_spelling(value), datatype=row.name, index=index)


def _spelling(value: object) -> str:
    """A JSON value as the caller wrote it, or nearly."""
    match value:
        case Literal():
            return str(value)
        case str():
            return f'"{value[:80]}"'
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case dict():
            return "an object"
        case list():
            return "an array"
        case float() if not isfinite(value):
            return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 (NaN only)
    return str(value)


def _float(name: str, row: Datatype, index: int, value: object) -> float:
    match value:
        case bool():
            raise _bad(name, row.name, index, value)
        case float():
            return value
        case NegativeZero():
            return -0.0
        case int():
            try:
                return float(value)
            except OverflowError:
                raise _range(name, row, index, value) from None
        case Literal():
            number = float(value)
            if isfinite(number):
                return number
            raise _range(name, row, index, value)
        case str() if value in _WORDS:
            return _WORDS[value]
    raise _bad(name, row.name, index, value)


def _pack_floats(name: str, row: Datatype, values: list[float]) -> bytes:
    """Each double rounded once, to nearest even; a finite one must stay finite."""
    try:
        return pack_floats(row, values)
    except OverflowError:
        limit = _OVERFLOW[row.name]
        index = next(i for i, value in enumerate(values) if isfinite(value) and abs(value) >= limit)
        raise _range(name, row, index, values[index]) from None


def pack_numbers(row: Datatype, values: Sequence[Any]) -> bytes:
    """Numbers of the right Python type. Raises OverflowError or struct.error for one that does not fit."""
    if row.struct_code:
        return struct.pack(f"<{len(values)}{row.struct_code}", *values)
    return pack_floats(row, values)


def pack_floats(row: Datatype, values: Sequence[float]) -> bytes:
    """Doubles as FP16, BF16, FP32 or FP64. Raises OverflowError where a finite one would become infinite."""
    if row.struct_code:
        return struct.pack(f"<{len(values)}{row.struct_code}", *values)
    return _to_bfloat16(np.array(values, np.float64))


def _to_bfloat16(values: NDArray[np.float64]) -> bytes:
    """Nearest even in one rounding: a cast by way of FP32 rounds twice, so that step rounds to odd instead."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = values.astype(np.float32)
        back = single.astype(np.float64)
        bits = single.view(np.uint32).copy()
        bits -= (np.abs(back) > np.abs(values)).astype(np.uint32)
        inexact = (back != values) & ~np.isnan(values)
        bits |= inexact.astype(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    rounded = np.where(np.isnan(values), (bits >> 16) | 0x40, rounded)
    if np.any(((rounded & 0x7FFF) == 0x7F80) & np.isfinite(values)):
        raise OverflowError
    return rounded.astype("<u2").tobytes()


def pack_integers(name: str, row: Datatype, values: list[int]) -> bytes:
    """Integers as the datatype, in range each. Raises InvalidArgument naming the first that is not."""
    for index, value in enumerate(values):
        if not row.low <= value <= row.high:
            raise _range(name, row, index, value)
    return struct.pack(f"<{len(values)}{row.struct_code}", *values)


def _integer(name: str, row: Datatype, index: int, value: object) -> int:
    match value:
        case bool():
            pass
        case int():
            return int(value)
        case float() if isfinite(value):
            return _whole(name, row, index, Decimal(value), value)
        case Literal():
            return _whole(name, row, index, to_decimal(value), value)
    raise _bad(name, row.name, index, value)


def to_decimal(text: str) -> Decimal:
    """The exact value of a number literal; far outside every range where the exponent is more than Decimal holds."""
    try:
        return Decimal(text)
    except DecimalException:
        mantissa, _, exponent = text.lower().partition("e")
        if not mantissa.strip("-0."):
            return Decimal(0)
        return Decimal("1e-1000") if exponent.startswith("-") else Decimal("Infinity")


def _whole(name: str, row: Datatype, index: int, number: Decimal, spelled: object) -> int:
    """An integral number written with point or exponent, judged on its exact decimal value (6.17)."""
    if number.copy_abs() > _EXACT_MAX:
        if isinstance(spelled, Literal) and not set(spelled) & set(".eE"):
            raise _range(name, row, index, spelled)
        raise InvalidArgument("element_inexact", tensor=name, found=_spelling(spelled), index=index)
    if number != number.to_integral_value():
        raise _bad(name, row.name, index, spelled)
    return int(number)


def _boolean(name: str, index: int, value: object) -> int:
    if isinstance(value, int | float) and value in {0, 1}:
        return int(value)
    if isinstance(value, Literal) and to_decimal(value) in {0, 1}:
        return int(to_decimal(value))
    raise _bad(name, "BOOL", index, value)


def _element(name: str, index: int, value: object, *, base64: bool) -> bytes:
    if not isinstance(value, str) or isinstance(value, Literal):
        raise _bad(name, "BYTES", index, value)
    if not base64:
        return value.encode()
    try:
        decoded: bytes | None = b64decode(value.encode(), validate=True)
    except (binascii.Error, ValueError):
        decoded = None
    # Encoding again refuses what decoders let pass: surplus padding, stray bits in the last letter.
    if decoded is None or b64encode(decoded).decode() != value:
        raise InvalidArgument("base64_invalid", tensor=name, index=index)
    return decoded
