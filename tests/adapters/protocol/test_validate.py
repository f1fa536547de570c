"""The validator: rules of 6.5, 6.6, 6.8, 6.11 and 6.17 by name, and what a backend may answer."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from penstock_adapters.protocol.errors import BadBackendAnswer, PenstockError, TooLarge, Unimplemented
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import (
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Signature,
    Tensor,
    TensorMetadata,
)
from penstock_adapters.protocol.tensors import join_bytes
from penstock_adapters.protocol.validate import validate_request, validate_response

X = TensorMetadata("x", "FP32", (-1, 2))
FLAG = TensorMetadata("flag", "BOOL", (1,), optional=True)
TEXT = TensorMetadata("text", "BYTES", (-1,), optional=True)
Y = TensorMetadata("y", "FP32", (-1, 2))
LABEL = TensorMetadata("label", "BYTES", (-1,))
SIGNATURE = Signature((X, FLAG, TEXT), (Y, LABEL), max_batch_size=2)
GOOD = Tensor("x", "FP32", (1, 2), bytes(8))


def check(
    *tensors: Tensor,
    signature: Signature | None = SIGNATURE,
    limits: Limits = DEFAULT_LIMITS,
    streaming: bool = False,
    **fields: Any,
) -> str:
    """The reason a request is refused for, "" = it is not."""
    message = RequestMessage(fields.pop("id", ""), tensors, fields.pop("outputs", ()), **fields)
    try:
        validate_request(message, signature, limits, streaming=streaming)
    except PenstockError as error:
        return error.reason
    return ""


def x(**fields: Any) -> Tensor:
    return msgspec.structs.replace(GOOD, **fields)


def flag(data: bytes = b"\1", shape: tuple[int, ...] = (1,)) -> Tensor:
    return Tensor("flag", "BOOL", shape, data)


def text(*elements: bytes) -> Tensor:
    return Tensor("text", "BYTES", (len(elements),), join_bytes(elements))


def test_a_good_request_passes_with_and_without_a_signature() -> None:
    for signature in (SIGNATURE, Signature((X,), (Y,)), None):
        assert check(GOOD, signature=signature) == ""
    assert check(flag(), text(b"a", b""), GOOD, outputs=(RequestedOutput("y"),)) == ""
    assert check(GOOD, flag(), text(b"a"), outputs=(RequestedOutput("label"), RequestedOutput("y"))) == ""


def test_inputs_match_by_name_in_any_order() -> None:
    both = Signature((X, msgspec.structs.replace(FLAG, optional=False)), ())
    assert check(flag(), GOOD, signature=both) == ""
    assert check(GOOD, flag(), signature=both) == ""


def test_names_are_known_once_and_complete() -> None:
    assert check(x(name="nope")) == "input_unknown"
    assert check(GOOD, GOOD) == "input_duplicate"
    assert check(GOOD, GOOD, signature=None) == "input_duplicate"
    assert check(flag()) == "input_missing"
    assert check() == "input_missing"
    assert check(signature=None) == "inputs_empty"
    assert check(signature=Signature((), ())) == ""
    assert check(signature=Signature((FLAG,), ())) == ""


def test_tensor_names_are_1_to_1024_bytes() -> None:
    assert check(x(name=""), signature=None) == "tensor_name"
    assert check(x(name="é" * 513), signature=None) == "tensor_name"
    assert check(x(name="é" * 512), signature=None) == ""
    assert check(GOOD, outputs=(RequestedOutput(""),)) == "tensor_name"


def test_requested_outputs_are_known_and_unique() -> None:
    assert check(GOOD, outputs=(RequestedOutput("z"),)) == "output_unknown"
    assert check(GOOD, outputs=(RequestedOutput("y"), RequestedOutput("y"))) == "output_duplicate"
    assert check(GOOD, signature=None, outputs=(RequestedOutput("z"),)) == ""
    assert check(GOOD, signature=Signature((X,), ()), outputs=(RequestedOutput("z"),)) == ""


def test_datatype_names_are_exact_and_never_cast() -> None:
    assert check(x(datatype="fp32")) == "datatype_unknown"
    assert check(x(datatype="STRING"), signature=None) == "datatype_unknown"
    assert check(x(datatype="INT32")) == "datatype_mismatch"


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((-1, 2), "shape_invalid"),
        ((2,), "shape_mismatch"),
        ((1, 2, 1), "shape_mismatch"),
        ((1, 3), "shape_mismatch"),
        ((3, 2), "batch_too_large"),
        ((2, 2), "element_count"),
        ((1,) * 33, "rank_too_large"),
        ((1 << 28, 2), "shape_too_large"),
        ((1 << 32, 1 << 32), "shape_too_large"),
        ((0, 1 << 29), "shape_too_large"),
    ],
)
def test_shapes_are_whole_numbers_that_fit_the_signature(shape: tuple[int, ...], reason: str) -> None:
    assert check(x(shape=shape)) == reason


def test_rank_and_fixed_dimensions_are_free_without_a_signature() -> None:
    assert check(x(shape=(1,) * 31 + (2,)), signature=None) == ""
    assert check(x(shape=(1,) * 32 + (2,)), signature=None) == "rank_too_large"


def test_a_zero_in_the_shape_needs_no_data() -> None:
    assert check(x(shape=(0, 2), data=b"")) == ""
    assert check(x(shape=(0, 2))) == "element_count"


def test_a_scalar_has_one_element() -> None:
    assert check(x(shape=(), data=bytes(4)), signature=None) == ""
    assert check(x(shape=(), data=b""), signature=None) == "element_count"


def test_counts_in_messages_are_elements() -> None:
    with pytest.raises(PenstockError, match=r"needs 2 elements, but 1 are"):
        validate_request(RequestMessage("", (x(data=bytes(4)),)), SIGNATURE)
    with pytest.raises(PenstockError, match=r"but 1 and a part are"):
        validate_request(RequestMessage("", (x(data=bytes(5)),)), SIGNATURE)


def test_a_boolean_byte_is_0_or_1() -> None:
    assert check(GOOD, flag(b"\2")) == "element_invalid"
    many = Signature((TensorMetadata("flag", "BOOL", (-1,)),), ())
    assert check(flag(bytes(99), (99,)), signature=many) == ""
    assert check(flag(bytes(99) + b"\3", (100,)), signature=many) == "element_invalid"


def test_bytes_are_walked_prefix_by_prefix() -> None:
    assert check(GOOD, Tensor("text", "BYTES", (1,), b"\2\0\0\0a")) == "bytes_malformed"
    assert check(GOOD, Tensor("text", "BYTES", (2,), b"\1\0\0\0a")) == "element_count"


def test_a_flood_of_elements_is_named_without_counting_it() -> None:
    flood = Tensor("text", "BYTES", (1,), bytes(4 * (1 << 20) + 400))
    with pytest.raises(PenstockError, match="more than 1048576"):
        validate_request(RequestMessage("", (GOOD, flood)), SIGNATURE)


def test_bytes_elements_of_a_request_are_capped() -> None:
    limits = Limits(bytes_elements=1)
    assert check(GOOD, text(b"a"), limits=limits) == ""
    assert check(GOOD, text(b"a", b"b"), limits=limits) == "too_many"


def test_bytes_that_are_not_text_are_refused_where_the_model_takes_text() -> None:
    signature = msgspec.structs.replace(SIGNATURE, text_inputs=frozenset({"text"}))
    assert check(GOOD, text(b"\xff")) == ""
    assert check(GOOD, text(b"\xff"), signature=signature) == "bytes_not_text"
    assert check(GOOD, text("é".encode()), signature=signature) == ""


def test_counts_are_capped() -> None:
    limits = Limits(inputs=1, outputs=1, parameters=1, parameter_key=2, parameter_value=2, id=2)
    assert check(GOOD, flag(), limits=limits) == "too_many"
    assert check(GOOD, outputs=(RequestedOutput("y"), RequestedOutput("label")), limits=limits) == "too_many"
    assert check(GOOD, parameters={"a": 1, "b": 1}, limits=limits) == "too_many"
    assert check(x(parameters={"a": 1, "b": 1}), limits=limits) == "too_many"
    assert check(GOOD, parameters={"abc": 1}, limits=limits) == "too_long"
    assert check(GOOD, parameters={"a": "abc"}, limits=limits) == "too_long"
    assert check(GOOD, id="abc", limits=limits) == "too_long"
    assert check(GOOD, id="éé", limits=limits) == "too_long"
    assert check(GOOD, id="ab", limits=limits) == ""


def test_tensors_over_the_body_cap_are_too_large() -> None:
    message = RequestMessage("", (GOOD, flag()))
    validate_request(message, SIGNATURE, Limits(body=9))
    with pytest.raises(TooLarge):
        validate_request(message, SIGNATURE, Limits(body=8))


def test_shared_memory_is_not_offered_and_comes_before_every_other_fault() -> None:
    shared = {"shared_memory_region": "r"}
    with pytest.raises(Unimplemented):
        validate_request(RequestMessage("", (x(name="nope", parameters=shared),)), SIGNATURE)
    assert check(GOOD, outputs=(RequestedOutput("y", parameters=shared),)) == "extension_unsupported"


def test_reserved_parameters_cannot_be_set() -> None:
    assert check(GOOD, parameters={"triton_x": 1}) == "parameter_reserved"
    assert check(GOOD, parameters={"headers": "h"}) == "parameter_reserved"
    stream = {"triton_enable_empty_final_response": True}
    assert check(GOOD, parameters=stream) == "parameter_reserved"
    assert check(GOOD, parameters=stream, streaming=True) == ""


def test_structure_is_judged_before_tensors_and_tensors_in_request_order() -> None:
    assert check(x(name="nope"), parameters={"priority": -1}) == "parameter_invalid"
    assert check(x(shape=(1, 3)), Tensor("nope", "FP32", (), b"")) == "shape_mismatch"
    assert check(x(name="nope", datatype="?", shape=(-1,))) == "input_unknown"
    assert check(x(datatype="?", shape=(-1,))) == "datatype_unknown"
    assert check(x(shape=(1, 3), data=b"")) == "shape_mismatch"
    assert check(x(data=b""), outputs=(RequestedOutput("z"),)) == "element_count"


def test_classification_needs_numbers() -> None:
    assert check(GOOD, outputs=(RequestedOutput("y", classification=2),)) == ""
    assert check(GOOD, outputs=(RequestedOutput("label", classification=2),)) == "classification_invalid"


def test_what_is_not_certainly_good_is_judged_exactly() -> None:
    one = Signature((X,), (Y,), max_batch_size=2)
    assert check(x(shape=(4, 2), data=bytes(32)), signature=one) == "batch_too_large"
    assert check(GOOD, signature=one, outputs=(RequestedOutput("y", parameters={"k": 1}),)) == ""
    assert check(GOOD, signature=one, outputs=(RequestedOutput("y"), RequestedOutput("y"))) == "output_duplicate"
    flags = Signature((TensorMetadata("flag", "BOOL", (-1,)),), ())
    assert check(flag(b"\0\1\1", (3,)), signature=flags) == ""
    assert check(flag(b"\0\1\2", (3,)), signature=flags) == "element_invalid"


REQUEST = RequestMessage("7", (GOOD,))
YS = Tensor("y", "FP32", (1, 2), np.array([1, 2], "<f4").tobytes())
LABELS = Tensor("label", "BYTES", (1,), join_bytes([b"a"]))
ANSWER = ResponseMessage("m", "1", "7", (YS, LABELS))


def problem(answer: ResponseMessage, request: RequestMessage = REQUEST, signature: Signature | None = SIGNATURE) -> str:
    try:
        validate_response(answer, request, signature, model="digits")
    except BadBackendAnswer as error:
        return error.text.removeprefix("the backend's answer for model 'digits' is unusable: ")
    return ""


def test_a_good_answer_passes() -> None:
    assert problem(ANSWER) == ""
    assert problem(ANSWER, signature=None) == ""
    asked = msgspec.structs.replace(REQUEST, outputs=(RequestedOutput("y"),))
    assert problem(msgspec.structs.replace(ANSWER, outputs=(YS,)), asked) == ""
    assert problem(msgspec.structs.replace(ANSWER, id="made-up"), RequestMessage("", (GOOD,))) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "8"}, "id"),
        ({"outputs": (YS,)}, "'label' is missing"),
        ({"outputs": ()}, "is missing"),
        ({"outputs": (YS, LABELS, YS)}, "comes twice"),
        ({"outputs": (YS, LABELS, msgspec.structs.replace(YS, name="z"))}, "not asked for"),
        ({"outputs": (msgspec.structs.replace(YS, datatype="INT32"), LABELS)}, "datatype"),
        ({"outputs": (msgspec.structs.replace(YS, datatype="?"), LABELS)}, "datatype"),
        ({"outputs": (msgspec.structs.replace(YS, shape=(2,)), LABELS)}, "shape"),
        ({"outputs": (msgspec.structs.replace(YS, shape=(-1, 2)), LABELS)}, "shape"),
        ({"outputs": (msgspec.structs.replace(YS, shape=(2, 2)), LABELS)}, "elements"),
        ({"outputs": (msgspec.structs.replace(YS, data=b"1"), LABELS)}, "elements"),
        ({"outputs": (YS, msgspec.structs.replace(LABELS, data=b"\1\0\0\0"))}, "malformed"),
    ],
)
def test_a_bad_answer_is_the_backends_fault(change: dict[str, Any], said: str) -> None:
    assert said in problem(msgspec.structs.replace(ANSWER, **change))


def test_outputs_that_were_not_asked_for_are_refused() -> None:
    asked = msgspec.structs.replace(REQUEST, outputs=(RequestedOutput("y"),))
    assert "not asked for" in problem(ANSWER, asked)
    assert "'y' is missing" in problem(msgspec.structs.replace(ANSWER, outputs=()), asked, None)
