"""The classification extension (3.3, 6.11, 6.17)."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from penstock_adapters.protocol.classify import apply_classification, classified
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import (
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Signature,
    Tensor,
    TensorMetadata,
)
from penstock_adapters.protocol.tensors import from_array, to_array


def top(values: Any, count: int, *, batched: bool = False, labels: tuple[str, ...] = ()) -> list[str]:
    tensor = classified(from_array("y", np.array(values)), count, batched=batched, labels=labels)
    return [element.decode() for element in to_array(tensor).ravel()]


def test_the_highest_come_first_with_six_decimals() -> None:
    assert top(np.array([1, 3, 2], np.float32), 2) == ["3.000000:1", "2.000000:2"]


def test_integers_print_as_integers_to_the_ends_of_their_range() -> None:
    low, high = -(1 << 63), (1 << 63) - 1
    assert top(np.array([0, low, high], np.int64), 3) == [f"{high}:2", "0:0", f"{low}:1"]
    assert top(np.array([0, (1 << 64) - 1], np.uint64), 1) == [f"{(1 << 64) - 1}:1"]


def test_ties_go_to_the_lower_index_and_nan_sorts_last() -> None:
    assert top([1.0, 2.0, 2.0], 3) == ["2.000000:1", "2.000000:2", "1.000000:0"]
    assert top([math.nan, -math.inf, math.inf], 3) == ["inf:2", "-inf:1", "nan:0"]
    assert top(np.array([5, 5], np.uint8), 2) == ["5:0", "5:1"]


def test_half_floats_classify() -> None:
    assert top(np.array([1, 2], np.float16), 1) == ["2.000000:1"]
    assert top(np.array([1, 2], ml_dtypes.bfloat16), 1) == ["2.000000:1"]


def test_labels_follow_where_there_are_any() -> None:
    assert top([1.0, 2.0], 2, labels=("cat",)) == ["2.000000:1", "1.000000:0:cat"]


def test_n_is_cut_to_the_elements_there_are() -> None:
    assert top([1.0, 2.0], 9) == ["2.000000:1", "1.000000:0"]
    assert top(np.zeros((0,), np.float32), 9) == []


@pytest.mark.parametrize("array", [np.array([True]), np.array([b"a"], object)])
def test_bool_and_bytes_do_not_classify(array: Any) -> None:
    with pytest.raises(InvalidArgument):
        classified(from_array("y", array), 1, batched=False)


def test_the_elements_are_bounded() -> None:
    with pytest.raises(InvalidArgument):
        classified(Tensor("y", "UINT8", (1_000_001,), bytes(1_000_001)), 1, batched=False)


ROWS = from_array("y", np.array([[1, 2, 3], [6, 5, 4]], np.float32))
ANSWER = ResponseMessage("m", "1", "", (ROWS, from_array("z", np.array([1], np.int32))))


def asked(count: int) -> RequestMessage:
    return RequestMessage("", (), (RequestedOutput("y", classification=count), RequestedOutput("z")))


def test_a_batch_is_classified_row_by_row() -> None:
    found = apply_classification(ANSWER, asked(2)).outputs

    assert (found[0].datatype, found[0].shape) == ("BYTES", (2, 2))
    assert to_array(found[0]).tolist() == [[b"3.000000:2", b"2.000000:1"], [b"6.000000:0", b"5.000000:1"]]
    assert found[1] is ANSWER.outputs[1]


def test_without_a_variable_first_dimension_the_whole_output_is_one_row() -> None:
    fixed = Signature((), (TensorMetadata("z", "INT32", (1,)), TensorMetadata("y", "FP32", (2, 3))))
    assert apply_classification(ANSWER, asked(2), fixed).outputs[0].shape == (2,)
    batch = Signature((), (TensorMetadata("y", "FP32", (-1, 3)),))
    assert apply_classification(ANSWER, asked(1), batch, {"y": ["a"]}).outputs[0].shape == (2, 1)


def test_0_is_off() -> None:
    assert apply_classification(ANSWER, asked(0)) is ANSWER


def test_an_empty_batch_stays_empty() -> None:
    empty = ResponseMessage("m", "1", "", (Tensor("y", "FP32", (0, 3), b""),))
    found = apply_classification(empty, asked(2)).outputs[0]
    assert (found.shape, found.data) == ((0, 0), b"")
