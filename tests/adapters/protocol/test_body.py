"""One verdict (6.1): however a request is carried, the same answer or the same refusal."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol import rest_codec
from penstock_adapters.protocol.body import RequestBody, ResponseBody, RestWire
from penstock_adapters.protocol.errors import InvalidArgument, PenstockError
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import (
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Signature,
    Tensor,
    TensorMetadata,
)
from penstock_adapters.protocol.parameters import timeout_us
from tests.support.carriers import Plain, Request, carriers, requests, rest_json

SIGNATURE = Signature(
    (
        TensorMetadata("x", "FP32", (-1, 2)),
        TensorMetadata("flag", "BOOL", (1,), optional=True),
        TensorMetadata("text", "BYTES", (-1,), optional=True),
    ),
    (TensorMetadata("y", "FP32", (-1, 3)), TensorMetadata("label", "BYTES", (-1,))),
    max_batch_size=2,
    text_inputs=frozenset({"text"}),
)


def body_of(carried: Any) -> RequestBody:
    return RequestBody(rest=carried) if isinstance(carried, RestWire) else RequestBody(grpc=carried)


def verdict(carried: Any, signature: Signature | None) -> tuple[Any, ...]:
    """What becomes of a request: its refusal, or everything that reaches the model."""
    try:
        message = body_of(carried).check(signature)
    except PenstockError as error:
        return error.code, error.reason, error.text
    tensors = [(t.name, t.datatype, t.shape, bytes(t.data), dict(t.parameters)) for t in message.inputs]
    return message.id, tensors, [output.name for output in message.outputs], dict(message.parameters)


@given(requests())
@settings(max_examples=60, deadline=None)
def test_a_good_request_means_the_same_in_every_carrier(request: Request) -> None:
    verdicts = {name: verdict(carried, None) for name, carried in carriers(request).items()}

    assert all(found == verdicts["raw"] for found in verdicts.values()), verdicts
    if request.inputs:
        assert len(verdicts["raw"]) == 4, "refused"


names = st.sampled_from(["x", "flag", "text", "nope", "", "n" * 1025])
datatypes = st.sampled_from(["FP32", "BOOL", "BYTES", "FP64", "INT8", "fp32", ""])
shapes = st.lists(st.sampled_from([1, 2, 3, 0, -1, 1 << 29]), max_size=3)


@st.composite
def odd_tensors(draw: st.DrawFn) -> Plain:
    datatype = draw(datatypes)
    pools: dict[str, list[Any]] = {"BYTES": [b"", b"a", b"\xff"], "BOOL": [0, 1, 2]}
    pool = pools.get(datatype, [1, 2])
    count = draw(st.sampled_from([0, 1, 2, 4])) if datatype not in {"fp32", ""} else 0
    return Plain(draw(names), datatype, draw(shapes), [draw(st.sampled_from(pool)) for _ in range(count)])


good_x = st.sampled_from([Plain("x", "FP32", [1, 2], [1.0, 2.0]), Plain("x", "FP32", [2, 2], [1.0, 2.0, 3.0, 4.0])])
odd_parameters = st.dictionaries(
    st.sampled_from(
        ["timeout", "sequence_id", "sequence_start", "triton_x", "headers", "shared_memory_region", "mine"]
    ),
    st.sampled_from([True, -1, 7, "s", 1.5]),
    max_size=2,
)


@given(
    st.builds(
        Request,
        st.lists(st.one_of(good_x, odd_tensors()), max_size=3),
        st.lists(st.sampled_from(["y", "label", "z"]), max_size=2),
        st.sampled_from(["", "a", "a" * 1025]),
        st.one_of(st.just({}), odd_parameters),
    )
)
@settings(max_examples=300, deadline=None)
def test_a_bad_request_is_refused_with_the_same_words_in_every_carrier(request: Request) -> None:
    for signature in (SIGNATURE, None):
        verdicts = {name: verdict(carried, signature) for name, carried in carriers(request).items()}

        assert all(found == verdicts["raw"] for found in verdicts.values()), verdicts


def test_of_several_faults_the_first_tensors_name_is_named_before_the_seconds_text() -> None:
    wire = rest_json(Request([Plain("nope", "FP32", [1], [1.0]), Plain("x", "FP32", [1, 2], ["a", 2])]))

    with pytest.raises(InvalidArgument) as caught:
        RequestBody(rest=wire).check(SIGNATURE)

    assert caught.value.reason == "input_unknown"


def test_parameters_of_an_unreadable_request_are_none_and_check_says_why() -> None:
    body = RequestBody(rest=RestWire((b'{"inputs":1}',)))

    assert dict(body.parameters) == {}
    with pytest.raises(InvalidArgument):
        body.check(None)


def test_parameters_are_readable_before_the_tensors_are_judged() -> None:
    bad = rest_json(Request([Plain("x", "FP32", [1], ["a"])], parameters={"timeout": 7}))
    good = rest_json(Request([Plain("x", "FP32", [1], [1.0])], parameters={"timeout": 7}))

    for wire in (bad, good):
        assert timeout_us(RequestBody(rest=wire)) == 7


def test_a_message_read_exactly_is_kept() -> None:
    body = RequestBody(rest=RestWire((b'{"inputs":[{"name":"x","shape":[1.0,2],"datatype":"FP32","data":[-0,1]}]}',)))

    assert body.message is body.message
    assert body.check(SIGNATURE) is body.message
    assert body.grpc("m", "2").raw_input_contents[0] == np.array([-0.0, 1], "<f4").tobytes()


def test_a_plain_binary_request_is_forwarded_as_it_came() -> None:
    text = b'{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}}]}'
    wire = RestWire((text + b"\x01\x02",), len(text))

    assert RequestBody(rest=wire).rest() is wire


def test_a_json_request_is_sent_on_as_binary() -> None:
    wire = rest_json(Request([Plain("x", "FP32", [2], [1.0, 2.0])]))

    sent = RequestBody(rest=wire).rest()

    assert sent.header_length == len(sent.parts[0])
    assert b"".join(sent.parts[1:]) == np.array([1, 2], "<f4").tobytes()
    assert RequestBody(rest=sent).message.inputs == RequestBody(rest=wire).message.inputs


def test_a_raw_body_needs_the_signature() -> None:
    one = Signature((TensorMetadata("x", "FP32", (-1, 2)),), (), max_batch_size=0)
    body = RequestBody(rest=RestWire((np.arange(4, dtype="<f4").tobytes(),), 0))

    with pytest.raises(InvalidArgument):
        body.check(None)
    with pytest.raises(InvalidArgument):
        body.check(SIGNATURE)
    assert body.check(one).inputs[0].shape == (2, 2)
    assert body.message.binary_output


Y = Tensor("y", "FP32", (1, 3), np.array([1, 3, 2], "<f4").tobytes())
LABEL = Tensor("label", "BYTES", (1,), b"\x01\0\0\0a")
ANSWER = ResponseMessage("m", "1", "", (Y, LABEL))


def test_an_answer_asked_for_in_binary_is_forwarded_as_it_came() -> None:
    wire = RestWire((b"x",), 1)
    body = ResponseBody(ANSWER, rest=wire)

    assert body.rest(RequestMessage("", (), binary_output=True)) is wire
    assert body.rest(RequestMessage("", ())) is not wire
    assert body.renamed("m", "1") is body
    assert body.renamed("other", "1").message.model_name == "other"


def test_outputs_come_in_the_requested_order() -> None:
    request = RequestMessage("", (), (RequestedOutput("label", True), RequestedOutput("y", True)))
    body = ResponseBody(ANSWER, rest=RestWire((b"x",), 1))

    assert [output.name for output in body.grpc(request).outputs] == ["label", "y"]
    assert body.rest(request).parts[0] != b"x"


def test_classification_is_applied_whatever_the_carrier() -> None:
    request = RequestMessage("", (), (RequestedOutput("y", classification=2),))
    body = ResponseBody(ResponseMessage("m", "1", "", (Y,)))

    assert b'["3.000000:1","2.000000:2"]' in body.rest(request).parts[0]
    assert body.grpc(request).outputs[0].datatype == "BYTES"
    assert body.grpc().outputs[0].datatype == "FP32"


def test_much_json_is_heavy_until_it_is_read_and_binary_never_is() -> None:
    text = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[60000],"data":[' + b"1.25," * 59_999 + b"1]}]}"
    body = RequestBody(rest=RestWire((text,)))
    heavy = [body.heavy]
    assert body.check(None).inputs[0].shape == (60_000,)
    heavy.append(body.heavy)
    assert heavy == [True, False]
    head = b'{"inputs":[{"name":"x","datatype":"UINT8","shape":[300000],"parameters":{"binary_data_size":300000}}]}'
    assert not RequestBody(rest=RestWire((head + bytes(300_000),), len(head))).heavy
    assert not RequestBody(rest=RestWire((b"{}",))).heavy


def test_what_cannot_be_read_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[RestWire] = []
    read_request = rest_codec.read_request

    def read(wire: RestWire, limits: Limits) -> object:
        reads.append(wire)
        return read_request(wire, limits)

    monkeypatch.setattr(rest_codec, "read_request", read)
    body = RequestBody(rest=RestWire((b'{"inputs": nonsense',)))
    assert not body.parameters
    assert not body.parameters
    with pytest.raises(InvalidArgument):
        body.check(None)
    assert len(reads) == 1


@pytest.mark.parametrize("first", [("parameters", "check"), ("check", "check"), ("parameters", "parameters", "check")])
def test_a_refused_request_leaves_nothing_for_the_garbage_collector(first: tuple[str, ...]) -> None:
    """An error that its own traceback leads back to would keep the whole body until the next collection."""

    def refuse() -> None:
        body = RequestBody(rest=RestWire((b'{"inputs":[{',)))
        for what in first:
            with contextlib.suppress(InvalidArgument):
                _ = body.parameters if what == "parameters" else body.check(None)

    refuse()
    gc.collect()
    gc.disable()
    try:
        refuse()
        assert gc.collect() == 0
    finally:
        gc.enable()
