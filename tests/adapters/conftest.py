"""The hot-path client runs on both event loops: their transports differ in what they do at the edges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

BOTH_LOOPS = {"test_http1.py", "test_http1_connection.py", "test_triton_grpc.py"}
UVLOOP = {"test_triton.py"}
"""What needs a while runs on the loop that serves."""


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001  (pytest-asyncio's signature)
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name in BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    if item.path.name in UVLOOP:
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
