from __future__ import annotations

import pytest

from penstock_adapters.adapter import IndexEntry
from penstock_adapters.protocol.errors import NotFound, Unavailable
from penstock_registry.kinds import Resource
from penstock_router.live import LivePlane, Standing
from tests.support.park import Park
from tests.support.resources import backend, deployment, model, resource, route, snapshot

A = "http://127.0.0.1:1"
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, -1]}],
}
MODEL = model("m", "1", "2", aliases={"stable": "1"}, signature=SIGNATURE)


async def park_with(*rows: Resource) -> Park:
    park = Park("m@1", "m@2")
    await park.serve(snapshot(3, backend("b", endpoints=[A]), *rows))
    return park


def make_ready(park: Park, *deployments: str) -> None:
    for name in deployments:
        known = park.fleet.deployed(name)
        assert known is not None
        known.ready_on = frozenset({A})
        known.platform = "onnxruntime_onnx"
        known.set("READY")


def test_before_the_first_table_nothing_is_known_and_nothing_ready() -> None:
    plane = Park().plane
    assert plane.not_ready_reason == "not_loaded_yet"
    assert plane.generation == 0
    with pytest.raises(Unavailable, match="has not loaded its configuration"):
        plane.resolve("m", "")


async def test_the_server_is_ready_with_a_table_and_not_while_draining() -> None:
    park = await park_with(MODEL)
    assert park.plane.not_ready_reason == ""
    assert park.plane.generation == 3
    park.plane.draining = True
    assert park.plane.not_ready_reason == "draining"


async def test_a_required_model_holds_the_server_back_and_any_other_does_not() -> None:
    required = model("r", "1", required=True)
    park = await park_with(MODEL, required, deployment("m@1", "b"), deployment("r@1", "b"))
    assert park.plane.not_ready_reason == "required_not_ready"
    make_ready(park, "r-1-b")
    assert park.plane.not_ready_reason == ""


async def test_by_policy_every_model_or_none_holds_the_server_back() -> None:
    park = await park_with(MODEL, model("r", "1", required=True), deployment("m@1", "b"), deployment("r@1", "b"))
    make_ready(park, "r-1-b")
    strict, lax = (LivePlane(park.fleet, park.maker, park.stats, ready_policy=p) for p in ("all", "none"))
    table = park.plane.table
    assert table is not None
    strict.swap(table)
    lax.swap(table)
    assert strict.not_ready_reason == "required_not_ready"
    make_ready(park, "m-1-b")
    assert strict.not_ready_reason == ""
    assert lax.not_ready_reason == ""


async def test_a_model_is_ready_when_its_default_version_is() -> None:
    park = await park_with(MODEL, deployment("m@1", "b"), deployment("m@2", "b"))
    make_ready(park, "m-2-b")
    assert not park.plane.model_ready("m", "")
    assert park.plane.model_ready("m", "2")
    make_ready(park, "m-1-b")
    assert park.plane.model_ready("m", "")
    with pytest.raises(NotFound):
        park.plane.model_ready("m", "9")


async def test_a_route_is_ready_when_every_target_with_weight_is() -> None:
    rows = (MODEL, deployment("m@1", "b"), deployment("m@2", "b"), route("r", {"m@1": 9, "m@2": 1}))
    park = await park_with(*rows, route("half", {"m@1": 9, "m@2": 0}))
    make_ready(park, "m-1-b")
    assert not park.plane.model_ready("r", "")
    assert park.plane.model_ready("half", "")
    make_ready(park, "m-2-b")
    assert park.plane.model_ready("r", "")


async def test_metadata_names_every_version_and_a_platform() -> None:
    park = await park_with(MODEL, deployment("m@1", "b"))
    metadata = park.plane.metadata("m", "")
    assert (metadata.name, metadata.versions, metadata.platform) == ("m", ("1", "2"), "fake_model")
    make_ready(park, "m-1-b")
    assert park.plane.metadata("m", "1").versions == ("1",)
    assert park.plane.metadata("m", "stable").platform == "onnxruntime_onnx"


async def test_metadata_of_an_unlearnt_signature_is_not_ready() -> None:
    park = await park_with(model("u", "1"), deployment("u@1", "b"))
    with pytest.raises(Unavailable, match="model 'u' is not ready"):
        park.plane.metadata("u", "")


async def test_config_and_statistics_answer_under_the_asked_name() -> None:
    park = await park_with(MODEL, deployment("m@1", "b"), route("r", {"m@1": 1}))
    assert park.plane.config("r", "")["name"] == "r"
    await park.infer("r")
    (row,) = park.plane.statistics("r", "")
    assert (row["name"], row["version"], row["inference_count"]) == ("r", "1", 1)
    assert [r["version"] for r in park.plane.statistics("m", "")] == ["1", "2"]
    assert [r["version"] for r in park.plane.statistics("m", "2")] == ["2"]
    assert len(park.plane.statistics("", "")) == 2


async def test_the_index_tells_every_version_and_its_state() -> None:
    park = await park_with(MODEL, deployment("m@2", "b"))
    assert park.plane.index(ready_only=False) == [
        IndexEntry("m", "1", "UNAVAILABLE", "not deployed"),
        IndexEntry("m", "2", "UNKNOWN", "not ready"),
    ]
    make_ready(park, "m-2-b")
    assert park.plane.index(ready_only=True) == [IndexEntry("m", "2", "READY")]


async def test_names_are_models_and_routes_sorted() -> None:
    park = await park_with(MODEL, route("a-route", {"m": 1}))
    assert list(park.plane.names()) == ["a-route", "m"]


async def test_a_model_stands_where_deployments_and_placements_put_it() -> None:
    rule = resource("Placement", "p", {"backend": "b"})
    park = await park_with(MODEL, deployment("m@1", "b"), rule)
    make_ready(park, "m-1-b")
    assert park.plane.standings("m") == [
        Standing("m@2.b", "2", "b", placed=True, state="PENDING", reason="not checked yet"),
        Standing("m-1-b", "1", "b", placed=False, state="READY", reason=""),
    ]
    assert park.plane.standings("nope") == []
    assert Park().plane.standings("m") == []
