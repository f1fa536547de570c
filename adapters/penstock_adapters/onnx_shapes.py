"""Which inputs and outputs of an ONNX file declare a shape: ONNX Runtime says [] both for a scalar and for "unknown".

Reads the four protobuf messages on the way to a shape and skips everything else; the file has been read by ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

GRAPH: Final = 7  # ModelProto.graph
INPUT: Final = 11  # GraphProto.input, a ValueInfoProto
OUTPUT: Final = 12
NAME: Final = 1  # ValueInfoProto.name
TYPE: Final = 2  # ValueInfoProto.type
TENSOR_TYPE: Final = 1  # TypeProto.tensor_type
SHAPE: Final = 2  # TypeProto.Tensor.shape


def with_shape(content: bytes) -> frozenset[str]:
    """Names of the inputs and outputs whose type has a shape, be it without dimensions. Raises ValueError on garbage."""
    found = set()
    for _, graph in _fields(memoryview(content), GRAPH):
        for _, value in _fields(graph, INPUT, OUTPUT):
            names = [bytes(name).decode() for _, name in _fields(value, NAME)]
            shapes = [
                shape
                for _, kind in _fields(value, TYPE)
                for _, tensor in _fields(kind, TENSOR_TYPE)
                for _, shape in _fields(tensor, SHAPE)
            ]
            if names and shapes:
                found.add(names[-1])
    return frozenset(found)


def _fields(message: memoryview, *wanted: int) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of these numbers."""
    offset, size = 0, len(message)
    while offset < size:
        key, offset = _varint(message, offset)
        match key & 7:
            case 2:
                length, offset = _varint(message, offset)
                if key >> 3 in wanted:
                    yield key >> 3, message[offset : offset + length]
                offset += length
            case 0:
                _, offset = _varint(message, offset)
            case 1:
                offset += 8
            case 5:
                offset += 4
            case _:
                raise ValueError("not protobuf")
    if offset != size:
        raise ValueError("cut short")


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    value, shift = 0, 0
    while offset < len(message):
        byte = message[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
        shift += 7
    raise ValueError("cut short")
