"""What the shells stand on: the entry is a value, and the live plane is a data plane."""

from __future__ import annotations

import inspect
from math import inf
from typing import Any

import pytest

from penstock_adapters.protocol.body import ResponseBody
from penstock_adapters.protocol.message import ResponseMessage
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.live import LivePlane
from penstock_router.plane import DataPlane, Entry


async def answer(request: InferenceRequest) -> InferenceResponse:
    return InferenceResponse(ResponseBody(ResponseMessage(request.model_name, "1", "", ())))


def test_an_entry_promises_no_signature_and_no_time_limit_unless_it_says_so() -> None:
    entry = Entry("digits", "", answer)

    assert entry.signature is None
    assert entry.timeout_s == inf


def test_an_entry_is_a_value() -> None:
    entry: Any = Entry("digits", "1", answer)

    with pytest.raises(AttributeError):
        entry.version = "2"


def test_nothing_a_shell_asks_waits_for_anybody() -> None:
    asked = [name for name in vars(DataPlane) if not name.startswith("_")]

    assert len(asked) >= 8
    for name in asked:
        method = getattr(LivePlane, name)
        assert not inspect.iscoroutinefunction(method), name
