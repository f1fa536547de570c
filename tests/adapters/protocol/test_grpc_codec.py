"""ModelInferRequest and ModelInferResponse, typed and raw (6.10)."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol import grpc_codec
from penstock_adapters.protocol.errors import BadBackendAnswer, InvalidArgument, PenstockError, TooLarge
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import RequestedOutput, RequestMessage, ResponseMessage, Tensor
from penstock_adapters.protocol.messages import ModelInferRequest, ModelInferResponse
from tests.support.carriers import DATATYPES, FIELDS, Plain, Request, grpc, requests


def message_of(request: Request) -> RequestMessage:
    return RequestMessage(
        request.id,
        tuple(Tensor(t.name, t.datatype, tuple(t.shape), t.raw()) for t in request.inputs),
        tuple(map(RequestedOutput, request.outputs)),
        request.parameters,
    )


@given(requests())
@settings(max_examples=80, deadline=None)
def test_raw_contents_are_decoded(request: Request) -> None:
    assert grpc_codec.decode_request(grpc(request, typed=False)) == message_of(request)


@given(requests(tuple(FIELDS)))
@settings(max_examples=80, deadline=None)
def test_typed_contents_are_decoded_to_the_same_bits(request: Request) -> None:
    assert grpc_codec.decode_request(grpc(request, typed=True)) == message_of(request)


@given(requests())
@settings(max_examples=80, deadline=None)
def test_what_is_encoded_is_decoded(request: Request) -> None:
    message = message_of(request)

    sent = grpc_codec.encode_request(message, "model", "3")

    assert (sent.model_name, sent.model_version) == ("model", "3")
    assert grpc_codec.decode_request(sent) == message


@given(requests())
@settings(max_examples=80, deadline=None)
def test_answers_are_written_raw_and_read_back(request: Request) -> None:
    answer = ResponseMessage("m", "1", request.id, message_of(request).inputs, request.parameters)

    sent = grpc_codec.encode_response(answer)

    assert len(sent.raw_output_contents) == len(request.inputs)
    assert not any(output.HasField("contents") for output in sent.outputs)
    assert grpc_codec.decode_response(sent) == answer


@given(requests(tuple(FIELDS)))
@settings(max_examples=40, deadline=None)
def test_typed_answers_of_other_servers_are_read(request: Request) -> None:
    typed = grpc(request, typed=True)
    answer = ModelInferResponse(model_name="m")
    for entry in typed.inputs:
        answer.outputs.add().ParseFromString(entry.SerializeToString())

    assert grpc_codec.decode_response(answer).outputs == message_of(request).inputs


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_garbage_raises_only_our_errors(data: bytes) -> None:
    for cls, decode in (
        (ModelInferRequest, grpc_codec.decode_request),
        (ModelInferResponse, grpc_codec.decode_response),
    ):
        message = cls()
        try:
            message.MergeFromString(data)
        except DecodeError:  # protobuf's own refusal; the edge answers it
            continue
        try:
            decode(message)
        except PenstockError:
            continue


def one(datatype: str = "INT32", shape: tuple[int, ...] = (1,), **contents: Any) -> Any:
    message = ModelInferRequest()
    entry = message.inputs.add(name="x", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(entry.contents, field).extend(values)
    return message


def reason(message: Any, limits: Limits | None = None) -> str:
    with pytest.raises(InvalidArgument) as caught:
        grpc_codec.decode_request(message, limits or Limits())
    return caught.value.reason


def test_the_number_of_raw_buffers_is_the_number_of_inputs() -> None:
    message = one()
    message.raw_input_contents.extend([b"1234", b"1234"])
    assert reason(message) == "raw_count"


def test_raw_and_typed_contents_exclude_each_other() -> None:
    message = one(int_contents=[1])
    message.raw_input_contents.append(b"1234")
    assert reason(message) == "raw_and_typed"


def test_an_empty_contents_message_counts_as_absent() -> None:
    message = one()
    message.inputs[0].contents.SetInParent()
    message.raw_input_contents.append(b"1234")
    assert grpc_codec.decode_request(message).inputs[0].data == b"1234"


@pytest.mark.parametrize("datatype", DATATYPES)
def test_contents_in_a_field_of_another_type_are_refused(datatype: str) -> None:
    for field in sorted(set(FIELDS.values()) - {FIELDS.get(datatype)}):
        values: Any = [b"a"] if field == "bytes_contents" else [1]
        assert reason(one(datatype, (1,), **{field: values})) == "contents_wrong_field"


def test_two_contents_fields_are_refused() -> None:
    assert reason(one(int_contents=[1], uint_contents=[1])) == "contents_wrong_field"


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        ("INT8", "int_contents", 128),
        ("INT16", "int_contents", -32769),
        ("UINT8", "uint_contents", 256),
        ("UINT16", "uint_contents", 65536),
    ],
)
def test_narrow_typed_fields_are_range_checked(datatype: str, field: str, value: int) -> None:
    assert reason(one(datatype, (1,), **{field: [value]})) == "element_range"


def test_a_wrong_element_count_is_named_before_the_values() -> None:
    assert reason(one("INT8", (3,), int_contents=[1000])) == "element_count"


def test_decoded_tensors_are_capped() -> None:
    message = one("INT64", (4,), int64_contents=[0, 0, 0, 0])
    grpc_codec.decode_request(message, Limits(body=32))
    with pytest.raises(TooLarge):
        grpc_codec.decode_request(message, Limits(body=31))
    raw = one("INT8", (4,))
    raw.raw_input_contents.append(b"1234")
    raw.inputs[0].contents.SetInParent()
    with pytest.raises(TooLarge):
        grpc_codec.decode_request(raw, Limits(body=3))


def test_binary_form_parameters_are_ignored_and_not_forwarded() -> None:
    message = one("INT32", (1,))
    message.raw_input_contents.append(b"1234")
    message.parameters["binary_data_output"].string_param = "nonsense"
    message.inputs[0].parameters["binary_data_size"].int64_param = -3
    output = message.outputs.add(name="y")
    output.parameters["binary_data"].int64_param = 7
    output.parameters["classification"].int64_param = 2
    output.parameters["mine"].bool_param = True

    found = grpc_codec.decode_request(message)
    sent = grpc_codec.encode_request(found, "m", "")

    assert found.outputs == (RequestedOutput("y", None, 2, parameters={"mine": True}),)
    assert not sent.parameters
    assert not sent.inputs[0].parameters
    assert list(sent.outputs[0].parameters) == ["mine"]


def test_an_empty_parameter_is_refused() -> None:
    message = one()
    message.raw_input_contents.append(b"1234")
    message.parameters["a"].SetInParent()
    assert reason(message) == "parameter_invalid"


def test_zero_elements_need_no_contents() -> None:
    for datatype in DATATYPES:
        assert grpc_codec.decode_request(one(datatype, (0, 3))).inputs[0].data == b""


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [("INT32", (1,), [b"1234", b"1234"]), ("INT32", (2,), []), ("nope", (1,), []), ("INT32", (-1,), [])],
)
def test_an_answer_that_contradicts_itself_is_the_backends_fault(
    datatype: str, shape: tuple[int, ...], raw: list[bytes]
) -> None:
    answer = ModelInferResponse()
    answer.outputs.add(name="y", datatype=datatype, shape=shape).contents.int_contents.append(1)
    answer.raw_output_contents.extend(raw)
    with pytest.raises(BadBackendAnswer, match="digits"):
        grpc_codec.decode_response(answer, model="digits")


def test_single_precision_travels_unchanged() -> None:
    value = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert grpc_codec.decode_request(one("FP32", fp32_contents=[0.1])).inputs[0].data == struct.pack("<f", value)


def test_the_same_plain_request_is_typed_and_raw() -> None:
    request = Request([Plain("x", "BYTES", [2], [b"a", b""])])
    assert grpc_codec.decode_request(grpc(request, typed=True)) == grpc_codec.decode_request(grpc(request, typed=False))
