"""Who refers to whom."""

from __future__ import annotations

import pytest

from penstock_adapters.protocol.errors import InvalidArgument
from penstock_registry.kinds import Resource
from penstock_registry.references import Reference, in_use, missing, offers, problems, references_of, withdrawn
from penstock_registry.snapshot import Change
from tests.support.resources import backend, deployment, model, resource, route, snapshot

MODEL = model("m", "1", "2", aliases={"stable": "1"})


def placement(name: str, on: str) -> Resource:
    return resource("Placement", name, {"backend": on})


def test_each_kind_refers_to_what_it_names() -> None:
    assert [(r.target, r.selector) for r in references_of(deployment("m@1", "b"))] == [
        (("Model", "m"), "version:1"),
        (("Backend", "b"), ""),
    ]
    assert [(r.target, r.selector) for r in references_of(placement("p", "b"))] == [(("Backend", "b"), "")]
    assert [(r.target, r.selector, r.field) for r in references_of(route("r", {"m": 1, "m@stable": 2}))] == [
        (("Model", "m"), "", "spec.targets[0].to"),
        (("Model", "m"), "stable", "spec.targets[1].to"),
    ]
    assert references_of(MODEL) == references_of(backend("b")) == references_of(None) == ()


@pytest.mark.parametrize(
    "good",
    [
        (),
        (MODEL,),
        (backend("b"), MODEL, deployment("m@2", "b"), placement("p", "b")),
        (MODEL, route("r", {"m": 1, "m@1": 1, "m@stable": 1})),
        (MODEL, route("m", {"m@1": 90, "m@2": 10})),
    ],
    ids=lambda resources: "-".join(r.kind for r in resources) or "empty",
)
def test_a_whole_snapshot_has_no_problem_when_everything_is_there(good: tuple[Resource, ...]) -> None:
    assert problems(snapshot(1, *good)) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ((deployment("m@1", "b"), MODEL), "spec.backend refers to Backend 'b'"),
        ((deployment("m@3", "b"), MODEL, backend("b")), "spec.model refers to Model 'm@3'"),
        ((deployment("m@stable", "b"), MODEL, backend("b")), "spec.model refers to Model 'm@stable'"),
        ((placement("p", "b"),), "spec.backend refers to Backend 'b'"),
        ((route("r", {"m": 1}),), r"spec.targets\[0\].to refers to Model 'm'"),
        ((route("r", {"m@1": 1, "m@beta": 1}), MODEL), r"spec.targets\[1\].to refers to Model 'm@beta'"),
        # A route targets models only, not another route.
        ((route("r", {"m": 1}), MODEL, route("s", {"r": 1})), r"spec.targets\[0\].to refers to Model 'r'"),
    ],
)
def test_a_reference_to_nothing_is_named_with_its_field(bad: tuple[Resource, ...], words: str) -> None:
    [problem] = problems(snapshot(1, *bad))

    assert problem.reason == "reference_missing"
    with pytest.raises(InvalidArgument, match=words):
        raise problem


def test_what_a_change_takes_away_is_found() -> None:
    smaller = model("m", "2", aliases={"beta": "2"})

    assert withdrawn([Change(MODEL.key, MODEL, smaller)]) == {MODEL.key: {"1", "version:1", "stable"}}
    assert withdrawn([Change(MODEL.key, MODEL, None)]) == {MODEL.key: offers(MODEL)}
    assert withdrawn([Change(MODEL.key, None, MODEL), Change(("Backend", "b"), backend("b"), backend("b"))]) == {}


def test_moving_an_alias_takes_nothing_away() -> None:
    moved = model("m", "1", "2", aliases={"stable": "2"})

    assert withdrawn([Change(MODEL.key, MODEL, moved)]) == {}


def test_an_alias_that_becomes_a_version_does_not_satisfy_a_deployment_of_the_old_version() -> None:
    renamed = model("m", "2", aliases={"1": "2"})

    gone = withdrawn([Change(MODEL.key, MODEL, renamed)])

    assert gone == {MODEL.key: {"version:1", "stable"}}


def test_users_are_named_and_long_lists_are_cut() -> None:
    users = [Reference(("Route", f"r{i}"), MODEL.key, "1") for i in range(7)]

    [problem] = in_use({MODEL.key: {"1"}}, users)

    assert problem.text == (
        "Model 'm@1' is still used by Route 'r0', Route 'r1', Route 'r2', Route 'r3', Route 'r4' and 2 more"
    ) or problem.text.endswith("…")
    assert in_use({MODEL.key: {"2"}}, users) == []


def test_what_is_offered_satisfies_a_reference() -> None:
    reference = Reference(("Route", "r"), MODEL.key, "stable", "spec.targets[0].to")

    assert missing([reference], {MODEL.key: offers(MODEL)}) == []
    assert len(missing([reference], {})) == 1
