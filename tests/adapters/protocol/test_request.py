"""Requests and responses are values that layers replace, never change."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec
import pytest

from penstock_adapters.protocol.body import RequestBody, ResponseBody
from penstock_adapters.protocol.message import RequestMessage, ResponseMessage, Tensor
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from tests.support.headers import Given

TENSOR = Tensor("x", "FP32", (1,), b"\0\0\0\0")


def a_request() -> InferenceRequest:
    return InferenceRequest("digits", RequestBody(message=RequestMessage("1", (TENSOR,))), Given(x_user="ann"))


def test_a_request_says_nothing_about_what_the_caller_left_open() -> None:
    request = a_request()

    assert request.model_version == ""
    assert request.deadline == inf
    assert request.caller_deadline is False
    assert request.principal == ""


def test_a_layer_makes_a_new_request_and_the_body_is_shared() -> None:
    request = a_request()

    changed = msgspec.structs.replace(request, model_name="digits-remote", model_version="3")

    assert (request.model_name, request.model_version) == ("digits", "")
    assert changed.body is request.body


def test_neither_can_be_changed_in_place() -> None:
    response = InferenceResponse(ResponseBody(ResponseMessage("digits", "1", "", (TENSOR,))))
    values: list[tuple[Any, str]] = [(a_request(), "model_name"), (response, "served_by")]

    for value, name in values:
        with pytest.raises(AttributeError):
            setattr(value, name, "other")


def test_a_response_is_whole_unless_it_says_otherwise() -> None:
    response = InferenceResponse(ResponseBody(ResponseMessage("digits", "1", "", (TENSOR,))))

    assert (response.served_by, response.degraded) == ("", "")
