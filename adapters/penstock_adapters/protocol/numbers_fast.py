"""The `data` member of a JSON tensor to raw bytes, for what is certainly good; None sends it to `numbers_exact`.

msgspec checks grammar and types while it parses, `struct` checks ranges while it packs, so nothing is looked at twice.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from penstock_adapters.protocol.datatypes import DATATYPES, Datatype
from penstock_adapters.protocol.numbers_exact import nests_like, pack_floats
from penstock_adapters.protocol.tensors import join_bytes

REFUSED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, struct.error)
"""What msgspec and struct raise for values they do not take."""
_ELEMENT: Final[dict[str, type]] = {"float": float, "int": int, "bool": bool, "bytes": str}
_CHUNK: Final = 1 << 18
"""Bytes of JSON parsed at once: boxed elements of a large tensor never exist all together."""
_NESTING_MAX: Final = 5
_NEGATIVE_ZERO: Final = re.compile(rb"-0(?![.eE0-9])")


def _decoders(element: Any) -> list[msgspec.json.Decoder[Any]]:
    """One decoder for each depth of nesting, from a flat array up."""
    array: Any = list
    kinds = []
    for _ in range(_NESTING_MAX):
        element = array[element]
        kinds.append(msgspec.json.Decoder(element))
    return kinds


_DECODERS: Final = {kind: _decoders(element) for kind, element in _ELEMENT.items()}
_FLAT: Final = {name: _DECODERS[row.kind][0].decode for name, row in DATATYPES.items()}


def pack_raw(raw: msgspec.Raw, row: Datatype, shape: Sequence[int], count: int) -> bytes | None:
    """Raw data of an unparsed `data` member, or None: something is wrong or unusual, and the exact path says what."""
    text = bytes(raw)
    kind = row.kind
    if kind == "float" and b"-0" in text and _NEGATIVE_ZERO.search(text):
        return None  # msgspec reads it as +0.0
    try:
        if len(text) > _CHUNK and kind != "bytes" and text[1:2] != b"[":
            parts = [_pack(row, _FLAT[row.name](chunk)) for chunk in _chunks(text)]
            if not all(parts):
                return None  # a comma too many
            packed = b"".join(parts)
            return packed if len(packed) == count * row.size else None
        values = _nested(text, kind, shape, count) if text[1:2] == b"[" else _FLAT[row.name](text)
        if len(values) != count:
            return None
        return _pack(row, values)
    except REFUSED:
        return None


def _pack(row: Datatype, values: list[Any]) -> bytes:
    code = row.struct_code
    if code:
        return struct.pack(f"<{len(values)}{code}", *values)
    if row.kind == "float":
        return pack_floats(row, values)
    return join_bytes([value.encode() for value in values])


def _nested(text: bytes, kind: str, shape: Sequence[int], count: int) -> list[Any]:
    """The elements of nested arrays in row-major order; [] (a wrong count) if they do not nest like the shape."""
    depth = len(text) - len(text.lstrip(b"["))
    if depth > _NESTING_MAX or text.count(b"[") > 1 + depth * (count + 1):
        return []
    level: list[Any] = _DECODERS[kind][depth - 1].decode(text)
    nesting = [len(level)]
    for _ in range(depth - 1):
        width = len(level[0])
        if any(len(row) != width for row in level):
            return []
        nesting.append(width)
        level = list(chain.from_iterable(level))
    return level if nests_like(nesting, shape) else []


def _chunks(text: bytes) -> Iterator[bytes]:
    """A flat array of numbers, cut at commas into arrays of bounded size."""
    start, end = 1, len(text) - 1
    while True:
        cut = text.find(b",", start + _CHUNK, end)
        yield b"[" + text[start : cut if cut >= 0 else end] + b"]"
        if cut < 0:
            return
        start = cut + 1
