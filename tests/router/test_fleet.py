from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from penstock_adapters.adapter import EndpointSpec
from penstock_adapters.fake import FakeAdapter, Fault
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_registry.kinds import BackendSpec
from penstock_registry.snapshot import Snapshot
from penstock_router.fleet import LiveEndpoint, artifact_path, endpoint_specs
from tests.support.park import WRONG, Park, ask
from tests.support.polling import eventually
from tests.support.resources import backend, deployment, model, resource, snapshot

A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"


def in_process(revision: int, version: str = "1", **spec: object) -> Snapshot:
    row = {"id": version, "artifact": "file:///models/m.onnx", "sha256": "0" * 64, **spec}
    return snapshot(
        revision, backend("local"), resource("Model", "m", {"versions": [row]}), deployment(f"m@{version}", "local")
    )


def endpoints_at(url: str) -> BackendSpec:
    return BackendSpec.model_validate({"platform": "fake", "endpoints": [{"url": url}]})


@pytest.mark.parametrize(
    ("uri", "path"),
    [("file:///a/b.onnx", "/a/b.onnx"), ("/a/b.onnx", "/a/b.onnx"), ("file://localhost/a%20b", "/a b")],
)
def test_a_file_uri_is_a_local_path(uri: str, path: str) -> None:
    assert artifact_path(uri) == str(Path(path))


@pytest.mark.parametrize("uri", ["s3://bucket/m", "http://127.0.0.1/m", "file://elsewhere/m"])
def test_anything_else_than_a_local_file_is_refused(uri: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a file: URI"):
        artifact_path(uri)


def test_a_backend_without_endpoints_is_one_in_this_process() -> None:
    ((spec, weight),) = endpoint_specs("local", BackendSpec(platform="fake", options={"models": "m@1"}))
    assert (spec, weight) == (EndpointSpec("local", "fake", options={"models": "m@1"}), 1)


def test_an_endpoint_is_down_after_as_many_failures_as_allowed_and_up_at_the_first_answer() -> None:
    endpoint = LiveEndpoint(
        "b", A, FakeAdapter(), BackendSpec.model_validate({"platform": "fake", "endpoints": [{"url": A}]}), 1
    )
    for up in (True, True, False):
        endpoint.probed(answered=False)
        assert endpoint.up is up
    endpoint.probed(answered=True)
    assert endpoint.up


async def test_a_model_in_this_process_is_loaded_and_then_ready() -> None:
    park = Park()
    await park.serve(in_process(1))
    await eventually(lambda: park.plane.model_ready("m", ""))
    assert ("m", "1") in park.at("").models
    assert (await park.infer("m")).served_by == "m-1-local"


async def test_a_model_that_does_not_load_is_failed_with_the_reason() -> None:
    park = Park()
    park.at("").load_error = InvalidArgument("manifest_invalid", where="artifact", problem="the digest differs")
    await park.serve(in_process(1))
    known = park.fleet.deployed("m-1-local")
    assert known is not None
    await eventually(lambda: known.state == "FAILED")
    assert "the digest differs" in known.reason


async def test_a_model_that_does_not_load_is_logged() -> None:
    with capture_logs() as logs:
        park = Park()
        park.at("").load_error = InvalidArgument("manifest_invalid", where="artifact", problem="the digest differs")
        await park.serve(in_process(1))
        await eventually(lambda: any(row["event"] == "model_not_loaded" for row in logs))
    (row,) = (row for row in logs if row["event"] == "model_not_loaded")
    assert (row["model"], row["version"], row["backend"], row["log_level"]) == ("m", "1", "local", "error")
    assert "the digest differs" in row["problem"]


async def test_a_retired_model_is_unloaded() -> None:
    park = Park()
    await park.serve(in_process(1))
    await eventually(lambda: park.plane.model_ready("m", ""))
    await park.serve(snapshot(2, backend("local")))
    await eventually(lambda: not park.at("").models)
    assert park.fleet.deployed("m-1-local") is None


async def test_a_changed_artifact_is_loaded_anew() -> None:
    park = Park()
    await park.serve(in_process(1))
    await eventually(lambda: park.plane.model_ready("m", ""))
    before = park.fleet.deployed("m-1-local")
    await park.serve(in_process(2, sha256="1" * 64))
    after = park.fleet.deployed("m-1-local")
    assert after is not before
    await eventually(lambda: park.plane.model_ready("m", ""))


async def test_a_changed_backend_is_connected_anew_and_the_old_connections_are_closed() -> None:
    park = Park("m@1")
    rest = (model("m", "1"), deployment("m@1", "b"))
    await park.serve(snapshot(1, backend("b", endpoints=[A]), *rest))
    old = park.at(A)
    await park.serve(snapshot(2, backend("b", endpoints=[B]), *rest))
    await eventually(lambda: old.closed)
    assert [e.name for e in park.fleet.endpoints("b")] == [B]
    assert (await park.infer("m")).served_by == "m-1-b"


async def test_an_endpoint_is_closed_only_after_its_calls() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, backend("b", endpoints=[A]), model("m", "1"), deployment("m@1", "b")))
    old = park.at(A)
    old.fault = Fault(delay_s=0.2)
    call = asyncio.create_task(park.infer("m"))
    await eventually(lambda: old.in_flight == 1)
    await park.serve(snapshot(2))
    assert (await call).served_by == "m-1-b"
    await eventually(lambda: old.closed)


async def test_a_backend_that_cannot_be_connected_costs_only_what_is_deployed_on_it() -> None:
    park = Park("m@1")
    served = (backend("b", endpoints=[A]), model("m", "1"), deployment("m@1", "b"))
    broken = (backend("x", endpoints=[WRONG]), model("n", "1"), deployment("n@1", "x"))
    await park.serve(snapshot(1, *served, *broken))
    assert (await park.infer("m")).served_by == "m-1-b"
    known = park.fleet.deployed("n-1-x")
    assert known is not None
    assert known.state == "FAILED"
    assert "option 'workers'" in known.reason
    await park.serve(snapshot(2, *served, backend("x", endpoints=[B]), *broken[1:]))
    assert str(known.state) == "PENDING"


async def test_a_backend_changed_into_one_that_cannot_be_connected_keeps_its_connections() -> None:
    park = Park("m@1")
    rest = (model("m", "1"), deployment("m@1", "b"))
    await park.serve(snapshot(1, backend("b", endpoints=[A]), *rest))
    await park.serve(snapshot(2, backend("b", endpoints=[WRONG]), *rest))
    assert (await park.infer("m")).served_by == "m-1-b"
    assert not park.at(A).closed


async def test_an_unknown_platform_is_refused_before_anything_changes() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, backend("b", endpoints=[A])))
    specs = {"b": endpoints_at(B), "x": BackendSpec.model_validate({"platform": "mystery"})}
    with pytest.raises(InvalidArgument, match="'mystery' is not a platform; there are fake"):
        await park.fleet.prepare(specs, [])
    assert [e.name for e in park.fleet.endpoints("b")] == [A]


async def test_new_limits_need_no_new_connections_and_load_no_model_again() -> None:
    park = Park()
    await park.serve(in_process(1))
    await eventually(lambda: park.plane.model_ready("m", ""))
    limited = resource("Backend", "local", {"platform": "fake", "limits": {"maxInFlight": 7}})
    await park.serve(snapshot(2, *in_process(1).resources.values(), limited))
    assert park.plane.model_ready("m", "")
    assert [e.limit for e in park.fleet.endpoints("local")] == [7]
    assert len(park.connected) == 1


async def test_connections_of_a_changed_backend_serve_until_the_new_table_does() -> None:
    park = Park("m@1")
    rest = (model("m", "1"), deployment("m@1", "b"))
    await park.serve(snapshot(1, backend("b", endpoints=[A]), *rest))
    await park.infer("m")
    old = park.at(A)
    await park.fleet.prepare({"b": endpoints_at(B)}, [])
    for _ in range(10):
        await asyncio.sleep(0)
    assert not old.closed
    assert (await park.infer("m")).served_by == "m-1-b"


async def test_aclose_ends_every_adapter() -> None:
    park = Park("m@1")
    await park.serve(snapshot(1, backend("b", endpoints=[A, B]), model("m", "1"), deployment("m@1", "b")))
    fakes = list(park.fakes.values())
    await park.fleet.aclose()
    assert all(fake.closed for fake in fakes)


class Gate:
    """Makes a fake's loads wait."""

    def __init__(self, fake: FakeAdapter, error: InvalidArgument | None = None) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        load = fake.load

        async def gated(name: str, version: str, *, artifact: str = "", sha256: str = "") -> None:
            self.begun.set()
            await self.open.wait()
            if error is not None:
                raise error
            await load(name, version, artifact=artifact, sha256=sha256)

        fake.load = gated  # type: ignore[method-assign]


async def test_a_model_retired_while_it_was_loading_does_not_stay() -> None:
    park = Park()
    local = park.at("")
    gate = Gate(local)
    await park.serve(in_process(1))
    await gate.begun.wait()
    await park.serve(snapshot(2, backend("local")))
    gate.open.set()
    await eventually(lambda: ("m", "1") in local.models)
    await eventually(lambda: not local.models)


async def test_a_load_into_a_replaced_endpoint_says_nothing_of_the_new_one() -> None:
    park = Park()
    gate = Gate(park.at(""), InvalidArgument("manifest_invalid", where="artifact", problem="too late"))
    await park.serve(in_process(1))
    await gate.begun.wait()
    resources = dict(in_process(2).resources)
    resources["Backend", "local"] = resource("Backend", "local", {"platform": "fake", "options": {"delay_ms": 1}})
    old = park.fakes.pop("")
    await park.serve(Snapshot(2, resources))
    await eventually(lambda: park.plane.model_ready("m", ""))
    gate.open.set()
    await eventually(lambda: not park.fleet._tasks)
    assert old.closed
    assert park.plane.model_ready("m", "")


async def test_a_model_stays_while_another_deployment_of_it_is_there() -> None:
    park = Park()
    resources = dict(in_process(1).resources)
    resources["Deployment", "b"] = deployment("m@1", "local", name="b")
    await park.serve(Snapshot(1, resources))
    await eventually(lambda: park.plane.model_ready("m", ""))
    resources = dict(resources)
    del resources["Deployment", "m-1-local"]
    await park.serve(Snapshot(2, resources))
    await eventually(lambda: not park.fleet._tasks)
    assert (await park.infer("m")).served_by == "b"
    assert park.metrics.model_loaded.cells["m", "1", "local"].value == 1.0


async def test_what_a_deployment_pointed_at_before_is_unloaded() -> None:
    park = Park()
    rows = [{"id": v, "artifact": "file:///models/m.onnx", "sha256": "0" * 64} for v in ("1", "2")]
    rest = (backend("local"), resource("Model", "m", {"versions": rows}))
    await park.serve(snapshot(1, *rest, deployment("m@1", "local", name="d")))
    await eventually(lambda: park.plane.model_ready("m", "1"))
    await park.serve(snapshot(2, *rest, deployment("m@2", "local", name="d")))
    await eventually(lambda: list(park.at("").models) == [("m", "2")])


async def test_a_request_that_resolved_before_a_swap_may_call_after_it() -> None:
    park = Park("m@1")
    rest = (model("m", "1"), deployment("m@1", "b"))
    await park.serve(snapshot(1, backend("b", endpoints=[A]), *rest))
    old, entry = park.at(A), park.plane.resolve("m", "")
    await park.serve(snapshot(2, backend("b", endpoints=[B]), *rest))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (await entry.service(ask("m"))).served_by == "m-1-b"
    await eventually(lambda: old.closed)
