from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import InvalidArgument, NotFound
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_registry.kinds import Resource
from penstock_registry.snapshot import Snapshot
from penstock_router.plane import Entry
from penstock_router.table import RoutingTable, build, default_versions, rebuild
from tests.support.resources import backend, changes, deployment, model, resource, route, snapshot


@dataclass
class Maker:
    """Makes entries that know which table made them, and counts."""

    made: int = 0

    def __call__(self, table: RoutingTable, name: str, version: str) -> Entry:
        if name not in table.plans.routes:
            table.version(name, version) if version else table.model(name)
        self.made += 1

        async def service(request: InferenceRequest) -> InferenceResponse:
            raise NotImplementedError(request.model_name)

        return Entry(name, version, service)


BASE = snapshot(
    1,
    backend("b"),
    model("m", "1", "2", aliases={"stable": "1"}),
    model("n", "1"),
    deployment("m@1", "b"),
    deployment("n@1", "b"),
    route("r", {"m@stable": 90, "m@2": 10}),
)


def edited(base: Snapshot, *new: Resource, gone: tuple[str, ...] = ()) -> Snapshot:
    rows = {key: value for key, value in base.resources.items() if key[1] not in gone}
    return Snapshot(base.revision + 1, rows | {r.key: r for r in new})


def test_every_name_resolves_and_the_entry_is_made_once() -> None:
    maker = Maker()
    table = build(BASE, maker)
    assert table.resolve("m", "1") is table.resolve("m", "1")
    assert table.resolve("r", "").name == "r"
    assert maker.made == 2
    assert table.names() == ("m", "n", "r")


def test_an_unknown_model_and_an_unknown_version_are_not_found() -> None:
    table = build(BASE, Maker())
    with pytest.raises(NotFound, match="model 'x' is not known"):
        table.resolve("x", "")
    with pytest.raises(NotFound, match="no version '01'; known: 2, 1, stable"):
        table.resolve("m", "01")


def test_an_alias_is_its_version() -> None:
    assert build(BASE, Maker()).version("m", "stable").version == "1"


def test_stable_decides_the_default_and_without_it_the_highest_comes_first() -> None:
    table = build(BASE, Maker())
    assert [v.version for v in default_versions(table.model("m"))] == ["1"]
    assert [
        v.version for v in default_versions(build(edited(BASE, model("m", "1", "2"), gone=("r",)), Maker()).model("m"))
    ] == [
        "2",
        "1",
    ]


def test_a_snapshot_that_does_not_build_raises_and_leaves_the_old_table_alone() -> None:
    table = build(BASE, Maker())
    broken = edited(BASE, route("r", {"m@3": 1}))
    with pytest.raises(InvalidArgument):
        rebuild(table, broken, changes(BASE, broken), Maker())
    assert table.generation == 1
    assert table.resolve("r", "").name == "r"


def test_a_rebuild_keeps_the_entries_of_what_did_not_change() -> None:
    maker = Maker()
    table = build(BASE, maker)
    kept, dropped, routed = table.resolve("n", ""), table.resolve("m", ""), table.resolve("r", "")
    new = edited(BASE, model("m", "1", "2", aliases={"stable": "2"}))
    after, touched = rebuild(table, new, changes(BASE, new), maker)
    assert touched == {"m"}
    assert after.resolve("n", "") is kept
    assert after.resolve("m", "") is not dropped
    assert after.resolve("r", "") is not routed, "a route to a changed model must be made again"
    assert after.generation == 2


def test_a_changed_backend_makes_every_entry_anew() -> None:
    table = build(BASE, Maker())
    kept = table.resolve("n", "")
    new = edited(BASE, backend("b", endpoints=["http://127.0.0.1:1"]))
    assert rebuild(table, new, changes(BASE, new), Maker())[0].resolve("n", "") is not kept


def test_a_deployment_that_moves_to_another_model_touches_both() -> None:
    table = build(BASE, Maker())
    moved = deployment("n@1", "b", name="m-1-b")
    new = edited(BASE, moved)
    after, touched = rebuild(table, new, changes(BASE, new), Maker())
    assert touched == {"m", "n"}
    assert after.plans.models["m"].versions["1"].replicas == ()
    assert [r.deployment for r in after.plans.models["n"].versions["1"].replicas] == ["m-1-b", "n-1-b"]


names = st.sampled_from(["a", "b", "c"])
versions = st.lists(st.sampled_from(["1", "2", "10"]), unique=True, min_size=1, max_size=3)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    rows: list[Resource] = [backend("x"), backend("y")]
    models = {name: draw(versions) for name in draw(st.lists(names, unique=True))}
    for name, ids in models.items():
        rows.append(model(name, *ids, aliases=draw(st.sampled_from([{}, {"stable": ids[0]}]))))
        for at, version in enumerate(ids):
            if draw(st.booleans()):
                where = draw(st.sampled_from("xy"))
                rows.append(deployment(f"{name}@{version}", where, name=f"d{draw(st.integers(0, 3))}-{name}-{at}"))
        if draw(st.booleans()):
            rows.append(route(f"to-{name}", {name: 1, f"{name}@{ids[0]}": draw(st.integers(0, 9))}))
    if draw(st.booleans()):
        rows.append(resource("Placement", "rest", {"backend": draw(st.sampled_from("xy"))}))
    return snapshot(draw(st.integers(1, 99)), *rows)


@given(st.lists(snapshots(), min_size=2, max_size=5))
def test_rebuilding_step_by_step_equals_building_from_nothing(steps: list[Snapshot]) -> None:
    table = build(steps[0], Maker())
    for old, new in pairwise(steps):
        table, _ = rebuild(table, new, changes(old, new), Maker())
        fresh = build(new, Maker())
        assert table.plans.models == fresh.plans.models
        assert table.plans.routes == fresh.plans.routes
        assert {k: v for k, v in table.plans.deployments.items() if v} == fresh.plans.deployments
        assert table.generation == fresh.generation
