from __future__ import annotations

import asyncio

import pytest

from penstock_adapters.fake import SIGNATURE, Fault
from penstock_adapters.protocol.errors import Internal
from penstock_adapters.protocol.message import Signature, TensorMetadata
from penstock_router.layers.counted import counted, has_batch
from penstock_router.service import stack
from penstock_router.stats import VersionStats
from tests.support.park import Park, ask
from tests.support.polling import eventually


async def test_success_and_failure_are_counted_apart() -> None:
    stats, fake = VersionStats(), Park("m@1").at("")
    service = stack(fake.infer, counted(stats, lambda: SIGNATURE))
    await service(ask("m", "1"))
    fake.fault = Fault(error=Internal("model_failed", model="m"))
    with pytest.raises(Internal):
        await service(ask("m", "1"))
    assert (stats.success_count, stats.fail_count, stats.inferences) == (1, 1, 1)
    assert stats.success_ns > 0
    assert stats.last_ms > 0


async def test_a_cancelled_call_is_a_failure() -> None:
    stats, fake = VersionStats(), Park("m@1").at("")
    fake.fault = Fault(delay_s=60)
    service = stack(fake.infer, counted(stats, lambda: None))
    task = asyncio.ensure_future(service(ask("m", "1")))
    await eventually(lambda: bool(fake.calls))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (stats.success_count, stats.fail_count) == (0, 1)


def test_only_a_variable_first_dimension_is_a_batch() -> None:
    def first(*shape: int) -> Signature:
        return Signature((TensorMetadata("x", "FP32", shape),), ())

    assert has_batch(first(-1, 3))
    assert not has_batch(first(4, 3))
    assert not has_batch(first())
    assert not has_batch(Signature((), ()))
    assert not has_batch(None)
