"""The request object (6.5) and binary bodies (6.9), read exactly: each rule by its name."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_adapters.protocol.errors import InvalidArgument, PenstockError, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.rest_exact import read_draft, read_object, split
from penstock_adapters.protocol.validate import Draft
from penstock_adapters.protocol.wire import RestWire

INPUT = '{"name":"x","shape":[1],"datatype":"FP32","data":[1]}'


def draft(text: str | bytes, length: int | None = None) -> Draft:
    body = text.encode() if isinstance(text, str) else text
    json, rest = split(RestWire((body,), length), DEFAULT_LIMITS)
    return read_draft(json, rest, DEFAULT_LIMITS, binary=length is not None)


def reason(text: str | bytes, length: int | None = None) -> str:
    with pytest.raises(PenstockError) as caught:
        draft(text, length)
    return caught.value.reason


def with_input(entry: str) -> str:
    return '{"inputs":[' + entry + "]}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        '{"inputs":[]} x',
        '{"inputs":[],}',
        "{'inputs':[]}",
        '\ufeff{"inputs":[]}',
        b'{"inputs":[],"id":"\xff"}',
        '{"inputs":[],"id":"\x01"}',
        '{"inputs":[],"id":"\\ud800"}',
        '{"inputs":[],"id":"\\udc00\\ud800"}',
        '{"inputs":[],"a":01}',
        '{"inputs":[],"a":+1}',
        '{"inputs":[],"a":.5}',
        '{"inputs":[],"a":nan}',
    ],
)
def test_the_body_is_one_json_object_in_utf8(text: str | bytes) -> None:
    assert reason(text) == "json_invalid"


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true", "NaN"])
def test_the_body_is_an_object(text: str) -> None:
    assert reason(text) == "field_type"


def test_white_space_may_surround_the_object() -> None:
    assert draft(' \n\t\r{"inputs":[]}\n ').inputs == ()


def test_a_surrogate_pair_and_an_escaped_backslash_are_characters() -> None:
    assert draft('{"inputs":[],"id":"\\ud83d\\ude00\\\\ud800"}').id == "😀\\ud800"


@pytest.mark.parametrize(
    "text",
    [
        '{"inputs":[],"inputs":[]}',
        '{"inputs":[],"\\u0069nputs":[]}',
        '{"inputs":[],"x":{"a":1,"a":2}}',
        with_input('{"name":"x","name":"x","shape":[1],"datatype":"FP32","data":[1]}'),
        '{"inputs":[],"parameters":{"a":1,"a":1}}',
    ],
)
def test_a_duplicate_key_in_any_object_is_refused(text: str) -> None:
    assert reason(text) == "json_duplicate_key"


def test_unknown_members_are_ignored_at_every_level() -> None:
    found = draft(
        '{"x":{"y":[1]},"model_name":7,"model_version":"9","inputs":[' + INPUT[:-1] + ',"z":null}],'
        '"outputs":[{"name":"y","w":1}]}'
    )
    assert (found.inputs[0].name, found.outputs[0].name) == ("x", "y")


def test_optional_members_may_be_null() -> None:
    found = draft('{"inputs":[],"id":null,"parameters":null,"outputs":null}')
    assert (found.id, dict(found.parameters), found.outputs) == ("", {}, ())
    assert draft(with_input(INPUT[:-1] + ',"parameters":null}')).inputs[0].parameters == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "field_missing"),
        ('{"inputs":null}', "field_missing"),
        ('{"inputs":{}}', "field_type"),
        ('{"inputs":[],"id":7}', "field_type"),
        ('{"inputs":[],"id":1.00000000000000000001}', "field_type"),
        ('{"inputs":[],"outputs":{}}', "field_type"),
        ('{"inputs":[],"outputs":[7]}', "field_type"),
        ('{"inputs":[],"outputs":[{}]}', "field_missing"),
        ('{"inputs":[],"parameters":[]}', "field_type"),
        ('{"inputs":[],"parameters":{"a":null}}', "parameter_invalid"),
        ('{"inputs":[],"parameters":{"a":[]}}', "parameter_invalid"),
        ('{"inputs":[],"parameters":{"a":{}}}', "parameter_invalid"),
        ('{"inputs":[],"parameters":{"binary_data_output":1}}', "parameter_invalid"),
        ('{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":"yes"}}]}', "parameter_invalid"),
        ('{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":-1}}]}', "classification_invalid"),
        ('{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":"2"}}]}', "classification_invalid"),
        ('{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":true}}]}', "classification_invalid"),
        (with_input("7"), "field_type"),
        (with_input('{"shape":[1],"datatype":"FP32","data":[1]}'), "field_missing"),
        (with_input('{"name":"x","datatype":"FP32","data":[1]}'), "field_missing"),
        (with_input('{"name":"x","shape":[1],"data":[1]}'), "field_missing"),
        (with_input('{"name":7,"shape":[1],"datatype":"FP32","data":[1]}'), "field_type"),
        (with_input('{"name":"x","shape":1,"datatype":"FP32","data":[1]}'), "field_type"),
        (with_input('{"name":"x","shape":[1],"datatype":1,"data":[1]}'), "field_type"),
    ],
)
def test_members_of_the_wrong_type_are_named(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_the_depth_is_capped() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + b"[" * (depth - 1) + b'"]}"' + b"]" * (depth - 1) + b"}"

    assert read_object(nested(64), DEFAULT_LIMITS)
    for depth in (65, 66, 5_000, 200_000):
        with pytest.raises(InvalidArgument) as caught:
            read_object(nested(depth), DEFAULT_LIMITS)
        assert caught.value.reason == "json_too_deep"


def test_brackets_of_both_kinds_count_as_depth() -> None:
    limits = Limits(json_depth=3)
    assert read_object(b'{"a":[{}],"b":"[[[["}', limits)
    with pytest.raises(InvalidArgument):
        read_object(b'{"a":[{"b":{}}]}', limits)


@pytest.mark.parametrize(
    ("entry", "shape"),
    [
        ("[1.0,2e0]", (1, 2)),
        ("[-0,0]", (0, 0)),
        ("[1.00000000000000000000]", (1,)),
        ("[-1]", (-1,)),
        ("[1.5]", (1.5,)),
        ('["1"]', ("a string",)),
        ("[true,null]", ("a boolean", "null")),
        ("[[1],{}]", ("an array", "an object")),
        ("[1.00000000000000000001]", ("1.00000000000000000001",)),
        ("[1e999]", ("1e999",)),
    ],
)
def test_integral_shape_entries_are_integers_and_the_rest_is_named(entry: str, shape: tuple[Any, ...]) -> None:
    found = draft(with_input('{"name":"x","shape":' + entry + ',"datatype":"FP32","data":[]}')).inputs[0].shape
    assert found == shape
    assert [type(e) for e in found] == [type(e) for e in shape]


def binary(size: object, data: bytes = b"\0\0\x80\x3f", extra: str = "") -> tuple[bytes, int]:
    text = with_input(
        '{"name":"x","shape":[1],"datatype":"FP32"' + extra + ',"parameters":{"binary_data_size":%s}}' % size  # noqa: UP031
    ).encode()
    return text + data, len(text)


def test_binary_data_is_taken_in_order() -> None:
    assert draft(*binary(4)).inputs[0].data == b"\0\0\x80\x3f"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (binary(4, b"123"), "binary_leftover"),
        (binary(4, b"12345"), "binary_leftover"),
        (binary(-1), "parameter_invalid"),
        (binary('"4"'), "parameter_invalid"),
        (binary("true"), "parameter_invalid"),
        (binary("4.0"), "parameter_invalid"),
        ((with_input(INPUT).encode() + b"1", len(with_input(INPUT))), "binary_leftover"),
    ],
)
def test_left_over_and_missing_bytes_are_refused(body: tuple[bytes, int], expected: str) -> None:
    assert reason(*body) == expected


def test_data_and_binary_size_exclude_each_other_and_one_is_needed() -> None:
    assert draft(*binary(0, b"", ',"data":[1]')).inputs[0].data is None
    assert draft(with_input('{"name":"x","shape":[1],"datatype":"FP32"}')).inputs[0].data is None
    assert draft(with_input('{"name":"x","shape":[1],"datatype":"FP32","data":null}')).inputs[0].data is None
    assert draft(binary(4, b"")[0]).inputs[0].data is None, "a size without the header"


@pytest.mark.parametrize("length", [-1, 1000])
def test_a_header_length_outside_the_body_is_refused(length: int) -> None:
    assert reason(b"{}", length) == "binary_header"


def test_parts_are_one_body() -> None:
    text, rest = split(RestWire((b'{"inp', memoryview(b'uts":[]}123')), 13), DEFAULT_LIMITS)
    assert (text, bytes(rest)) == (b'{"inputs":[]}', b"123")


def test_caps_come_first() -> None:
    wire = RestWire((b'{"inputs":[]}',))
    for limits in (Limits(body=1), Limits(json=1)):
        with pytest.raises(TooLarge):
            split(wire, limits)
    with pytest.raises(InvalidArgument):
        split(wire, Limits(json_containers=1))
    assert split(wire, Limits(json_containers=2))[0] == wire.parts[0]


def test_parameters_keep_their_kind_of_number() -> None:
    found = draft(
        '{"inputs":[],"parameters":{"a":1,"b":1.0,"c":-0,"d":true,"e":"s","f":1.00000000000000000001,"g":1e2}}'
    )
    kinds = {name: type(value) for name, value in found.parameters.items()}
    assert kinds == {"a": int, "b": float, "c": int, "d": bool, "e": str, "f": float, "g": float}


def test_requested_outputs_keep_what_is_not_ours() -> None:
    text = '{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":true,"classification":2,"content_type":"base64","k":1}}]}'
    output = draft(text).outputs[0]
    assert (output.binary, output.classification, output.base64, dict(output.parameters)) == (True, 2, True, {"k": 1})
    plain = draft('{"inputs":[],"outputs":[{"name":"y","parameters":{"content_type":"np"}}]}').outputs[0]
    assert dict(plain.parameters) == {"content_type": "np"}


def test_base64_is_consumed_on_bytes_only() -> None:
    entry = '{"name":"x","shape":[0],"datatype":"%s","data":[],"parameters":{"content_type":"base64"}}'
    assert dict(draft(with_input(entry.replace("%s", "BYTES"))).inputs[0].parameters) == {}
    assert dict(draft(with_input(entry.replace("%s", "INT8"))).inputs[0].parameters) == {"content_type": "base64"}
