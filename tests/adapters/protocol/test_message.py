"""Messages are values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from penstock_adapters.protocol.message import (
    NO_PARAMETERS,
    ModelMetadata,
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Signature,
    Tensor,
    TensorMetadata,
)

TENSOR = Tensor("x", "FP32", (1, 2), b"\0" * 8)
ROW = TensorMetadata("x", "FP32", (-1, 2))
VALUES: list[msgspec.Struct] = [
    TENSOR,
    RequestedOutput("y"),
    RequestMessage("1", (TENSOR,)),
    ResponseMessage("m", "1", "", (TENSOR,)),
    ROW,
    Signature((ROW,), (ROW,)),
    ModelMetadata("m", ("1",), "onnx_onnxv1", (ROW,), (ROW,)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_message_cannot_be_changed(value: msgspec.Struct) -> None:
    first: Any = value.__struct_fields__[0]

    with pytest.raises(AttributeError):
        setattr(value, first, "other")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_equal_contents_are_equal_messages(value: msgspec.Struct) -> None:
    copy = msgspec.structs.replace(value)

    assert copy == value
    assert copy is not value


def test_the_shared_empty_parameters_cannot_be_filled() -> None:
    shared: Any = NO_PARAMETERS

    with pytest.raises(TypeError):
        shared["priority"] = 1
    assert TENSOR.parameters is NO_PARAMETERS


def test_a_requested_output_leaves_its_form_to_the_request() -> None:
    output = RequestedOutput("y")

    assert (output.binary, output.classification, output.base64) == (None, 0, False)


def test_a_request_asks_for_all_outputs_as_json_unless_it_says_otherwise() -> None:
    request = RequestMessage("", (TENSOR,))

    assert request.outputs == ()
    assert request.binary_output is False


def test_data_may_be_a_view_into_the_wire_bytes() -> None:
    wire = b"header" + b"\1" * 8

    assert Tensor("x", "FP32", (2,), memoryview(wire)[6:]) == Tensor("x", "FP32", (2,), memoryview(b"\1" * 8))
