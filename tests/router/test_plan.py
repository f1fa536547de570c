from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from penstock_adapters.protocol.errors import InvalidArgument
from penstock_registry.kinds import BackendSpec, Resource
from penstock_router.plan import ModelPlan, plan_model, plan_route, split_ref, version_order
from tests.support.resources import backend, deployment, model, resource, route

BACKENDS = {name: cast("BackendSpec", backend(name).spec) for name in ("gpu", "cpu")}


def plan(of: Resource, deployments: Sequence[Resource] = (), placements: Sequence[Resource] = ()) -> ModelPlan:
    return plan_model(of, deployments, placements, BACKENDS)


def test_versions_are_ordered_by_number_not_by_letter() -> None:
    assert sorted(["9", "10", "1.10", "1.9", "v2"], key=version_order, reverse=True) == ["10", "9", "1.10", "1.9", "v2"]


def test_a_reference_without_a_version_means_the_models_default() -> None:
    assert split_ref("digits") == ("digits", "")
    assert split_ref("digits@stable") == ("digits", "stable")


def test_a_deployment_places_its_version_under_the_remote_name() -> None:
    planned = plan(model("m", "1", "2"), [deployment("m@2", "gpu", remote={"name": "other", "version": "7"})])
    assert [v.version for v in planned.versions.values()] == ["2", "1"]
    (replica,) = planned.versions["2"].replicas
    assert (replica.backend, replica.remote_name, replica.remote_version) == ("gpu", "other", "7")
    assert planned.versions["1"].replicas == ()


def test_the_remote_name_defaults_to_the_models_own() -> None:
    (replica,) = plan(model("m", "3"), [deployment("m@3", "gpu")]).versions["3"].replicas
    assert (replica.remote_name, replica.remote_version) == ("m", "3")


def test_an_unloaded_deployment_takes_no_calls_and_stops_placement() -> None:
    rule = resource("Placement", "all", {"backend": "cpu"})
    planned = plan(model("m", "1"), [deployment("m@1", "gpu", state="UNLOADED")], [rule])
    assert planned.versions["1"].replicas == ()


def test_a_version_without_a_deployment_goes_where_the_first_matching_rule_says() -> None:
    rules = [
        resource("Placement", "torch", {"match": {"framework": "pytorch"}, "backend": "gpu"}),
        resource("Placement", "small", {"match": {"labels": {"size": "small"}}, "backend": "cpu"}),
    ]
    spec = {"versions": [{"id": "1", "labels": {"size": "small"}}, {"id": "2", "framework": "pytorch"}, {"id": "3"}]}
    versions = plan(resource("Model", "m", spec), (), rules).versions
    assert [[r.backend for r in versions[v].replicas] for v in "123"] == [["cpu"], ["gpu"], []]


def test_a_versions_label_wins_over_the_models() -> None:
    rule = resource("Placement", "small", {"match": {"labels": {"size": "small"}}, "backend": "cpu"})
    spec = {"versions": [{"id": "1", "labels": {"size": "large"}}, {"id": "2"}]}
    versions = plan(resource("Model", "m", spec, size="small"), (), [rule]).versions
    assert versions["1"].replicas == ()
    assert [r.backend for r in versions["2"].replicas] == ["cpu"]


def test_a_versions_signature_wins_over_the_models() -> None:
    wide = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 9]}], "outputs": []}
    narrow = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}], "outputs": []}
    spec = {"signature": wide, "versions": [{"id": "1"}, {"id": "2", "signature": narrow}]}
    versions = plan(resource("Model", "m", spec)).versions
    assert versions["1"].signature is not None
    assert versions["1"].signature.inputs[0].shape == (-1, 9)
    assert versions["2"].signature is not None
    assert versions["2"].signature.inputs[0].shape == (-1, 3)


def test_a_deployment_on_an_unknown_backend_is_refused_with_its_name() -> None:
    with pytest.raises(InvalidArgument, match=r"Deployment 'm-1-nowhere'.*Backend 'nowhere'"):
        plan(model("m", "1"), [deployment("m@1", "nowhere")])


def test_a_deployment_of_an_unknown_version_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="version '9' of Model 'm'"):
        plan(model("m", "1"), [deployment("m@9", "gpu")])


def test_a_route_keeps_its_targets_in_order_with_weights_and_timeout() -> None:
    models = {"m": plan(model("m", "1", "2", aliases={"stable": "1"}))}
    planned = plan_route(route("r", {"m@stable": 90, "m@2": 10, "m": 0}, timeoutMs=250), models)
    assert [(t.ref, t.weight) for t in planned.targets] == [("stable", 90), ("2", 10), ("", 0)]
    assert planned.timeout_s == 0.25


@pytest.mark.parametrize("target", ["nope", "m@9", "m@nope"])
def test_a_route_to_what_does_not_exist_names_the_field(target: str) -> None:
    models = {"m": plan(model("m", "1"))}
    with pytest.raises(InvalidArgument, match=r"spec.targets\[1\].to refers to"):
        plan_route(route("r", {"m@1": 1, target: 1}), models)
