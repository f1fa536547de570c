"""Model servers die, hang and come back, under load: no answer is wrong, others notice nothing, and nobody has to help.

What may happen to a request while its server is dead: another server takes it, or it is refused with 503 and told to come
back. While its server hangs: it ends at its own deadline with 504, or sooner with 503 once the server is known to be down.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_adapters.protocol.messages import ModelInferRequest
from tests.support import digits
from tests.support.doomed_triton import DoomedTriton
from tests.support.examples import manifests_for
from tests.support.load import (
    GrpcCaller,
    Load,
    Outcome,
    Question,
    Questions,
    RestCaller,
    about_digits,
    loaded,
    manifest,
)
from tests.support.penstock import Penstock, penstock
from tests.support.processes import until
from tests.support.scale import Measured, Scale
from tests.support.triton import Triton

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # --full takes its time

DEADLINE_S = 1.0
SIGNATURE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "logits", "datatype": "FP32", "shape": [-1, 10]},
    ],
}


@pytest.fixture(scope="module")
def tritons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DoomedTriton, DoomedTriton]]:
    """Two servers of one model, running."""
    directory = tmp_path_factory.mktemp("tritons")
    pair = DoomedTriton(directory), DoomedTriton(directory)
    try:
        for server in pair:
            server.begin()
        for server in pair:
            server.wait_ready()
        yield pair
    finally:
        for server in pair:
            server.kill()


@pytest.fixture(scope="module")
def product(
    tritons: tuple[DoomedTriton, DoomedTriton], triton: Triton, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Penstock]:
    """`digits` in process, `one` on the first Triton, `two` on both, `slow` on a third that stays well."""
    directory = tmp_path_factory.mktemp("backends")
    manifests = manifests_for(None, directory / "manifests")
    slow = {"url": triton.url, "grpc": triton.grpc_url}
    rows = [*on_triton("one", [tritons[0].endpoint], unhealthyAfter=1)]
    rows += on_triton("two", [server.endpoint for server in tritons])
    rows += [manifest("Backend", "well", {"platform": "triton", "endpoints": [slow]})]
    rows += [manifest("Model", "slow", {"versions": [{"id": "1"}]})]
    rows += [manifest("Deployment", "slow-1", {"model": "slow@1", "backend": "well"})]
    (manifests / "tritons.yaml").write_text("---\n".join(json.dumps(row) + "\n" for row in rows))
    with penstock(directory / "run") as running:
        running.apply(manifests)
        running.wait_ready("digits@1", "one", "two", "slow")
        yield running


def on_triton(model: str, endpoints: list[dict[str, str]], **health: int) -> Iterator[dict[str, Any]]:
    """The digits under this name, on these servers; probed often."""
    spec = {"platform": "triton", "endpoints": endpoints, "health": {"intervalSeconds": 0.5, **health}}
    yield manifest("Backend", f"triton-{model}", spec)
    yield manifest("Model", model, {"signature": SIGNATURE, "versions": [{"id": "1"}]})
    remote = {"name": "digits", "version": "1"}
    yield manifest("Deployment", f"{model}-1", {"model": f"{model}@1", "backend": f"triton-{model}", "remote": remote})


def endpoint_up(product: Penstock, backend: str, server: DoomedTriton, value: int) -> bool:
    """Does the product know it?"""
    line = f'penstock_backend_up{{backend="{backend}",endpoint="{server.endpoint["url"]}"}} {value}'
    return line in product.get("/metrics").body.decode()


async def settled(load: Load, condition: Callable[[], bool], what: str) -> float:
    """Wait for it, then until the load has met it; seconds that took."""
    started = time.monotonic()
    await asyncio.to_thread(until, condition, timeout_s=60, what=what)
    seconds = time.monotonic() - started
    await load.asked(load.tally.asked + 100)
    return seconds


async def test_of_two_servers_one_may_be_killed_and_come_back(
    product: Penstock, tritons: tuple[DoomedTriton, DoomedTriton], scale: Scale, measured: Measured
) -> None:
    async with loaded(Load()) as load:
        load.start(product, about_digits("two"), rest=6, grpc_=4)
        for _ in range(scale(1, 4)):
            for server in tritons:
                await load.asked(load.tally.asked + scale(300, 2_000))
                server.kill()
                gone_s = await settled(load, lambda s=server: endpoint_up(product, "triton-two", s, 0), "its absence")  # type: ignore[misc]
                before = load.tally.counts.copy()
                await load.asked(load.tally.asked + scale(300, 2_000))
                assert load.tally.counts - before == {Outcome.OK: (load.tally.counts - before).total()}
                server.begin()
                await asyncio.to_thread(server.wait_ready)
                back_s = await settled(load, lambda s=server: endpoint_up(product, "triton-two", s, 1), "its return")  # type: ignore[misc]
                measured(f"known to be gone after {gone_s:.2f} s, to be back after {back_s:.2f} s")
        tally = await load.stop()

    measured(f"{tally}; {tally.problems[:3]}")
    assert set(tally.counts) <= {Outcome.OK, Outcome.SHED}, tally.problems
    assert tally.counts[Outcome.OK] >= 0.99 * tally.asked


async def test_the_only_server_may_be_killed_and_come_back(
    product: Penstock, tritons: tuple[DoomedTriton, DoomedTriton], scale: Scale, measured: Measured
) -> None:
    server = tritons[0]
    async with loaded(Load(pause_s=0.002)) as load, loaded(Load(pause_s=0.002)) as neighbour:
        load.start(product, about_digits("one"), rest=4, grpc_=4)
        neighbour.start(product, about_digits(), rest=2, grpc_=2)
        for _ in range(scale(1, 4)):
            await load.asked(load.tally.asked + 300)
            server.kill()
            await load.asked(load.tally.asked + 300)
            server.begin()
            await asyncio.to_thread(server.wait_ready)
            back_s = await settled(load, lambda: product.get("/v2/models/one/ready").status == 200, "its return")
            before = load.tally.counts[Outcome.OK]
            await asyncio.to_thread(until, lambda at=before: load.tally.counts[Outcome.OK] > at + 300, what="answers")  # type: ignore[misc]
            measured(f"served again {back_s:.2f} s after it was ready")
        tally, others = await load.stop(), await neighbour.stop()

    measured(f"its own: {tally}; the others: {others}")
    assert set(tally.counts) == {Outcome.OK, Outcome.SHED}, tally.problems
    assert set(tally.statuses) == {200, 503}
    assert set(others.counts) == {Outcome.OK}, others.problems


@pytest.mark.parametrize("deadline", ["the caller's", "the route's"])
async def test_requests_to_a_hung_server_end_at_their_deadline(
    product: Penstock,
    tritons: tuple[DoomedTriton, DoomedTriton],
    deadline: str,
    scale: Scale,
    measured: Measured,
) -> None:
    """Over the HTTP leg (the route's) and over the gRPC leg (the caller's), which has to be able to stop the model."""
    server, model = tritons[0], "one"
    if deadline == "the route's":
        model = "one-bounded"
        spec = {"targets": [{"to": "one@1"}], "timeoutMs": round(DEADLINE_S * 1000)}
        answer = product.call("PUT", f"/v1/routes/{model}", manifest("Route", model, spec), admin=True)
        assert answer.status in {200, 201}
        await asyncio.to_thread(product.wait_ready, model)
    own = Load(deadline_s=DEADLINE_S) if deadline == "the caller's" else Load()
    async with loaded(own) as load, loaded(Load(pause_s=0.002)) as neighbour:
        load.start(product, about_digits(model), rest=4, grpc_=4)
        neighbour.start(product, about_digits(), rest=2, grpc_=2)
        await load.asked(200)
        quiet_p99 = p99(neighbour.tally.times_s)
        server.pause()
        try:
            await asyncio.sleep(scale(4.0, 20.0))
        finally:
            server.resume()
        before = load.tally.counts[Outcome.OK]
        await asyncio.to_thread(until, lambda: load.tally.counts[Outcome.OK] > before + 300, what="answers")
        tally, others = await load.stop(), await neighbour.stop()

    measured(f"its own: {tally}, {dict(tally.statuses)}, the slowest {tally.slowest_s:.2f} s")
    measured(f"the others: {others}; p99 {p99(others.times_s) / quiet_p99:.1f} times that of before")
    assert set(tally.statuses) <= {200, 503, 504}, tally.problems
    assert tally.statuses[504] > 0
    assert tally.statuses[503] > 0, "its own health check fails, too, and then nobody waits for it any more"
    assert tally.counts[Outcome.WRONG] == 0
    assert tally.slowest_s < 3 * DEADLINE_S
    assert set(others.counts) == {Outcome.OK}, others.problems


def p99(times_s: list[float]) -> float:
    return sorted(times_s)[int(len(times_s) * 0.99)]


def about_seconds(seconds: float, **parameters: int) -> Questions:
    """A question that keeps the model busy for so long; right is an answer that says it was."""
    raw = struct.pack("<f", seconds)
    size = {"binary_data_size": len(raw)}
    entry = {"name": "seconds", "shape": [1, 1], "datatype": "FP32", "parameters": size}
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True, **parameters}}).encode()
    message = ModelInferRequest(model_name="slow", raw_input_contents=[raw])
    message.inputs.add(name="seconds", datatype="FP32", shape=(1, 1))
    for name, value in parameters.items():
        message.parameters[name].int64_param = value
    question = Question(
        "slow",
        text + raw,
        len(text),
        message.SerializeToString(),
        lambda answer: struct.unpack("<f", answer.outputs["slept"])[0] >= seconds,
    )
    return lambda: question


@pytest.mark.parametrize("carrier", ["REST", "gRPC"])
@pytest.mark.parametrize("spelled", ["header or transport", "timeout parameter", "caller leaves"])
async def test_a_deadline_frees_the_model(product: Penstock, carrier: str, spelled: str, measured: Measured) -> None:
    """The model serves one at a time and would be busy for a minute: who comes next is answered at once if it was told."""
    caller = RestCaller(product.http) if carrier == "REST" else GrpcCaller(product.grpc)
    busy = about_seconds(60.0, **({"timeout": 300_000} if spelled == "timeout parameter" else {}))
    started = time.monotonic()
    if spelled == "caller leaves":
        leaving = asyncio.create_task(caller.ask(busy(), 50.0))
        await asyncio.sleep(0.5)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await caller.aclose()
    else:
        answer = await caller.ask(busy(), 0.3 if spelled == "header or transport" else 50.0)
        await caller.aclose()
        assert answer.status == 504, answer
    left = time.monotonic()

    following = RestCaller(product.http)
    answer = await following.ask(about_seconds(0.01)(), 20.0)
    await following.aclose()

    measured(f"over after {left - started:.2f} s, the next one answered {time.monotonic() - left:.2f} s later")
    assert answer.status == 200, answer


def test_everybody_is_well_in_the_end(product: Penstock, tmp_path: Path) -> None:
    """Nothing that happened above has left a mark."""
    body = tmp_path / "request.json"
    body.write_bytes(digits.json_body(digits.images()[:1]))
    for model in ("digits", "one", "two"):
        product.wait_ready(model)
        done = product.cli("infer", model, "-f", str(body), "--address", f"http://127.0.0.1:{product.http}")
        assert done.returncode == 0, done.stderr
    assert "unforeseen" not in product.log.read_text()
