"""Level 2 of a body: raw tensor data as numpy arrays and back, for every datatype."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.message import Buffer, Tensor

_PREFIX: Final = Struct("<I")
SMALL: Final = 4096
"""Bytes up to which an array is copied into its tensor."""
_NAMES: Final = {row.dtype: row.name for row in DATATYPES.values()}
ELEMENT_MAX: Final = (1 << 32) - 1
"""Bytes of one BYTES element: its length is a uint32."""
WALK_MAX: Final = 1 << 20
"""Surplus elements are counted up to here: a buffer of empty elements must not cost a step for every four bytes."""


class BytesFault(ValueError):
    """A BYTES buffer that is not what its shape says; `found` is the element count, or the index of the bad element."""

    def __init__(self, kind: Literal["count", "prefix", "text"], found: int = 0) -> None:
        super().__init__(kind, found)
        self.kind = kind
        self.found = found


def element_count(shape: Iterable[int]) -> int:
    """The exact product of the dimensions; 1 for a scalar."""
    count = 1
    for dimension in shape:
        count *= dimension
    return count


def walk_bytes(data: Buffer, count: int, *, as_text: bool = False) -> None:
    """Check that a BYTES buffer holds exactly `count` elements, without building any. Raises BytesFault."""
    size, offset, found = len(data), 0, 0
    unpack = _PREFIX.unpack_from
    while offset + 4 <= size:
        end = offset + 4 + unpack(data, offset)[0]
        if end > size:
            raise BytesFault("prefix", found)
        offset = end
        found += 1
        if found > WALK_MAX and found > count:
            raise BytesFault("count", found)
    if offset != size:
        raise BytesFault("prefix", found)
    if found != count:
        raise BytesFault("count", found)
    if as_text:
        for index, element in enumerate(iterate_bytes(data)):
            try:
                element.decode("utf-8")
            except UnicodeDecodeError:
                raise BytesFault("text", index) from None


def iterate_bytes(data: Buffer) -> Iterator[bytes]:
    """The elements of a BYTES buffer that was checked."""
    size, offset = len(data), 0
    unpack = _PREFIX.unpack_from
    while offset < size:
        end = offset + 4 + unpack(data, offset)[0]
        yield bytes(data[offset + 4 : end])
        offset = end


def join_bytes(elements: Iterable[bytes]) -> bytes:
    """Elements as a BYTES buffer."""
    pack = _PREFIX.pack
    parts: list[bytes] = []
    for element in elements:
        parts.append(pack(len(element)))
        parts.append(element)
    return b"".join(parts)


def to_array(tensor: Tensor) -> NDArray[Any]:
    """The tensor's elements, in its shape. A read-only view of the data, except BYTES: an object array of bytes.

    The tensor must have passed the validator.
    """
    row = DATATYPES[tensor.datatype]
    if row.size:
        return np.frombuffer(tensor.data, row.dtype).reshape(tensor.shape)
    walk_bytes(tensor.data, element_count(tensor.shape))
    array = np.empty(element_count(tensor.shape), object)
    for index, element in enumerate(iterate_bytes(tensor.data)):
        array[index] = element
    return array.reshape(tensor.shape)


def datatype_of(array: NDArray[Any]) -> str:
    """The v2 datatype of an array; object and string arrays are BYTES. Raises ValueError where v2 has none."""
    name = _NAMES.get(array.dtype)  # Most arrays are in the machine's own order, which is the protocol's.
    if name is not None:
        return name
    if array.dtype.kind in "OSU":
        return "BYTES"
    name = _NAMES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise ValueError(f"no v2 datatype for {array.dtype}")
    return name


def from_array(name: str, array: NDArray[Any], datatype: str | None = None) -> Tensor:
    """A tensor of an array's elements (str elements become UTF-8). Raises ValueError if the array is of another datatype."""
    found = datatype_of(array)
    if datatype is not None and datatype != found:
        raise ValueError(f"'{name}' is {found}, not {datatype}")
    shape = array.shape
    if found == "BYTES":
        elements: Sequence[Any] = array.ravel().tolist()
        return Tensor(name, found, shape, join_bytes(e.encode() if isinstance(e, str) else bytes(e) for e in elements))
    if array.nbytes <= SMALL and array.dtype == DATATYPES[found].dtype:
        return Tensor(name, found, shape, array.tobytes())  # Copying little is cheaper than looking at it thrice.
    little = np.ascontiguousarray(array).astype(DATATYPES[found].dtype, copy=False)
    return Tensor(name, found, shape, little.tobytes() if little.ndim == 0 else little.reshape(-1).view(np.uint8).data)
