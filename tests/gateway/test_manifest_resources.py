"""A document becomes a resource, or every problem in it is said."""

from __future__ import annotations

import pytest

from penstock_gateway.manifest_resources import resource_from
from penstock_registry.kinds import Resource
from tests.support.resources import backend, deployment, model, route


@pytest.mark.parametrize(
    "resource", [backend("b", "fake", ["http://h:1"]), model("m", "1", "2", aliases={"stable": "1"}), deployment("m@1", "b"), route("r", {"m@1": 3})],
    ids=lambda resource: resource.kind,
)  # fmt: skip
def test_a_manifest_read_back_is_the_resource(resource: Resource) -> None:
    assert resource_from(resource.manifest()) == resource


def test_what_the_server_adds_is_ignored() -> None:
    resource = deployment("m@1", "b")

    assert resource_from({**resource.manifest(), "revision": 7, "status": {"state": "READY"}}) == resource


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], ["a manifest must be a mapping with apiVersion, kind, metadata, spec, not a list"]),
        ({}, ["'apiVersion' is missing; write apiVersion: penstock/v1", "'kind' is missing", "'metadata' is missing"]),
        (
            {"apiVersion": "v1", "kind": "model", "metadata": {"nam": "a"}, "specs": {}},
            [
                "specs: unknown field; did you mean 'spec'?",
                "apiVersion: must be 'penstock/v1', not 'v1'",
                "kind: 'model' is not a kind; did you mean 'Model'?",
                "metadata.name: is missing; this field is required",
                "metadata.nam: unknown field; did you mean 'name'?",
            ],
        ),
        (
            {"apiVersion": "penstock/v1", "kind": 3, "metadata": {"name": "a"}},
            ["kind: '3' is not a kind; known: Backend, Deployment, Model, Placement, Route"],
        ),
        (
            {
                "apiVersion": "penstock/v1",
                "kind": "Route",
                "metadata": {"name": "stats"},
                "spec": {"targets": [{"to": "m"}]},
            },
            ["the name 'stats' is reserved"],
        ),
        (
            {"apiVersion": "penstock/v1", "kind": "Backend", "metadata": {"name": "a"}, "spec": None},
            ["spec.platform: is missing; this field is required"],
        ),
    ],
)
def test_every_problem_is_said(document: object, expected: list[str]) -> None:
    made = resource_from(document)

    assert isinstance(made, list)
    assert [str(problem) for problem in made] == expected


def test_a_platform_nobody_speaks_is_refused_with_the_nearest_one() -> None:
    document = {
        "apiVersion": "penstock/v1",
        "kind": "Backend",
        "metadata": {"name": "b"},
        "spec": {"platform": "tritn"},
    }
    problems = resource_from(document)
    assert isinstance(problems, list)
    (problem,) = problems
    assert str(problem) == "spec.platform: 'tritn' is not a platform; did you mean 'triton'?"
