"""Malformed ModelInferRequests: by rule, cut short, and with bytes changed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any, Final

from penstock_adapters.protocol.messages import ModelInferRequest
from tests.corpora import Case
from tests.support.carriers import DATATYPES, FIELDS

ALL_FIELDS: Final = sorted(set(FIELDS.values()))
NARROW: Final = (
    ("INT8", "int_contents", (128, -129, 2**31 - 1)),
    ("INT16", "int_contents", (32768, -32769)),
    ("UINT8", "uint_contents", (256, 2**32 - 1)),
    ("UINT16", "uint_contents", (65536,)),
)


def grpc_cases() -> Iterator[Case]:
    yield from _contents()
    yield from _raw()
    yield from _fields()
    yield from _parameters()
    yield from _bytes()


def _good(*, raw: bool = True) -> Any:
    message = ModelInferRequest(model_name="m", id="a")
    entry = message.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    if raw:
        message.raw_input_contents.append(struct.pack("<4f", 1, 2, 3, 4))
    else:
        entry.contents.fp32_contents.extend([1, 2, 3, 4])
    return message


def _case(name: str, message: Any, reason: str = "", http: int = 400) -> Case:
    body = message if isinstance(message, bytes) else message.SerializeToString(deterministic=True)
    return Case(f"grpc/{name}", "grpc", {}, body, http, reason)


def _contents() -> Iterator[Case]:
    for datatype in DATATYPES:
        for field in ALL_FIELDS:
            values: Any = [b"a"] if field == "bytes_contents" else [1]
            for count in (1, 2):
                fits = FIELDS.get(datatype) == field
                if fits and count == 1:
                    continue
                message = _good(raw=False)
                entry = message.inputs.add(name=f"in_{datatype.lower()}", datatype=datatype, shape=[1])
                getattr(entry.contents, field).extend(values * count)
                reason = "element_count" if fits else "contents_wrong_field"
                yield _case(f"contents/{datatype}-{field}-{count}", message, reason)
        message = _good(raw=False)
        message.inputs.add(name=f"in_{datatype.lower()}", datatype=datatype, shape=[1])
        yield _case(f"contents/{datatype}-none", message, "element_count")
        message = _good(raw=False)
        entry = message.inputs.add(name=f"in_{datatype.lower()}", datatype=datatype, shape=[1])
        entry.contents.int_contents.append(1)
        entry.contents.uint_contents.append(1)
        yield _case(f"contents/{datatype}-two", message, "contents_wrong_field")
    for datatype, field, values in NARROW:
        for value in values:
            message = _good(raw=False)
            entry = message.inputs.add(name=f"in_{datatype.lower()}", datatype=datatype, shape=[1])
            getattr(entry.contents, field).append(value)
            yield _case(f"narrow/{datatype}-{value}", message, "element_range")


def _raw() -> Iterator[Case]:
    for size in (*range(16), 17, 20, 32):
        message = _good()
        message.raw_input_contents[0] = bytes(size)
        yield _case(f"raw/bytes-{size}", message, "element_count")
    for count in (2, 3, 9):
        message = _good()
        message.raw_input_contents.extend([b""] * (count - 1))
        yield _case(f"raw/buffers-{count}", message, "raw_count")
    message = _good()
    message.inputs.add(name="in_int8", datatype="INT8", shape=[1])
    yield _case("raw/buffer-missing", message, "raw_count")
    message = _good()
    message.inputs[0].contents.fp32_contents.extend([1, 2, 3, 4])
    yield _case("raw/and-typed", message, "raw_and_typed")
    for index, raw in enumerate((b"\1\0\0\0", b"\1\0\0", b"\0\0\0\0" * 2, b"\xff\xff\xff\xffa", b"\0\0\0\0\1", b"")):
        message = _good()
        message.inputs.add(name="in_bytes", datatype="BYTES", shape=[1])
        message.raw_input_contents.append(raw)
        yield _case(f"raw/strings-{index}", message)
    message = _good()
    message.inputs.add(name="in_bool", datatype="BOOL", shape=[2])
    message.raw_input_contents.append(b"\1\2")
    yield _case("raw/bool-2", message, "element_invalid")


def _fields() -> Iterator[Case]:
    for raw in (True, False):
        kind = "raw" if raw else "typed"
        for index, shape in enumerate(
            (
                [-1, 4],
                [1, -4],
                [4],
                [],
                [1, 4, 1],
                [1, 5],
                [2, 4],
                [9, 4],
                [0, 4],
                [2**62, 2**62],
                [2**63 - 1, 4],
                [1, 4] + [1] * 31,
            )
        ):
            message = _good(raw=raw)
            del message.inputs[0].shape[:]
            message.inputs[0].shape.extend(shape)
            yield _case(f"shape/{kind}-{index}", message)
        for name in ("X", "", "\0", "é", "x" * 1025):
            message = _good(raw=raw)
            message.inputs[0].name = name
            yield _case(f"name/{kind}-{name[:5]!r}", message)
            message = _good(raw=raw)
            message.outputs.add(name=name)
            yield _case(f"output/{kind}-{name[:5]!r}", message)
        for datatype in ("fp32", "", "FP64", "INT32", "BYTES", "STRING", "BOOL"):
            message = _good(raw=raw)
            message.inputs[0].datatype = datatype
            yield _case(f"datatype/{kind}-{datatype}", message)
        message = _good(raw=raw)
        message.inputs.append(message.inputs[0])
        message.raw_input_contents.extend(message.raw_input_contents[:])
        yield _case(f"name/{kind}-twice", message, "input_duplicate")
        message = _good(raw=raw)
        message.outputs.add(name="y")
        message.outputs.add(name="y")
        yield _case(f"output/{kind}-twice", message, "output_duplicate")
        message = _good(raw=raw)
        message.id = "a" * 1025
        yield _case(f"id/{kind}", message, "too_long")
    yield _case("inputs/none", ModelInferRequest(model_name="m"), "input_missing")
    message = _good()
    for _ in range(1024):
        message.inputs.append(message.inputs[0])
        message.raw_input_contents.append(message.raw_input_contents[0])
    yield _case("inputs/many", message, "too_many")


def _parameters() -> Iterator[Case]:
    for name, choice, value, reason, http in (
        ("a", "double_param", float("nan"), "parameter_invalid", 400),
        ("a", "double_param", float("-inf"), "parameter_invalid", 400),
        ("k" * 257, "bool_param", True, "too_long", 400),
        ("k", "string_param", "v" * 65537, "too_long", 400),
        ("priority", "int64_param", -1, "parameter_invalid", 400),
        ("timeout", "string_param", "1", "parameter_invalid", 400),
        ("sequence_id", "bool_param", True, "parameter_invalid", 400),
        ("sequence_start", "bool_param", True, "parameter_invalid", 400),
        ("sequence_end", "int64_param", 1, "parameter_invalid", 400),
        ("headers", "string_param", "h", "parameter_reserved", 400),
        ("triton_enable_empty_final_response", "bool_param", True, "parameter_reserved", 400),
        ("shared_memory_region", "string_param", "r", "extension_unsupported", 501),
    ):
        message = _good()
        setattr(message.parameters[name], choice, value)
        yield _case(f"parameter/{name[:20]}-{choice}-{str(value)[:9]}", message, reason, http)
    message = _good()
    message.parameters["a"].SetInParent()
    yield _case("parameter/empty", message, "parameter_invalid")
    message = _good()
    for index in range(257):
        message.parameters[str(index)].bool_param = True
    yield _case("parameter/many", message, "too_many")
    for index, holder in enumerate(("inputs", "outputs")):
        message = _good()
        if holder == "outputs":
            message.outputs.add(name="y")
        getattr(message, holder)[0].parameters["shared_memory_region"].string_param = "r"
        yield _case(f"parameter/memory-{index}", message, "extension_unsupported", 501)
    for choice, value in (("int64_param", -1), ("string_param", "2"), ("bool_param", True), ("double_param", 1.0)):
        message = _good()
        setattr(message.outputs.add(name="y").parameters["classification"], choice, value)
        yield _case(f"classification/{choice}", message, "classification_invalid")


def _bytes() -> Iterator[Case]:
    rng = random.Random(21)
    for raw in (True, False):
        body = _good(raw=raw).SerializeToString(deterministic=True)
        kind = "raw" if raw else "typed"
        for cut in range(len(body)):
            yield _case(f"cut/{kind}-{cut}", body[:cut], http=0)
        for index in range(150):
            mutated = bytearray(body)
            for _ in range(rng.randrange(1, 3)):
                mutated[rng.randrange(len(mutated))] = rng.randrange(256)
            yield _case(f"mutated/{kind}-{index}", bytes(mutated), http=0)
    for index in range(60):
        yield _case(f"random/{index}", rng.randbytes(rng.randrange(1, 60)), http=0)
