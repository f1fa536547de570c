"""A REST request that is certainly good, read in a few microseconds; None sends it to `rest_exact`, which says why not.

msgspec reads into typed structs and keeps the last of two equal keys, silently. Duplicates and unknown members are seen
by counting instead: outside strings every colon belongs to one key, so the colons of the text must equal the keys read.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.message import (
    NO_PARAMETERS,
    Buffer,
    Parameters,
    ParameterValue,
    RequestedOutput,
    RequestMessage,
    Tensor,
)
from penstock_adapters.protocol.numbers_fast import pack_raw

_Given = dict[str, ParameterValue]


class _Input(msgspec.Struct, gc=False):
    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: _Given | msgspec.UnsetType = msgspec.UNSET


class _Output(msgspec.Struct, gc=False):
    name: str
    parameters: _Given | msgspec.UnsetType = msgspec.UNSET


class _Request(msgspec.Struct, gc=False):
    inputs: list[_Input]
    outputs: list[_Output] | msgspec.UnsetType = msgspec.UNSET
    id: str | msgspec.UnsetType = msgspec.UNSET
    parameters: _Given | msgspec.UnsetType = msgspec.UNSET
    model_name: str | msgspec.UnsetType = msgspec.UNSET
    """KServe's clients always send it; the path decides."""


_DECODE: Final = msgspec.json.Decoder(_Request).decode
_REFUSED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_UNSET: Final = msgspec.UNSET
_RANK_MAX: Final = 32


def read(text: bytes, rest: memoryview, *, binary: bool) -> tuple[RequestMessage, bool] | None:
    """The message, and whether these bytes mean the same to a Triton server; None = let `rest_exact` read it.

    `rest` holds the binary part; tensors get slices of it. `binary`: there was a header length.
    """
    try:
        request = _DECODE(text)
    except _REFUSED:
        return None
    tensors: list[Tensor] = []
    offset = 0
    plain = binary and request.model_name is _UNSET
    for entry in request.inputs:
        parameters: Parameters = NO_PARAMETERS
        count = 1
        if len(entry.shape) > _RANK_MAX:
            return None  # before multiplying: a product of very many numbers is very large
        for dimension in entry.shape:
            if dimension < 0:
                return None
            count *= dimension
        if entry.parameters is not _UNSET and "binary_data_size" in entry.parameters:
            if not binary or entry.data is not _UNSET:
                return None
            size = entry.parameters["binary_data_size"]
            end = offset + size if type(size) is int and size >= 0 else -1
            if not offset <= end <= len(rest):
                return None
            data: Buffer = rest[offset:end]
            offset = end
            if len(entry.parameters) > 1:
                parameters = {k: v for k, v in entry.parameters.items() if k != "binary_data_size"}
        else:
            row = DATATYPES.get(entry.datatype)
            if row is None or entry.data is _UNSET or count > 1 << 28:
                return None
            plain = False
            if entry.parameters is not _UNSET:
                if "content_type" in entry.parameters:
                    return None
                parameters = entry.parameters or NO_PARAMETERS
            packed = pack_raw(entry.data, row, entry.shape, count)
            if packed is None:
                return None
            data = packed
        tensors.append(Tensor(entry.name, entry.datatype, tuple(entry.shape), data, parameters))
    if offset != len(rest) or not _keys_are_counted(text, request):
        return None
    return _message(request, tuple(tensors), plain=plain)


def _message(request: _Request, tensors: tuple[Tensor, ...], *, plain: bool) -> tuple[RequestMessage, bool] | None:
    parameters: Parameters = NO_PARAMETERS
    binary_output: Any = False
    if request.parameters is not _UNSET and request.parameters:
        binary_output = request.parameters.pop("binary_data_output", False)
        if type(binary_output) is not bool:
            return None
        parameters = request.parameters or NO_PARAMETERS
    outputs: tuple[RequestedOutput, ...] = ()
    if request.outputs is not _UNSET and request.outputs:
        listed = []
        for entry in request.outputs:
            output = _output(entry)
            if output is None:
                return None
            listed.append(output)
            plain = plain and output.binary is True and not output.parameters
        outputs = tuple(listed)
    else:
        plain = plain and binary_output
    identifier = request.id if request.id is not _UNSET else ""
    return RequestMessage(identifier, tensors, outputs, parameters, binary_output), plain


def _output(entry: _Output) -> RequestedOutput | None:
    given = entry.parameters
    if given is _UNSET or not given:
        return RequestedOutput(entry.name)
    binary = given.get("binary_data")
    if len(given) == 1 and type(binary) is bool:
        return RequestedOutput(entry.name, binary)
    return None


def _keys_are_counted(text: bytes, request: _Request) -> bool:
    """True if every key in the text is one that was read, once."""
    keys = 1 + (request.id is not _UNSET) + (request.model_name is not _UNSET)
    if request.parameters is not _UNSET:
        keys += 1 + len(request.parameters)
    for entry in request.inputs:
        keys += 3 + (entry.data is not _UNSET)
        if entry.parameters is not _UNSET:
            keys += 1 + len(entry.parameters)
    if request.outputs is not _UNSET:
        keys += 1 + len(request.outputs)
        for output in request.outputs:
            if output.parameters is not _UNSET:
                keys += 1 + len(output.parameters)
    colons = text.count(b":")
    # With an escape in the text a colon in a string may hide as \u003a, so the difference would prove nothing.
    return colons == keys or (b"\\" not in text and colons == keys + _colons_in_strings(request))


def _colons_in_strings(request: _Request) -> int:
    """Colons in names, values and BYTES elements; a `data` that was packed holds no keys."""
    strings: list[Any] = [request.id, request.model_name]
    colons = 0
    holders: list[Any] = [request, *request.inputs]
    for entry in request.inputs:
        strings += entry.name, entry.datatype
        if entry.data is not _UNSET:
            colons += bytes(entry.data).count(b":")
    if request.outputs is not _UNSET:
        holders += request.outputs
        strings += [output.name for output in request.outputs]
    for holder in holders:
        if holder.parameters is not _UNSET:
            for key, value in holder.parameters.items():
                strings += key, value
    return colons + sum(string.count(":") for string in strings if isinstance(string, str))
