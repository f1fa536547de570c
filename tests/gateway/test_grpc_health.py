"""Watching a state: now, and each time it changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock_adapters.protocol.errors import NotFound, RateLimited
from penstock_adapters.protocol.messages import HEALTH_METHODS
from penstock_gateway import grpc_health
from penstock_gateway.grpc_health import NOT_SERVING, SERVICE_UNKNOWN, SERVING, GrpcHealth
from tests.support.plane import MODELS, MemoryPlane

Request = HEALTH_METHODS["Check"].request
Response = HEALTH_METHODS["Check"].response


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_health, "WATCH_S", 0.005)


async def next_status(watch: Any) -> int:
    async with asyncio.timeout(5):
        found: int = Response.FromString(await anext(watch)).status
    return found


async def test_only_changes_are_sent() -> None:
    plane = MemoryPlane()
    watch = GrpcHealth(plane).watch(Request())
    assert await next_status(watch) == SERVING
    plane.not_ready_reason = "draining"
    assert await next_status(watch) == NOT_SERVING
    plane.not_ready_reason = ""
    assert await next_status(watch) == SERVING


async def test_an_unknown_model_may_become_known() -> None:
    plane = MemoryPlane({})
    watch = GrpcHealth(plane).watch(Request(service="digits"))
    assert await next_status(watch) == SERVICE_UNKNOWN
    plane.adapter.models.update(MODELS)
    assert await next_status(watch) == SERVING


async def test_watchers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_health, "WATCHERS_MAX", 1)
    health = GrpcHealth(MemoryPlane())
    first = health.watch(Request())
    await next_status(first)
    with pytest.raises(RateLimited):
        await next_status(health.watch(Request()))
    await first.aclose()

    assert await next_status(health.watch(Request())) == SERVING


def test_a_check_of_nothing_known_is_not_found() -> None:
    with pytest.raises(NotFound):
        GrpcHealth(MemoryPlane()).check(Request(service="nothing"))


def test_the_list_shows_the_server() -> None:
    plane = MemoryPlane()
    plane.not_ready_reason = "not_loaded_yet"

    statuses = GrpcHealth(plane).list(None).statuses
    assert {name: row.status for name, row in statuses.items()} == {
        "": NOT_SERVING,
        "inference.GRPCInferenceService": NOT_SERVING,
    }
