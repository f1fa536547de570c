"""What is asked and what must come back: inference calls with the answer known beforehand.

The fake upstream computes the same oracle from the request's tensors, so a lost, mixed up or altered byte anywhere on
the way shows as a wrong answer.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
FLOATS: Final = 64
"""Elements of the small request: one image of the digits set."""
LOGITS: Final = 10
UPLOAD: Final = "upload"
DOWNLOAD: Final = "download"
"""Models of these names take and give large tensors; every other name takes an image."""


class Tensor(msgspec.Struct, frozen=True):
    """A named tensor as an array; its datatype is the array's."""

    name: str
    array: Array

    @property
    def datatype(self) -> str:
        return next(name for name, dtype in DTYPES.items() if dtype == self.array.dtype)


class Call(msgspec.Struct, frozen=True):
    """One request and the outputs it must be answered with.

    `tolerance` 0 = the same bits; above it values may differ by so much, and dimensions of 1 may come and go (MLServer's
    numpy codec turns [1] into [1, 1]).
    """

    model: str
    id: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tolerance: float = 0.0


class Answer(msgspec.Struct, frozen=True):
    """One answer, whatever carried it."""

    model: str
    id: str
    outputs: tuple[Tensor, ...]


def complaint(call: Call, answer: Answer) -> str:
    """What is wrong with the answer; "" = nothing."""
    if (answer.model, answer.id) != (call.model, call.id):
        return f"asked {call.model!r} id {call.id!r}, answered {answer.model!r} id {answer.id!r}"
    got = {tensor.name: tensor.array for tensor in answer.outputs}
    if got.keys() != {tensor.name for tensor in call.outputs}:
        return f"outputs {sorted(got)}"
    for tensor in call.outputs:
        array = got[tensor.name]
        if call.tolerance and array.size == tensor.array.size:
            array = array.reshape(tensor.array.shape)
        if (array.dtype, array.shape) != (tensor.array.dtype, tensor.array.shape):
            return f"{tensor.name} is {array.dtype}{array.shape}, not {tensor.array.dtype}{tensor.array.shape}"
        same = (
            np.allclose(array, tensor.array, rtol=call.tolerance, atol=call.tolerance)
            if call.tolerance
            else array.tobytes() == tensor.array.tobytes()
        )
        if not same:
            return f"{tensor.name} has other values"
    return ""


@cache
def blob(count: int) -> Array:
    """`count` FP32 elements, always the same and not compressible."""
    return np.random.default_rng(count).random(count, dtype=np.float32)


def checksum(parts: Iterable[bytes | memoryview]) -> Array:
    """INT64[1]: CRC-32 of an input's raw bytes, which may come in parts."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return np.array([value], DTYPES["INT64"])


@cache
def _blob_bytes(count: int) -> bytes:
    return blob(count).tobytes()


@cache
def _blob_checksum(count: int) -> Array:
    return checksum([_blob_bytes(count)])


def upload_checksum(parts: Sequence[bytes | memoryview]) -> Array:
    """The checksum of an upload. The known tensor is recognised by comparing, many times faster than the CRC."""
    size = sum(map(len, parts))
    known = _blob_bytes(size // 4)
    offset = 0
    for part in parts:
        # bytes with bytes is one memcmp; comparing memoryviews would go element by element.
        if known[offset : offset + len(part)] != bytes(part):
            return checksum(parts)
        offset += len(part)
    return _blob_checksum(size // 4) if size % 4 == 0 else checksum(parts)


def oracle(model: str, raw: Sequence[bytes | memoryview]) -> tuple[Tensor, ...]:
    """The outputs of the fake model for its only input's raw bytes, given in parts."""
    if model.startswith(DOWNLOAD):
        (count,) = np.frombuffer(b"".join(raw), DTYPES["INT64"])
        return (Tensor("blob", blob(int(count))),)
    if model.startswith(UPLOAD):
        return (Tensor("check", upload_checksum(raw)),)
    check = Tensor("check", checksum(raw))
    image = np.frombuffer(b"".join(raw), DTYPES["FP32"])
    return Tensor("logits", image[:LOGITS].reshape(1, LOGITS)), check


def small(model: str, index: int) -> Call:
    """The small request: 64 floats of full float32 precision."""
    image = np.random.default_rng(index).normal(size=(1, FLOATS)).astype(np.float32)
    return Call(model, f"r{index}", (Tensor("image", image),), oracle(model, [image.tobytes()]))


def upload(model: str, index: int, count: int) -> Call:
    """`count` floats go in, a checksum comes back."""
    array = blob(count)
    return Call(model, f"r{index}", (Tensor("blob", array),), oracle(model, [array.tobytes()]))


def download(model: str, index: int, count: int) -> Call:
    """A number goes in, that many floats come back."""
    array = np.array([count], DTYPES["INT64"])
    return Call(model, f"r{index}", (Tensor("count", array),), oracle(model, [array.tobytes()]))
