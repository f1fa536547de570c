"""A REST request read exactly: every duplicate key, lone surrogate and excess of depth is seen, every fault gets its name.

The slow, total path. `rest_fast` takes the requests that are certainly good, so this one may parse into Python objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from penstock_adapters.protocol.datatypes import Datatype
from penstock_adapters.protocol.errors import InvalidArgument, TooLarge
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import NO_PARAMETERS, Buffer, Parameters, RequestedOutput
from penstock_adapters.protocol.numbers_exact import Literal, NegativeZero, pack_values, to_decimal
from penstock_adapters.protocol.parameters import from_json
from penstock_adapters.protocol.validate import Draft, DraftTensor, Pack
from penstock_adapters.protocol.wire import RestWire

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_RANK_LOOKED_AT: Final = 1024
_MINUS_ZERO: Final = re.compile(r"-0(?![.eE0-9])")


def split(wire: RestWire, limits: Limits) -> tuple[bytes, memoryview]:
    """The JSON text and the binary part. Raises InvalidArgument, TooLarge."""
    body = wire.parts[0] if len(wire.parts) == 1 else b"".join(wire.parts)
    if len(body) > limits.body:
        raise TooLarge("body_too_large", limit=limits.body)
    length = wire.header_length
    if length is None:
        text, rest = bytes(body), memoryview(b"")
    elif 0 <= length <= len(body):
        view = memoryview(body)
        text, rest = bytes(view[:length]), view[length:]
    else:
        raise InvalidArgument("binary_header", size=len(body))
    if len(text) > limits.json:
        raise TooLarge("body_too_large", limit=limits.json)
    if len(text) > limits.json_containers and text.count(b"[") + text.count(b"{") > limits.json_containers:
        limit = limits.json_containers
        raise InvalidArgument("too_many", count=f"more than {limit}", what="JSON arrays and objects", limit=limit)
    return text, rest


def read_object(text: bytes, limits: Limits) -> dict[str, Any]:
    """One JSON object, strictly: UTF-8, no duplicate keys, no lone surrogates, not too deep. Raises InvalidArgument.

    Numbers keep what matters of their text (see `numbers_exact`); the bare words NaN and Infinity become floats.
    """
    try:
        characters = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgument("json_invalid", problem=f"at byte {error.start}: not UTF-8") from None
    try:
        value = _parse(characters)
    except json.JSONDecodeError as error:
        raise InvalidArgument("json_invalid", problem=f"at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise InvalidArgument("json_too_deep", limit=limits.json_depth) from None
    _check_depth(text, limits.json_depth)
    if "\\u" in characters:
        for escape in _ESCAPE.finditer(characters):
            if escape[1]:
                raise InvalidArgument("json_invalid", problem=f"at character {escape.start()}: a lone surrogate")
    if not isinstance(value, dict):
        raise InvalidArgument("field_type", field="body", expected="an object", found=kind(value))
    return value


def _parse(characters: str) -> object:
    hooks: dict[str, Any] = {"object_pairs_hook": _object, "parse_float": _decimal}
    if _MINUS_ZERO.search(characters):
        hooks["parse_int"] = _integer
    try:
        return json.loads(characters, **hooks)
    except json.JSONDecodeError:
        raise
    except ValueError:  # more digits than int() takes
        return json.loads(characters, **{**hooks, "parse_int": _integer})


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidArgument("json_duplicate_key", key=key)
            seen.add(key)
    return members


def _integer(text: str) -> int | Literal:
    if text == "-0":
        return NegativeZero()
    return int(text) if len(text) < 100 else Literal(text)


def _decimal(text: str) -> float | Literal:
    """A double where up to 15 digits make text and double interchangeable, else the text."""
    value = float(text)
    return value if len(text) <= 16 and value not in {0.0, float("inf"), float("-inf")} else _long(text, value)


def _long(text: str, value: float) -> float | Literal:
    return value if value == 0.0 and not set(text) & set("123456789") else Literal(text)


def _check_depth(text: bytes, limit: int) -> None:
    """Levels of a text that is known to be valid JSON: each round removes the innermost brackets."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return
    brackets = _STRING.sub(b"", text).translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise InvalidArgument("json_too_deep", limit=limit)


def kind(value: object) -> str:
    """What a JSON value is, for a message."""
    names: dict[Any, str] = {dict: "an object", list: "an array", bool: "a boolean", type(None): "null"}
    if isinstance(value, str) and not isinstance(value, Literal):
        return "a string"
    return names.get(type(value), "a number")


def _member(members: Mapping[str, Any], key: str, wanted: type, where: str) -> Any:
    """An optional member; null is absent. Raises InvalidArgument if it is of another type."""
    value = members.get(key)
    if value is None or (isinstance(value, wanted) and not isinstance(value, Literal)):
        return value
    words: dict[Any, str] = {dict: "an object", list: "an array", str: "a string"}
    raise InvalidArgument("field_type", field=f"{where}{key}", expected=words[wanted], found=kind(value))


def _needed(members: Mapping[str, Any], key: str, wanted: type, where: str) -> Any:
    value = _member(members, key, wanted, f"{where}.")
    if value is None:
        raise InvalidArgument("field_missing", field=key, where=where)
    return value


def read_draft(text: bytes, rest: memoryview, limits: Limits, *, binary: bool) -> Draft:
    """The request as it was written: its JSON text and the binary part (`binary`: there was a header length).

    Raises InvalidArgument for what is wrong before any tensor is looked into.
    """
    members = read_object(text, limits)
    inputs = _needed(members, "inputs", list, "request")
    parameters = dict(_parameters(members, "parameters."))
    binary_output = _take_boolean(parameters, "binary_data_output")
    taken = 0
    tensors = []
    for index, entry in enumerate(inputs):
        tensor, size = _tensor(entry, index, rest[taken:], binary=binary)
        taken += size
        tensors.append(tensor)
    if taken != len(rest):
        raise InvalidArgument("binary_leftover", found=len(rest), expected=taken)
    outputs = tuple(
        read_output(entry, f"outputs[{i}]") for i, entry in enumerate(_member(members, "outputs", list, "") or ())
    )
    identifier = _member(members, "id", str, "") or ""
    return Draft(identifier, tuple(tensors), outputs, parameters or NO_PARAMETERS, binary_output or False)


def _parameters(members: Mapping[str, Any], where: str) -> Parameters:
    given = _member(members, "parameters", dict, where.removesuffix("parameters."))
    return from_json({k: _plain(v) for k, v in given.items()}, where) if given else NO_PARAMETERS


def _plain(value: object) -> object:
    """A number for a parameter: literals with point or exponent are doubles, -0 is an integer."""
    if isinstance(value, Literal):
        return float(value)
    return int(value) if isinstance(value, NegativeZero) else value


def _tensor(entry: object, index: int, rest: memoryview, *, binary: bool) -> tuple[DraftTensor, int]:
    """One entry of `inputs`, and how many bytes of the binary part are its own."""
    where = f"inputs[{index}]"
    if not isinstance(entry, dict):
        raise InvalidArgument("field_type", field=where, expected="an object", found=kind(entry))
    name = _needed(entry, "name", str, where)
    datatype = _needed(entry, "datatype", str, where)
    shape = _needed(entry, "shape", list, where)
    parameters = dict(_parameters(entry, f"{where}.parameters."))
    size = _take_size(parameters)
    data: Buffer | Pack | None = None
    taken = 0
    given = entry.get("data")
    if size is not None and binary and given is None:
        if size > len(rest):
            raise InvalidArgument("binary_leftover", found=len(rest), expected=size)
        data = rest[:size]
        taken = size
    elif size is None and given is not None:
        base64 = datatype == "BYTES" and parameters.get("content_type") == "base64"
        if base64:
            del parameters["content_type"]
        data = _packer(name, given, base64=base64)
    # Beyond the cap on ranks the entries are never looked at.
    entries = tuple(map(_dimension, shape)) if len(shape) <= _RANK_LOOKED_AT else tuple(shape)
    return DraftTensor(name, datatype, entries, data, parameters or NO_PARAMETERS), taken


def _packer(name: str, values: object, *, base64: bool) -> Pack:
    def pack(row: Datatype, shape: tuple[int, ...], _count: int, room: int) -> bytes:
        return pack_values(name, row, shape, values, base64=base64, room=room)

    return pack


def _dimension(entry: object) -> object:
    """A shape entry: integral numbers as int (1.0 counts, JSON has one number type), anything else as a word for it."""
    if isinstance(entry, bool) or entry is None or isinstance(entry, dict | list):
        return kind(entry)
    if isinstance(entry, Literal):
        number = to_decimal(entry)
        return int(number) if number == number.to_integral_value() and number.adjusted() < 20 else str(entry)
    if isinstance(entry, str):
        return kind(entry)
    if isinstance(entry, float):
        return int(entry) if entry.is_integer() else entry
    return int(entry) if isinstance(entry, int) else entry


def _take_boolean(parameters: dict[str, Any], name: str) -> bool | None:
    value = parameters.pop(name, None)
    if value is not None and not isinstance(value, bool):
        raise InvalidArgument("parameter_invalid", name=name, expected="a boolean")
    return value


def _take_size(parameters: dict[str, Any]) -> int | None:
    value = parameters.pop("binary_data_size", None)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise InvalidArgument("parameter_invalid", name="binary_data_size", expected="an unsigned integer")


def read_output(entry: object, where: str) -> RequestedOutput:
    """One entry of the request's `outputs`. Raises InvalidArgument."""
    if not isinstance(entry, dict):
        raise InvalidArgument("field_type", field=where, expected="an object", found=kind(entry))
    name = _needed(entry, "name", str, where)
    return requested_output(name, dict(_parameters(entry, f"{where}.parameters.")))


def requested_output(name: str, parameters: dict[str, Any]) -> RequestedOutput:
    """A requested output from its name and its parameters, which are taken apart. Raises InvalidArgument."""
    if not parameters:
        return RequestedOutput(name)
    binary = _take_boolean(parameters, "binary_data")
    classification = parameters.pop("classification", 0)
    if not isinstance(classification, int) or isinstance(classification, bool) or classification < 0:
        raise InvalidArgument("classification_invalid", tensor=name, problem="must be an unsigned integer")
    base64 = parameters.get("content_type") == "base64"
    if base64:
        del parameters["content_type"]
    return RequestedOutput(name, binary, classification, base64, parameters or NO_PARAMETERS)
