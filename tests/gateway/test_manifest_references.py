"""References among manifests are judged as far as that is possible without a server."""

from __future__ import annotations

from penstock_gateway.manifest_references import dangling
from penstock_gateway.manifests import Manifest
from penstock_registry.kinds import Resource
from tests.support.resources import backend, deployment, model, route


def said(*resources: Resource) -> list[str]:
    return [str(problem) for problem in dangling([Manifest(r, "a.yaml", line) for line, r in enumerate(resources, 1)])]


def test_a_version_that_the_model_in_the_same_files_lacks_is_a_problem() -> None:
    found = said(
        model("m", "1", "2", aliases={"stable": "1"}), deployment("m@9", "b"), route("r", {"m@1": 1, "m@candidate": 1})
    )

    assert found == [
        "a.yaml:2: spec.model: m@9 does not exist; m has 1, 2",
        "a.yaml:3: spec.targets[1].to: m@candidate does not exist; m has 1, 2, stable",
    ]


def test_a_deployment_cannot_run_an_alias() -> None:
    assert said(model("m", "1", aliases={"stable": "1"}), deployment("m@stable", "b")) == [
        "a.yaml:2: spec.model: m@stable does not exist; m has 1"
    ]


def test_what_may_be_on_the_server_is_not_judged() -> None:
    assert said(deployment("elsewhere@9", "b"), route("r", {"elsewhere@x": 1}), backend("b")) == []
