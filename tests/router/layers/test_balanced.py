from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from penstock_adapters.fake import Fault
from penstock_adapters.protocol.errors import BadBackendAnswer, InvalidArgument, Unavailable
from penstock_router.layers.balanced import may_run_twice
from tests.support.park import Park, ask, right_answer
from tests.support.polling import eventually
from tests.support.resources import backend, deployment, model, resource, snapshot

A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"
UNREACHABLE = Fault(error=Unavailable("backend_unreachable", model="m"))


async def two_servers() -> Park:
    park = Park("m@1")
    await park.serve(snapshot(1, backend("b", endpoints=[A, B]), model("m", "1"), deployment("m@1", "b")))
    return park


async def test_the_answer_carries_the_asked_name_the_concrete_version_and_the_deployment() -> None:
    park = await two_servers()
    response = await park.infer("m")
    message = response.body.message
    assert (message.model_name, message.model_version, response.served_by) == ("m", "1", "m-1-b")


async def test_the_backend_is_called_under_its_own_name_for_the_model() -> None:
    park = Park("other@7")
    remote = {"name": "other", "version": "7"}
    await park.serve(snapshot(1, backend("b", endpoints=[A]), model("m", "1"), deployment("m@1", "b", remote=remote)))
    request = ask("m")
    response = await park.plane.resolve("m", "").service(request)
    assert response.body.message.model_name == "m"
    assert right_answer(response, request, "other", "7")


async def test_calls_are_shared_between_endpoints() -> None:
    park = await two_servers()
    for fake in park.fakes.values():
        fake.fault = Fault(delay_s=0.001)
    for _ in range(20):
        await asyncio.gather(*(park.infer("m") for _ in range(10)))
    seen = Counter({url: len(fake.calls) for url, fake in park.fakes.items()})
    assert min(seen[A], seen[B]) > 50


async def test_a_call_that_reached_nobody_is_made_once_more_elsewhere() -> None:
    park = await two_servers()
    park.at(A).fault = UNREACHABLE
    for _ in range(20):
        assert (await park.infer("m")).served_by == "m-1-b"
    assert len(park.at(A).calls) + len(park.at(B).calls) <= 40
    assert park.metrics.retries.cell("b").value == len(park.at(A).calls)


async def test_a_definite_answer_is_never_asked_for_twice() -> None:
    park = await two_servers()
    for fake in park.fakes.values():
        fake.fault = Fault(error=InvalidArgument("backend_refused", model="m"))
    with pytest.raises(InvalidArgument):
        await park.infer("m")
    assert sum(len(fake.calls) for fake in park.fakes.values()) == 1


async def test_a_sequence_is_never_sent_twice() -> None:
    park = await two_servers()
    for fake in park.fakes.values():
        fake.fault = UNREACHABLE
    request = ask("m", parameters={"sequence_id": 7, "sequence_start": True})
    assert not may_run_twice(request)
    with pytest.raises(Unavailable):
        await park.plane.resolve("m", "").service(request)
    assert sum(len(fake.calls) for fake in park.fakes.values()) == 1


async def test_when_both_fail_the_second_error_is_the_answer_and_it_names_the_deployment() -> None:
    park = await two_servers()
    park.at(A).fault = park.at(B).fault = Fault(error=BadBackendAnswer("backend_answer", model="m", problem="garbage"))
    with pytest.raises(BadBackendAnswer) as caught:
        await park.infer("m")
    assert caught.value.served_by == "m-1-b"
    assert sum(len(fake.calls) for fake in park.fakes.values()) == 2


async def test_an_endpoint_that_is_down_gets_nothing_and_with_none_left_it_is_503() -> None:
    park = await two_servers()
    first, second = park.fleet.endpoints("b")
    first.up = False
    for _ in range(10):
        await park.infer("m")
    assert not park.fakes[first.name].calls
    second.up = False
    with pytest.raises(Unavailable, match="no endpoint of model 'm' is healthy"):
        await park.infer("m")


async def test_more_than_the_endpoints_hold_is_refused_at_once() -> None:
    park = Park("m@1")
    spec = {"platform": "fake", "endpoints": [{"url": A}], "limits": {"maxInFlight": 2}}
    await park.serve(snapshot(1, resource("Backend", "b", spec), model("m", "1"), deployment("m@1", "b")))
    park.at(A).fault = Fault(delay_s=60)
    waiting = [asyncio.create_task(park.infer("m")) for _ in range(2)]
    await eventually(lambda: park.at(A).in_flight == 2)
    with pytest.raises(Unavailable, match="more than 2 requests are in flight"):
        await park.infer("m")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    (endpoint,) = park.fleet.endpoints("b")
    assert endpoint.load.in_flight == 0


async def test_a_failed_call_asks_for_a_probe() -> None:
    park = await two_servers()
    park.at(A).fault = park.at(B).fault = UNREACHABLE
    with pytest.raises(Unavailable):
        await park.infer("m")
    assert all(endpoint.suspected.is_set() for endpoint in park.fleet.endpoints("b"))


async def test_the_answer_says_how_long_the_backend_took() -> None:
    park = await two_servers()
    for fake in park.fakes.values():
        fake.fault = Fault(delay_s=0.02)
    assert (await park.infer("m")).upstream_s >= 0.02
