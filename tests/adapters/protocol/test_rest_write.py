"""Answers as REST bodies (6.7 to 6.9), requests on their way to a backend."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from penstock_adapters.protocol.message import RequestedOutput, RequestMessage, ResponseMessage, Tensor
from penstock_adapters.protocol.rest_write import encode_request, encode_response, json_data
from penstock_adapters.protocol.tensors import from_array, join_bytes

JSON_ALL = RequestMessage("", ())


def data(array: Any) -> str:
    return json_data(from_array("y", array))[0].decode()


def test_numbers_are_the_shortest_that_round_trip_in_their_own_type() -> None:
    assert data(np.array([0.1, 1, 16777216, -0.0], np.float32)) == "[0.1,1.0,16777216.0,-0.0]"
    assert data(np.array([0.1, 1e-300], np.float64)) == "[0.1,1e-300]"
    assert data(np.array([(1 << 63) - 1], np.int64)) == "[9223372036854775807]"
    assert data(np.array([(1 << 64) - 1], np.uint64)) == "[18446744073709551615]"
    assert data(np.array([-128, 127], np.int8)) == "[-128,127]"
    assert data(np.array([True, False])) == "[true,false]"


def test_half_floats_print_as_the_double_they_equal() -> None:
    assert data(np.array([65504, 0.1], np.float16)) == "[65504.0,0.0999755859375]"
    raw = Tensor("y", "BF16", (1,), b"\x80\x3f")
    assert json_data(raw)[0] == b"[1.0]"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinities_are_strings(dtype: type[np.floating[Any]]) -> None:
    assert data(np.array([1, np.nan, np.inf, -np.inf], dtype)) == '[1.0,"NaN","Infinity","-Infinity"]'


def test_signalling_nans_are_nans() -> None:
    for datatype, raw in (("BF16", b"\x81\x7f"), ("FP16", b"\x01\x7c"), ("FP32", b"\x01\0\x80\x7f")):
        assert json_data(Tensor("y", datatype, (1,), raw))[0] == b'["NaN"]'


def test_text_is_strings_and_anything_else_is_base64() -> None:
    text = Tensor("y", "BYTES", (2,), join_bytes(["é\0".encode(), b'"']))
    assert json_data(text) == ('["é\\u0000","\\""]'.encode(), {})
    assert json_data(text, base64=True) == (b'["w6kA","Ig=="]', {"content_type": "base64"})
    mixed = Tensor("y", "BYTES", (2,), join_bytes([b"a", b"\xff"]))
    assert json_data(mixed) == (b'["YQ==","/w=="]', {"content_type": "base64"})


Y = from_array("y", np.array([[1, 2]], np.float32))
Z = Tensor("z", "BYTES", (1,), join_bytes([b"a"]), {"k": 1})
EMPTY = Tensor("e", "INT8", (0,), b"")


def answer(*tensors: Tensor, **fields: Any) -> ResponseMessage:
    return ResponseMessage("m", fields.pop("version", ""), fields.pop("id", ""), tensors, **fields)


def test_a_json_answer_has_the_members_there_are() -> None:
    wire = encode_response(answer(Y, Z, version="2", id='a"', parameters={"p": 1.0}), JSON_ALL)

    assert wire.header_length is None
    assert json.loads(bytes(wire.parts[0])) == {
        "model_name": "m",
        "model_version": "2",
        "id": 'a"',
        "parameters": {"p": 1.0},
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]},
            {"name": "z", "datatype": "BYTES", "shape": [1], "parameters": {"k": 1}, "data": ["a"]},
        ],
    }
    assert json.loads(bytes(encode_response(answer(), JSON_ALL).parts[0])) == {"model_name": "m", "outputs": []}


def form(request: RequestMessage) -> list[bool]:
    """Which outputs came in binary."""
    wire = encode_response(answer(Y, Z, EMPTY), request)
    outputs = json.loads(b"".join(wire.parts)[: wire.header_length])["outputs"]
    binary = ["data" not in output for output in outputs]
    sizes = [output["parameters"]["binary_data_size"] for output in outputs if "data" not in output]
    assert sizes == [len(part) for part in wire.parts[1:]]
    assert (wire.header_length is None) is not any(binary)
    return binary


def test_the_form_is_the_outputs_own_else_the_requests_else_json() -> None:
    def outputs(*forms: bool | None) -> tuple[RequestedOutput, ...]:
        return tuple(RequestedOutput(name, f) for name, f in zip("yze", forms, strict=True))

    assert form(RequestMessage("", ())) == [False, False, False]
    assert form(RequestMessage("", (), binary_output=True)) == [True, True, False], "nothing is never binary"
    assert form(RequestMessage("", (), outputs(True, None, True))) == [True, False, False]
    assert form(RequestMessage("", (), outputs(False, None, None), binary_output=True)) == [False, True, False]


def test_a_requested_output_may_force_base64() -> None:
    request = RequestMessage("", (), (RequestedOutput("z", base64=True),))
    output = json.loads(bytes(encode_response(answer(Z), request).parts[0]))["outputs"][0]
    assert (output["data"], output["parameters"]) == (["YQ=="], {"k": 1, "content_type": "base64"})


def test_requests_go_out_in_binary_asking_for_binary() -> None:
    message = RequestMessage(
        "7", (Y, EMPTY), (RequestedOutput("o", False, 3, base64=True, parameters={"k": 1}),), {"p": True}
    )
    wire = encode_request(message)
    assert wire.parts[1:] == (Y.data, EMPTY.data)
    assert wire.header_length == len(wire.parts[0])
    assert json.loads(bytes(wire.parts[0])) == {
        "id": "7",
        "parameters": {"p": True},
        "inputs": [
            {"name": "y", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
            {"name": "e", "shape": [0], "datatype": "INT8", "parameters": {"binary_data_size": 0}},
        ],
        "outputs": [{"name": "o", "parameters": {"binary_data": True, "k": 1}}],
    }
