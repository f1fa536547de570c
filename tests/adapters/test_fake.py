from __future__ import annotations

import asyncio
from math import inf

import pytest

from penstock_adapters.adapter import Adapter, EndpointSpec, Repository, Statistics
from penstock_adapters.fake import SIGNATURE, FakeAdapter, Fault, connect, oracle
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import (
    BadBackendAnswer,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from penstock_adapters.protocol.message import RequestMessage, Signature, TensorMetadata
from penstock_adapters.protocol.validate import validate_response
from tests.support.requests import fp32, request

X = fp32("x", [[1, 2]])


async def test_an_answer_is_the_oracle_s() -> None:
    adapter = FakeAdapter()

    got = (await adapter.infer(request("echo", X, id="7"))).body.message

    assert got.outputs == oracle("echo", "1", "7", (X,), SIGNATURE.outputs)
    assert (got.model_name, got.model_version, got.id) == ("echo", "1", "7")


def test_the_oracle_depends_on_everything_that_asks() -> None:
    asked = [("a", "1", "i", X), ("b", "1", "i", X), ("a", "2", "i", X), ("a", "1", "j", X)]
    asked += [
        ("a", "1", "i", fp32("x", [[1, 3]])),
        ("a", "1", "i", fp32("z", [[1, 2]])),
        ("a", "1", "i", fp32("x", [[1], [2]])),
    ]

    answers = {bytes(oracle(model, version, i, (x,), SIGNATURE.outputs)[0].data) for model, version, i, x in asked}

    assert len(answers) == len(asked)


def test_the_oracle_answers_in_every_datatype_as_the_signature_says() -> None:
    signature = Signature((), tuple(TensorMetadata(f"y_{name}", name, (-1, 2, -1)) for name in DATATYPES))
    adapter = FakeAdapter({("all", "1"): signature})

    async def ask() -> None:
        got = (await adapter.infer(request("all", X))).body.message
        validate_response(got, RequestMessage("", (X,)), signature)
        assert {tensor.shape for tensor in got.outputs} == {(1, 2, 1)}

    asyncio.run(ask())


async def test_only_the_outputs_asked_for_come() -> None:
    signature = Signature((), (TensorMetadata("a", "FP32", (1,)), TensorMetadata("b", "FP32", (1,))))
    adapter = FakeAdapter({("m", "1"): signature})

    got = (await adapter.infer(request("m", X, outputs=("b",)))).body.message

    assert [tensor.name for tensor in got.outputs] == ["b"]
    with pytest.raises(InvalidArgument):
        await adapter.infer(request("m", X, outputs=("c",)))


async def test_faults_are_scripted_call_by_call() -> None:
    adapter = FakeAdapter()
    adapter.faults += [Fault(error=Internal("model_failed", model="echo")), Fault(wrong=True)]

    with pytest.raises(Internal):
        await adapter.infer(request("echo", X))
    wrong = (await adapter.infer(request("echo", X))).body.message
    right = (await adapter.infer(request("echo", X))).body.message

    assert wrong.outputs != right.outputs == oracle("echo", "1", "", (X,), SIGNATURE.outputs)


async def test_a_standing_fault_happens_to_every_call() -> None:
    adapter = FakeAdapter()
    adapter.fault = Fault(error=BadBackendAnswer("backend_answer", model="echo", problem="x"))

    for _ in range(2):
        with pytest.raises(BadBackendAnswer):
            await adapter.infer(request("echo", X))


@pytest.mark.parametrize("delay_s", [5.0, inf])
async def test_a_slow_call_ends_at_its_deadline(delay_s: float) -> None:
    adapter = FakeAdapter()
    adapter.fault = Fault(delay_s=delay_s)

    with pytest.raises(DeadlineExceeded):
        await adapter.infer(request("echo", X, within_s=0.01))
    with pytest.raises(DeadlineExceeded):
        await adapter.infer(request("echo", X, within_s=-1))

    assert adapter.in_flight == 0


async def test_a_cancelled_call_is_counted() -> None:
    adapter = FakeAdapter()
    adapter.fault = Fault(delay_s=inf)
    call = asyncio.create_task(adapter.infer(request("echo", X)))
    await asyncio.sleep(0)
    assert adapter.in_flight == 1

    call.cancel()
    await asyncio.wait([call])

    assert (adapter.in_flight, adapter.cancelled) == (0, 1)


async def test_calls_are_recorded() -> None:
    adapter = FakeAdapter()
    await adapter.infer(request("echo", X, id="a", within_s=60))

    (call,) = adapter.calls
    assert (call.model_name, call.model_version, call.id) == ("echo", "", "a")
    assert call.deadline < inf


async def test_models_come_and_go() -> None:
    adapter = FakeAdapter()
    assert isinstance(adapter, Adapter)
    assert isinstance(adapter, Repository)
    assert isinstance(adapter, Statistics)

    await adapter.load("m", "10")
    await adapter.load("m", "9")

    assert (await adapter.infer(request("m", X))).body.message.model_version == "10"
    assert (await adapter.metadata("m", "9")).versions == ("9",)
    assert [(entry.name, entry.version) for entry in await adapter.index()] == [("echo", "1"), ("m", "10"), ("m", "9")]
    await adapter.unload("m", "10")
    with pytest.raises(Unavailable):
        await adapter.infer(request("m", X, version="10"))
    await adapter.unload("m", "")
    with pytest.raises(NotFound):
        await adapter.metadata("m", "")
    adapter.load_error = InvalidArgument("model_unloadable", model="m", problem="scripted")
    with pytest.raises(InvalidArgument):
        await adapter.load("m", "1")


async def test_what_is_not_ready_says_so() -> None:
    adapter = FakeAdapter()
    assert await adapter.ready()
    assert await adapter.ready("echo")
    assert not await adapter.ready("other")
    assert not await adapter.ready("echo", "2")

    adapter.not_ready = {"echo"}
    assert not await adapter.ready("echo")
    with pytest.raises(Unavailable):
        await adapter.infer(request("echo", X))
    assert [entry.state for entry in await adapter.index()] == ["UNAVAILABLE"]
    adapter.not_ready = {""}
    assert not await adapter.ready()
    with pytest.raises(Unavailable):
        await adapter.infer(request("echo", X))


async def test_statistics_count_answers_and_failures() -> None:
    adapter = FakeAdapter()
    adapter.faults.append(Fault(error=Internal("model_failed", model="echo")))
    with pytest.raises(Internal):
        await adapter.infer(request("echo", X))
    await adapter.infer(request("echo", fp32("x", [[1], [2], [3]])))

    (row,) = await adapter.statistics("echo", "1")

    assert (row["inference_count"], row["execution_count"]) == (3, 1)
    assert row["inference_stats"]["fail"]["count"] == 1


async def test_a_closed_adapter_is_unreachable() -> None:
    adapter = FakeAdapter()
    await adapter.aclose()
    await adapter.aclose()

    assert not await adapter.ready()
    with pytest.raises(Unavailable):
        await adapter.infer(request("echo", X))


async def test_options_choose_models_and_delay() -> None:
    adapter = await connect(EndpointSpec("b", "fake", options={"models": "a@2, c", "delay_ms": 1}))

    assert set(adapter.models) == {("a", "2"), ("c", "1")}
    assert adapter.fault.delay_s == 0.001
    for options in ({"speed": 1}, {"models": 3}, {"delay_ms": -1}, {"delay_ms": "x"}):
        with pytest.raises(InvalidArgument, match="backend 'b'"):
            await connect(EndpointSpec("b", "fake", options=options))
