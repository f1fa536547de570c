"""A case asks what it says, and its samples are worth comparing."""

from __future__ import annotations

import asyncio
from math import inf

import pytest

from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.message import Tensor
from penstock_adapters.protocol.tensors import to_array
from penstock_adapters.testing.cases import Case, bits, request_for, sample


@pytest.mark.parametrize("datatype", DATATYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_a_sample_has_the_datatype_and_shape_asked_for(datatype: str, shape: tuple[int, ...]) -> None:
    tensor = sample(datatype, shape)

    assert (tensor.datatype, tensor.shape) == (datatype, shape)
    assert to_array(tensor).shape == shape


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"BOOL"}))
def test_the_elements_of_a_sample_differ_so_that_a_mix_up_is_seen(datatype: str) -> None:
    elements = to_array(sample(datatype, (2, 3))).ravel().tolist()

    assert len(set(elements)) == 6


async def test_a_request_asks_the_case_within_the_time_given() -> None:
    case = Case("m", "1", (sample("FP32", (2, 3)),), {})

    request = request_for(case, request_id="7", outputs=("y",), within_s=5.0, caller_deadline=True)

    message = request.body.message
    assert (request.model_name, request.model_version, message.id) == ("m", "1", "7")
    assert [output.name for output in message.outputs] == ["y"]
    assert 0 < request.deadline - asyncio.get_running_loop().time() <= 5.0
    assert request.caller_deadline
    assert request.headers.get("anything", "none") == "none"


async def test_a_request_without_limits_has_none() -> None:
    request = request_for(Case("m", "1", (sample("FP32", (2, 3)),), {}), version="2")

    assert request.deadline == inf
    assert request.model_version == "2"
    assert request.body.message.binary_output


def test_bits_are_compared_whatever_holds_them() -> None:
    assert bits(Tensor("x", "UINT8", (2,), memoryview(b"ab"))) == bits(Tensor("y", "UINT8", (2,), b"ab"))
