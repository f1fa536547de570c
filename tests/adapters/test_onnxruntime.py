from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from penstock_adapters.adapter import Adapter, Configured, EndpointSpec, Repository, Statistics
from penstock_adapters.onnxruntime import OnnxRuntimeAdapter, connect
from penstock_adapters.protocol.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from penstock_adapters.protocol.tensors import from_array
from tests.support.onnx_models import affine_onnx, failing_onnx, slow_onnx
from tests.support.requests import arrays, fp32, request

FOREVER = from_array("n", np.array(10**9, np.int64))
X = fp32("x", [[1, 2, 3, 4]])


@pytest.fixture
async def adapter() -> AsyncIterator[OnnxRuntimeAdapter]:
    made = await connect(EndpointSpec("here", "onnxruntime", options={"workers": 1, "queue_max": 2}))
    yield made
    await made.aclose()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "double.onnx").write_bytes(affine_onnx(2))
    (tmp_path / "triple.onnx").write_bytes(affine_onnx(3))
    (tmp_path / "slow.onnx").write_bytes(slow_onnx())
    (tmp_path / "failing.onnx").write_bytes(failing_onnx())
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    return tmp_path


async def test_it_has_every_power_of_an_embedded_backend(adapter: OnnxRuntimeAdapter) -> None:
    for power in (Adapter, Repository, Configured, Statistics):
        assert isinstance(adapter, power)


async def test_versions_answer_side_by_side_and_the_highest_is_the_default(
    adapter: OnnxRuntimeAdapter, models: Path
) -> None:
    await adapter.load("m", "2", artifact=str(models / "double.onnx"))
    await adapter.load("m", "10", artifact=str(models / "triple.onnx"))

    two, ten, any_version = [
        (await adapter.infer(request("m", X, version=version, id="7"))).body.message for version in ("2", "10", "")
    ]

    assert arrays(two)["y"].tolist() == [[3, 5, 7, 9]]
    assert arrays(ten)["y"].tolist() == arrays(any_version)["y"].tolist() == [[4, 7, 10, 13]]
    assert (any_version.model_name, any_version.model_version, any_version.id) == ("m", "10", "7")
    assert (await adapter.metadata("m", "")).versions == ("2", "10")
    assert (await adapter.metadata("m", "2")).versions == ("2",)


async def test_the_same_input_gives_the_same_bits(adapter: OnnxRuntimeAdapter, models: Path) -> None:
    await adapter.load("m", "1", artifact=str(models / "triple.onnx"))
    x = fp32("x", np.random.default_rng(0).normal(size=(7, 4)))

    answers = {bytes((await adapter.infer(request("m", x))).body.message.outputs[0].data) for _ in range(20)}

    assert len(answers) == 1


async def test_what_is_not_loaded_is_not_found(adapter: OnnxRuntimeAdapter, models: Path) -> None:
    await adapter.load("m", "1", artifact=str(models / "double.onnx"))

    for name, version in (("other", ""), ("m", "2")):
        with pytest.raises(Unavailable):
            await adapter.infer(request(name, X, version=version))
        with pytest.raises(NotFound):
            await adapter.metadata(name, version)
        assert not await adapter.ready(name, version)
    assert await adapter.ready()
    assert await adapter.ready("m")
    assert await adapter.ready("m", "1")


async def test_a_failing_run_is_internal_and_a_refused_one_the_caller_s(
    adapter: OnnxRuntimeAdapter, models: Path
) -> None:
    await adapter.load("m", "1", artifact=str(models / "failing.onnx"))
    await adapter.load("affine", "1", artifact=str(models / "double.onnx"))

    with pytest.raises(Internal, match="failed to execute") as failed:
        await adapter.infer(request("m", from_array("i", np.array([1], np.int64))))
    with pytest.raises(InvalidArgument, match="refused the request"):
        await adapter.infer(request("affine", fp32("x", [[1, 2, 3]])))

    assert "Reshape" not in str(failed.value)
    assert (await adapter.infer(request("m", from_array("i", np.array([1, 2, 3], np.int64))))).body.message.outputs


async def test_a_run_ends_at_its_deadline_and_frees_the_worker(adapter: OnnxRuntimeAdapter, models: Path) -> None:
    await adapter.load("slow", "1", artifact=str(models / "slow.onnx"))
    await adapter.load("m", "1", artifact=str(models / "double.onnx"))

    with pytest.raises(DeadlineExceeded):
        await adapter.infer(request("slow", FOREVER, within_s=0.05))

    async with asyncio.timeout(10):
        await adapter.infer(request("m", X))


async def test_a_cancelled_run_frees_the_worker(adapter: OnnxRuntimeAdapter, models: Path) -> None:
    await adapter.load("slow", "1", artifact=str(models / "slow.onnx"))
    await adapter.load("m", "1", artifact=str(models / "double.onnx"))
    call = asyncio.create_task(adapter.infer(request("slow", FOREVER)))
    await asyncio.sleep(0.02)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    async with asyncio.timeout(10):
        await adapter.infer(request("m", X))


async def test_a_full_queue_refuses_and_the_loop_stays_free(adapter: OnnxRuntimeAdapter, models: Path) -> None:
    await adapter.load("slow", "1", artifact=str(models / "slow.onnx"))
    calls = [asyncio.create_task(adapter.infer(request("slow", FOREVER))) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable, match="in flight"):
        await adapter.infer(request("slow", FOREVER))

    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_unload_waits_for_calls_in_flight_and_takes_no_new_ones(
    adapter: OnnxRuntimeAdapter, models: Path
) -> None:
    await adapter.load("slow", "1", artifact=str(models / "slow.onnx"))
    call = asyncio.create_task(adapter.infer(request("slow", from_array("n", np.array(20_000, np.int64)))))
    await asyncio.sleep(0)

    unloading = asyncio.create_task(adapter.unload("slow", "1"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await adapter.infer(request("slow", FOREVER))
    assert [(entry.version, entry.state) for entry in await adapter.index()] == [("1", "UNLOADING")]
    await unloading

    assert arrays((await call).body.message)["total"] == 20_000
    assert [(entry.version, entry.state) for entry in await adapter.index()] == [("1", "UNAVAILABLE")]
    await adapter.unload("slow", "1")


async def test_a_failed_load_is_in_the_index_with_its_reason_and_harms_nothing_that_serves(
    adapter: OnnxRuntimeAdapter, models: Path
) -> None:
    await adapter.load("m", "1", artifact=str(models / "double.onnx"))

    for name, artifact in (("m", models / "broken.onnx"), ("other", models / "broken.onnx"), ("gone", models / "none")):
        with pytest.raises(InvalidArgument):
            await adapter.load(name, "1", artifact=str(artifact))
    with pytest.raises(InvalidArgument, match="no artifact"):
        await adapter.load("m", "2")

    states = {entry.name: (entry.state, entry.reason) for entry in await adapter.index()}
    assert states["m"] == ("READY", "")
    assert states["other"][0] == "UNAVAILABLE"
    assert "not an ONNX file" in states["other"][1]
    assert (await adapter.infer(request("m", X))).body.message.model_version == "1"


async def test_loading_again_replaces_the_version_without_a_gap(adapter: OnnxRuntimeAdapter, models: Path) -> None:
    await adapter.load("m", "1", artifact=str(models / "double.onnx"))
    loading = asyncio.create_task(adapter.load("m", "1", artifact=str(models / "triple.onnx")))

    seen = set()
    while not loading.done():
        seen.add(arrays((await adapter.infer(request("m", X))).body.message)["y"][0, 0])
    seen.add(arrays((await adapter.infer(request("m", X))).body.message)["y"][0, 0])

    assert seen <= {3.0, 4.0}
    assert 4.0 in seen


async def test_config_and_statistics_speak_triton_s_words(adapter: OnnxRuntimeAdapter, models: Path) -> None:
    await adapter.load("m", "1", artifact=str(models / "double.onnx"))
    for rows in (1, 3):
        await adapter.infer(request("m", fp32("x", np.ones((rows, 4)))))
    with pytest.raises(InvalidArgument):
        await adapter.infer(request("m", fp32("x", [[1]])))

    config = await adapter.config("m", "")
    (statistics,) = await adapter.statistics("m", "")

    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 4]}]
    assert (statistics["name"], statistics["version"]) == ("m", "1")
    assert (statistics["inference_count"], statistics["execution_count"]) == (4, 2)
    assert statistics["inference_stats"]["success"]["count"] == 2
    assert statistics["inference_stats"]["fail"]["count"] == 1
    assert statistics["inference_stats"]["compute_infer"]["ns"] > 0
    assert await adapter.statistics("", "") == [statistics]
    with pytest.raises(NotFound):
        await adapter.statistics("other", "")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"threads": 1}, "unknown option 'threads'; there are inter_op_threads"),
        ({"workers": 0}, "option 'workers' must be a whole number from 1 to 256"),
        ({"intra_op_threads": "2"}, "option 'intra_op_threads'"),
        ({"queue_max": True}, "option 'queue_max'"),
    ],
)
async def test_options_it_cannot_use_are_refused(options: dict[str, int | str], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=f"backend 'here': {problem}"):
        await connect(EndpointSpec("here", "onnxruntime", options=options))


async def test_several_threads_in_a_run_change_nothing(models: Path) -> None:
    options = {"intra_op_threads": 2, "inter_op_threads": 2, "workers": 2}
    adapter = await connect(EndpointSpec("here", "onnxruntime", options=options))
    await adapter.load("m", "1", artifact=str(models / "double.onnx"))

    assert arrays((await adapter.infer(request("m", X))).body.message)["y"].tolist() == [[3, 5, 7, 9]]

    await adapter.aclose()


async def test_aclose_ends_runs_and_threads_and_may_come_twice(models: Path) -> None:
    adapter = await connect(EndpointSpec("here", "onnxruntime", options={"workers": 2}))
    await adapter.load("slow", "1", artifact=str(models / "slow.onnx"))
    call = asyncio.create_task(adapter.infer(request("slow", FOREVER)))
    await asyncio.sleep(0.02)

    await adapter.aclose()
    await adapter.aclose()

    with pytest.raises(Unavailable):
        await call
    assert "penstock-onnxruntime" not in {thread.name for thread in threading.enumerate()}
