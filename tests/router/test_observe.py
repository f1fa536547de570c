from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from penstock_adapters.adapter import IndexEntry
from penstock_adapters.protocol.message import Signature, TensorMetadata
from penstock_registry.kinds import Resource
from tests.support.park import Park
from tests.support.polling import eventually
from tests.support.resources import deployment, model, resource, snapshot

A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"


def quick(*urls: str) -> Resource:
    health = {"intervalSeconds": 0.02, "unhealthyAfter": 2}
    return resource("Backend", "b", {"platform": "fake", "endpoints": [{"url": u} for u in urls], "health": health})


@asynccontextmanager
async def observed(park: Park) -> AsyncIterator[None]:
    task = asyncio.create_task(park.observer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(asyncio.all_tasks()) == 1, "an observer that ends leaves no task"


async def test_a_deployment_becomes_ready_when_its_server_has_the_model() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, quick(A), model("m", "1"), deployment("m@1", "b")))
    assert not park.plane.model_ready("m", "")
    async with observed(park):
        await eventually(lambda: park.plane.model_ready("m", ""))


async def test_a_server_without_the_model_makes_it_failed_and_says_which() -> None:
    park = Park("other@1")
    await park.serve(snapshot(1, quick(A), model("m", "1"), deployment("m@1", "b")))
    known = park.fleet.deployed("m-1-b")
    assert known is not None
    async with observed(park):
        await eventually(lambda: known.state == "FAILED")
        assert known.reason == "backend 'b' does not have m ready"
        park.at(A).models["m", "1"] = next(iter(park.at(A).models.values()))
        await eventually(lambda: known.state == "READY")


async def test_a_server_that_stops_answering_is_taken_out_and_comes_back() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, quick(A, B), model("m", "1"), deployment("m@1", "b")))
    first, second = park.fleet.endpoints("b")
    async with observed(park):
        await eventually(lambda: park.plane.model_ready("m", ""))
        park.at(A).not_ready.add("")
        await eventually(lambda: not first.up)
        assert second.up
        assert park.metrics.backend_up.cell("b", A).value == 0
        park.at(A).not_ready.clear()
        await eventually(lambda: first.up)


async def test_what_a_model_takes_is_learnt_from_its_server_unless_declared() -> None:
    park = Park("m@1", "n@1")
    declared = {"inputs": [{"name": "z", "datatype": "FP64", "shape": [1]}], "outputs": []}
    rows = (model("m", "1"), model("n", "1", signature=declared), deployment("m@1", "b"), deployment("n@1", "b"))
    await park.serve(snapshot(1, quick(A), *rows))
    async with observed(park):
        await eventually(lambda: park.plane.model_ready("m", "") and park.plane.model_ready("n", ""))
        await eventually(lambda: bool(park.plane.metadata("m", "").inputs))
    assert park.plane.metadata("m", "").inputs == (TensorMetadata("x", "FP32", (-1, -1)),)
    assert park.plane.metadata("n", "").inputs == (TensorMetadata("z", "FP64", (1,)),)


async def test_a_new_deployment_is_looked_at_without_waiting_for_the_interval() -> None:
    park = Park("m@1", "n@1")
    slow = resource(
        "Backend", "b", {"platform": "fake", "endpoints": [{"url": A}], "health": {"intervalSeconds": 3600}}
    )
    await park.serve(snapshot(1, slow, model("m", "1"), deployment("m@1", "b")))
    async with observed(park):
        await eventually(lambda: park.plane.model_ready("m", ""))
        rows = (model("m", "1"), model("n", "1"), deployment("m@1", "b"), deployment("n@1", "b"))
        await park.serve(snapshot(2, slow, *rows))
        await eventually(lambda: park.plane.model_ready("n", ""))


async def test_a_model_ready_on_one_of_two_servers_is_called_only_there() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, quick(A, B), model("m", "1"), deployment("m@1", "b")))
    park.at(B).models.clear()
    known = park.fleet.deployed("m-1-b")
    assert known is not None
    async with observed(park):
        await eventually(lambda: known.ready_on == {A})
        for _ in range(20):
            await park.infer("m")
    assert not park.at(B).calls
    assert isinstance(known.signature, Signature)


async def test_a_server_that_fails_its_check_is_not_asked_for_its_models_until_it_answers() -> None:
    """A hung server would make each failed check cost the time of a listing, too, and stay in rotation for long."""
    park = Park("m@1")
    await park.serve(snapshot(1, quick(A), model("m", "1"), deployment("m@1", "b")))
    [endpoint] = park.fleet.endpoints("b")
    server = park.at(A)
    async with observed(park):
        await eventually(lambda: park.plane.model_ready("m", ""))
        server.not_ready.add("")
        server.index = hangs  # type: ignore[method-assign]
        await eventually(lambda: not endpoint.up)


async def test_a_listing_that_failed_does_not_put_off_the_next_check() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, quick(A), model("m", "1"), deployment("m@1", "b")))
    [endpoint] = park.fleet.endpoints("b")
    server, asked = park.at(A), asyncio.Event()

    async def fails_late() -> Sequence[IndexEntry]:
        asked.set()
        await asyncio.sleep(0.3)
        raise TimeoutError

    async with observed(park):
        await eventually(lambda: park.plane.model_ready("m", ""))
        server.index = fails_late  # type: ignore[method-assign]
        await asked.wait()
        server.not_ready.add("")
        await eventually(lambda: not endpoint.up, patience_s=3.0)


async def hangs() -> Sequence[IndexEntry]:
    await asyncio.Event().wait()
    return ()


async def test_a_server_that_goes_and_comes_is_logged_and_its_models_are_not_called_ready() -> None:
    with capture_logs() as logs:
        park = Park("m@1")
        await park.serve(snapshot(1, quick(A), model("m", "1"), deployment("m@1", "b")))
        (endpoint,) = park.fleet.endpoints("b")
        async with observed(park):
            await eventually(lambda: park.fleet.observed("m-1-b") == ("READY", ""))
            park.at(A).not_ready.add("")
            await eventually(lambda: not endpoint.up)
            assert park.fleet.observed("m-1-b") == ("PENDING", "no server of backend 'b' that has it answers")
            park.at(A).not_ready.clear()
            await eventually(lambda: park.fleet.observed("m-1-b") == ("READY", ""))
    said = [(row["event"], row["log_level"], row["backend"], row["endpoint"]) for row in logs if "endpoint" in row]
    assert said == [("endpoint_down", "warning", "b", A), ("endpoint_up", "info", "b", A)]


async def test_a_model_of_a_server_that_never_answered_waits_for_it() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, quick(A), model("m", "1"), deployment("m@1", "b")))
    assert park.fleet.observed("m-1-b") == ("PENDING", "not checked yet")
    assert park.fleet.observed("nope") is None
    park.at(A).not_ready.add("")
    async with observed(park):
        await eventually(lambda: park.fleet.observed("m-1-b") == ("PENDING", "no server of backend 'b' answers"))
