"""Parameters (6.11)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import InvalidArgument, Unimplemented
from penstock_adapters.protocol.limits import DEFAULT_LIMITS
from penstock_adapters.protocol.message import ParameterValue, RequestMessage
from penstock_adapters.protocol.messages import ModelInferRequest
from penstock_adapters.protocol.parameters import (
    byte_length,
    check_extensions,
    check_reserved,
    check_values,
    from_json,
    from_proto,
    sequence_id,
    timeout_us,
    to_proto,
)

values = st.one_of(
    st.text(max_size=4),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=4))
@settings(max_examples=80, deadline=None)
def test_protobuf_carries_every_value(parameters: dict[str, ParameterValue]) -> None:
    check_values(parameters, DEFAULT_LIMITS)
    message = ModelInferRequest()
    to_proto(parameters, message.parameters)
    found = from_proto(ModelInferRequest.FromString(message.SerializeToString()).parameters)

    assert found == parameters
    assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in parameters.items()}


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1, math.nan, math.inf, -math.inf])
def test_values_fit_64_bits_or_a_finite_double(value: ParameterValue) -> None:
    with pytest.raises(InvalidArgument):
        check_values({"a": value}, DEFAULT_LIMITS)


@pytest.mark.parametrize("value", [None, [], {}, ["a"]])
def test_json_values_no_other_carrier_could_hold_are_refused(value: object) -> None:
    with pytest.raises(InvalidArgument):
        from_json({"a": value}, "")


def test_no_parameters_are_no_parameters() -> None:
    assert from_json(None, "") == from_json({}, "") == from_proto(ModelInferRequest().parameters) == {}


@pytest.mark.parametrize(
    ("parameters", "good"),
    [
        ({"priority": 0}, True),
        ({"priority": 1 << 63}, True),
        ({"priority": -1}, False),
        ({"priority": "1"}, False),
        ({"priority": 1.0}, False),
        ({"priority": True}, False),
        ({"timeout": 0}, True),
        ({"timeout": -1}, False),
        ({"timeout": "1"}, False),
        ({"sequence_id": 7}, True),
        ({"sequence_id": "a"}, True),
        ({"sequence_id": -7}, False),
        ({"sequence_id": 7.0}, False),
        ({"sequence_id": True}, False),
        ({"sequence_start": True}, False),
        ({"sequence_start": True, "sequence_id": 0}, False),
        ({"sequence_end": True, "sequence_id": ""}, False),
        ({"sequence_start": False}, True),
        ({"sequence_start": True, "sequence_end": True, "sequence_id": 7}, True),
        ({"sequence_start": 1, "sequence_id": 7}, False),
        ({"triton_enable_empty_final_response": True}, False),
        ({"mine": "anything"}, True),
    ],
)
def test_parameters_that_mean_something_have_their_type(parameters: dict[str, Any], good: bool) -> None:
    if good:
        check_reserved(parameters, streaming=False)
    else:
        with pytest.raises(InvalidArgument):
            check_reserved(parameters, streaming=False)


def test_the_empty_final_response_is_a_boolean_on_streams() -> None:
    check_reserved({"triton_enable_empty_final_response": False}, streaming=True)
    with pytest.raises(InvalidArgument):
        check_reserved({"triton_enable_empty_final_response": 1}, streaming=True)
    with pytest.raises(InvalidArgument):
        check_reserved({"triton_final_response": True}, streaming=True)


def test_shared_memory_is_not_offered() -> None:
    check_extensions({"memory": "r"})
    with pytest.raises(Unimplemented):
        check_extensions({"shared_memory_region": "r"})


def test_of_two_faults_the_first_by_name_is_named() -> None:
    with pytest.raises(InvalidArgument, match="'a'"):
        check_values({"b": math.nan, "a": math.nan}, DEFAULT_LIMITS)


def message(**parameters: ParameterValue) -> RequestMessage:
    return RequestMessage("", (), parameters=parameters)


def test_the_timeout_is_microseconds_and_0_is_none() -> None:
    assert timeout_us(message(timeout=1500)) == 1500
    assert timeout_us(message()) == timeout_us(message(timeout=0)) == 0
    for bad in (-1, "1", 1.5, True):
        with pytest.raises(InvalidArgument):
            timeout_us(message(timeout=bad))


def test_a_sequence_is_named_by_a_string_or_a_number() -> None:
    assert sequence_id(message(sequence_id="a")) == "a"
    assert sequence_id(message(sequence_id=7)) == 7
    assert sequence_id(message(sequence_id=0)) == sequence_id(message(sequence_id="")) == sequence_id(message()) == ""


def test_lengths_are_bytes() -> None:
    assert byte_length("é") == 2
    assert byte_length("e") == 1
