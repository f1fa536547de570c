"""Bodies to messages and back, for every datatype; backends' answers; nothing but our errors on garbage."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol import rest_codec, rest_exact, rest_fast
from penstock_adapters.protocol.errors import BadBackendAnswer, InvalidArgument, PenstockError, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import (
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Signature,
    Tensor,
    TensorMetadata,
)
from penstock_adapters.protocol.validate import judge
from penstock_adapters.protocol.wire import RestWire
from tests.support.carriers import Plain, Request, requests, rest_binary, rest_json

JSON_ALL = RequestMessage("", ())
BINARY_ALL = RequestMessage("", (), binary_output=True)


def joined(wire: RestWire) -> RestWire:
    return RestWire((b"".join(wire.parts),), wire.header_length)


def message_of(request: Request) -> RequestMessage:
    return RequestMessage(
        request.id,
        tuple(Tensor(t.name, t.datatype, tuple(t.shape), t.raw()) for t in request.inputs),
        tuple(map(RequestedOutput, request.outputs)),
        request.parameters,
    )


@given(requests())
@settings(max_examples=80, deadline=None)
def test_what_is_encoded_is_decoded(request: Request) -> None:
    message = message_of(request)

    found, _ = rest_codec.decode_request(joined(rest_codec.encode_request(message)))

    assert found.inputs == message.inputs
    assert (found.id, dict(found.parameters)) == (message.id, dict(message.parameters))
    assert [output.name for output in found.outputs] == request.outputs
    assert rest_codec.all_binary(found)


@given(requests())
@settings(max_examples=80, deadline=None)
def test_clients_json_and_binary_are_decoded(request: Request) -> None:
    message = message_of(request)

    for wire in (rest_json(request), rest_binary(request)):
        assert rest_codec.decode_request(wire)[0] == message


@given(requests(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_answers_survive_json_and_binary(request: Request, binary: bool) -> None:
    tensors = tuple(Tensor(t.name, t.datatype, tuple(t.shape), t.raw()) for t in request.inputs)
    answer = ResponseMessage("m", "1", request.id, tensors, request.parameters)

    wire = rest_codec.encode_response(answer, BINARY_ALL if binary else JSON_ALL)

    json.loads(b"".join(wire.parts)[: wire.header_length], parse_constant=pytest.fail)
    assert rest_codec.decode_response(joined(wire)) == answer


@given(requests(), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=150, deadline=None)
def test_fast_and_exact_reading_agree_on_mutated_bodies(request: Request, rng: random.Random, binary: bool) -> None:
    wire = rest_binary(request) if binary else rest_json(request)
    body = bytearray(wire.parts[0])
    length = wire.header_length
    for _ in range(rng.randrange(3)):
        place = rng.randrange(length or len(body))
        body[place] = rng.choice(b'0:,"[]{}-.e19 \\tn\xff')
    mutated = RestWire((bytes(body),), length)
    text, rest = rest_exact.split(mutated, DEFAULT_LIMITS)
    fast = rest_fast.read(text, rest, binary=length is not None)
    try:
        exact: RequestMessage | None = judge(
            rest_exact.read_draft(text, rest, DEFAULT_LIMITS, binary=length is not None), None, DEFAULT_LIMITS
        )
    except PenstockError:
        exact = None

    if fast is not None and exact is not None:
        assert fast[0] == exact
    elif fast is not None:
        # What is not checked while reading must be refused by the validator, in the same words.
        with pytest.raises(PenstockError):
            judge(fast[0], None, DEFAULT_LIMITS)


@given(st.binary(max_size=64), st.one_of(st.none(), st.integers(-2, 70)))
@settings(max_examples=200, deadline=None)
def test_garbage_raises_only_our_errors(body: bytes, length: int | None) -> None:
    wire = RestWire((body,), length)
    with pytest.raises(PenstockError):
        rest_codec.decode_request(wire)
    with pytest.raises(BadBackendAnswer):
        rest_codec.decode_response(wire)


def plain(text: str, data: bytes = b"\x01\x02") -> bool:
    wire = RestWire((text.encode() + data,), len(text))
    return rest_codec.decode_request(wire)[1]


INPUT = '{"name":"x","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"inputs":[INPUT],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}', True),
        ('{"inputs":[INPUT],"parameters":{"binary_data_output":true}}', True),
        ('{"inputs":[INPUT],"parameters":{"binary_data_output":true,"mine":1},"id":"a:b"}', True),
        ('{"inputs":[INPUT]}', False),
        ('{"inputs":[INPUT],"outputs":[{"name":"y"}],"parameters":{"binary_data_output":true}}', False),
        ('{"inputs":[INPUT],"outputs":[{"name":"y","parameters":{"binary_data":false}}]}', False),
        (
            '{"inputs":[INPUT],"outputs":[{"name":"y","parameters":{"binary_data":true,"classification":2}}]}',
            False,
        ),
        ('{"inputs":[INPUT],"parameters":{"binary_data_output":true},"extra":1}', False),
        ('{"inputs":[INPUT],"parameters":{"binary_data_output":true},"model_name":"other"}', False),
    ],
)
def test_only_a_request_that_means_the_same_to_triton_is_plain(text: str, expected: bool) -> None:
    assert plain(text.replace("INPUT", INPUT)) is expected


def test_binary_tensors_are_slices_of_the_body() -> None:
    wire = rest_binary(Request([Plain("x", "UINT8", [3], [1, 2, 3])]))

    data = rest_codec.decode_request(wire)[0].inputs[0].data

    assert isinstance(data, memoryview)
    assert data.obj is wire.parts[0]


def test_sizes_over_the_caps_are_too_large() -> None:
    wire = rest_json(Request([Plain("x", "UINT8", [3], [1, 2, 3])]))

    for limits in (Limits(body=wire.size - 1), Limits(json=wire.size - 1)):
        with pytest.raises(TooLarge):
            rest_codec.decode_request(wire, limits)
        with pytest.raises(BadBackendAnswer):
            rest_codec.decode_response(wire, limits)


def test_a_raw_bytes_body_is_one_element() -> None:
    signature = Signature((TensorMetadata("t", "BYTES", (-1,)),), ())

    message = rest_codec.decode_raw(RestWire((b"he", b"llo"), 0), signature)

    assert message.inputs[0] == Tensor("t", "BYTES", (1,), b"\x05\0\0\0hello")


@pytest.mark.parametrize("metas", [(), ("x", "y")])
def test_a_raw_body_needs_exactly_one_input(metas: tuple[str, ...]) -> None:
    signature = Signature(tuple(TensorMetadata(name, "FP32", (1,)) for name in metas), ())
    with pytest.raises(InvalidArgument):
        rest_codec.decode_raw(RestWire((b"1234",), 0), signature)


def test_a_raw_body_fills_the_one_variable_dimension_of_a_batch_of_one() -> None:
    one = Signature((TensorMetadata("x", "INT16", (-1, 2, -1)),), (), max_batch_size=4)
    assert rest_codec.decode_raw(RestWire((bytes(12),), 0), one).inputs[0].shape == (1, 2, 3)

    unbatched = Signature((TensorMetadata("x", "INT16", (-1, 2, -1)),), ())
    with pytest.raises(InvalidArgument):
        rest_codec.decode_raw(RestWire((bytes(12),), 0), unbatched)
    with pytest.raises(TooLarge):
        rest_codec.decode_raw(RestWire((bytes(12),), 0), one, Limits(body=11))


ANSWERS = [
    '{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1,NaN]}]}',
    '{"model_name":"m","model_version":null,"id":null,"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"content_type":"np","nested":{}},"data":[[1,"NaN"]]}]}',
]


@pytest.mark.parametrize("text", ANSWERS)
def test_dialects_of_other_servers_are_read(text: str) -> None:
    tensor = rest_codec.decode_response(RestWire((text.encode(),))).outputs[0]

    assert bytes(tensor.data) == np.array([1, np.nan], "<f4").tobytes()
    assert "nested" not in tensor.parameters


@pytest.mark.parametrize(
    "output",
    [
        '{"name":"y","datatype":"FP32","shape":[2],"data":[1]}',
        '{"name":"y","datatype":"FP32","shape":[-1],"data":[1]}',
        '{"name":"y","datatype":"fp32","shape":[1],"data":[1]}',
        '{"name":"y","datatype":"FP32","shape":[1],"data":[null]}',
        '{"name":"y","datatype":"FP32","shape":[1]}',
        '{"name":"y","datatype":"INT8","shape":[1],"data":[300]}',
        '{"name":"y","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1}}',
        '{"datatype":"INT8","shape":[1],"data":[3]}',
    ],
)
def test_an_answer_that_contradicts_itself_is_the_backends_fault(output: str) -> None:
    with pytest.raises(BadBackendAnswer, match="digits"):
        rest_codec.decode_response(RestWire((b'{"outputs":[%b]}' % output.encode(),)), model="digits")


def test_left_over_bytes_of_an_answer_are_the_backends_fault() -> None:
    text = b'{"outputs":[]}'
    with pytest.raises(BadBackendAnswer, match="left over"):
        rest_codec.decode_response(RestWire((text + b"1",), len(text)))


def test_base64_answers_are_decoded() -> None:
    text = b'{"outputs":[{"name":"y","datatype":"BYTES","shape":[1],"parameters":{"content_type":"base64"},"data":["/w=="]}]}'

    tensor = rest_codec.decode_response(RestWire((text,))).outputs[0]

    assert (tensor.data, dict(tensor.parameters)) == (b"\x01\0\0\0\xff", {})
