"""Single resources are read, written with preconditions, deleted and promoted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock_adapters.protocol.message import Json
from penstock_registry.kinds import KINDS
from penstock_registry.schemas import schema
from tests.support.admin import AdminServer
from tests.support.resources import backend, deployment, model, resource, route

FIRST = model("m", "1", "2", aliases={"stable": "1"})


def test_a_resource_is_created_read_replaced_and_left_alone(admin: AdminServer) -> None:
    created = admin.call(
        "PUT", "/v1/backends/b", backend("b").manifest(), x_penstock_author="ann", x_penstock_reason="why"
    )
    again = admin.call("PUT", "/v1/backends/b", backend("b").manifest())
    replaced = admin.call("PUT", "/v1/backends/b", backend("b", "triton").manifest())
    read = admin.call("GET", "/v1/backends/b")

    assert [(r.status, r.headers["etag"], r.headers["penstock-outcome"]) for r in (created, again, replaced)] == [
        (201, '"1"', "created"), (200, '"1"', "unchanged"), (200, '"2"', "updated"),
    ]  # fmt: skip
    assert read.json == {**backend("b", "triton").manifest(), "revision": 2}
    assert read.headers["etag"] == '"2"'
    snapshot = admin.call("GET", "/v1/snapshots/1").json
    assert (snapshot["author"], snapshot["reason"]) == ("ann", "why")


def test_what_get_gave_can_be_put(admin: AdminServer) -> None:
    admin.apply(backend("b"), FIRST, deployment("m@1", "b"))
    shown = admin.call("GET", "/v1/deployments/m-1-b")

    assert shown.json["status"] == {"state": "PENDING", "reason": ""}
    assert admin.call("PUT", "/v1/deployments/m-1-b", shown.json).headers["penstock-outcome"] == "unchanged"


def test_an_unchanged_resource_is_not_sent_again(admin: AdminServer) -> None:
    admin.apply(backend("b"))

    answer = admin.call("GET", "/v1/backends/b", if_none_match='"1"')

    assert (answer.status, answer.body) == (304, b"")


def test_a_deployment_shows_its_observed_state(admin: AdminServer) -> None:
    admin.apply(backend("b"), FIRST, deployment("m@1", "b"))
    admin.states["m-1-b"] = ("FAILED", "the file is not ONNX")

    expected = {"state": "FAILED", "reason": "the file is not ONNX"}
    assert admin.call("GET", "/v1/deployments/m-1-b").json["status"] == expected
    assert admin.call("GET", "/v1/deployments").json["items"][0]["status"] == expected


def test_a_lost_race_is_a_conflict_that_says_so(admin: AdminServer) -> None:
    put = "PUT", "/v1/backends/b"
    assert admin.call(*put, backend("b").manifest(), if_none_match="*").status == 201
    assert admin.call(*put, backend("b").manifest(), if_none_match="*").error == (409, "revision_conflict")
    assert admin.call(*put, backend("b", "triton").manifest(), if_match='"1"').status == 200

    lost = admin.call(*put, backend("b", "onnxruntime").manifest(), if_match='"1"')

    assert lost.error == (409, "revision_conflict")
    assert "If-Match" in lost.json["hint"]
    assert admin.call("DELETE", "/v1/backends/b", if_match='"1"').error == (409, "revision_conflict")
    assert [row["result"] for row in admin.call("GET", "/v1/audit").json["items"]] == [
        "conflict", "conflict", "ok", "conflict", "ok",
    ]  # fmt: skip


def test_a_write_answers_with_what_it_wrote_whatever_others_write_meanwhile(admin: AdminServer) -> None:
    admin.apply(model("m", owner="nobody"))
    manifests = [model("m", owner=f"o{number}").manifest() for number in range(24)]

    def put(manifest: dict[str, Json]) -> bool:
        answer = admin.call("PUT", "/v1/models/m", manifest)
        # Another's ETag beside it would let the next If-Match overwrite what its writer never saw.
        written = admin.call("GET", f"/v1/snapshots/{answer.headers['etag'].strip(chr(34))}").json
        [change] = written["changes"]
        [field] = change["fields"]
        return bool(field["after"] == manifest["spec"]["owner"] == answer.json["spec"]["owner"])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(put, manifests))


@pytest.mark.parametrize(
    "headers",
    [{"if_match": "1,2"}, {"if_match": 'W/"1"'}, {"if_none_match": '"1"'}, {"if_none_match": "*", "if_match": '"1"'}],
)
def test_a_precondition_that_is_none_is_refused(admin: AdminServer, headers: dict[str, str]) -> None:
    assert admin.call("PUT", "/v1/backends/b", backend("b").manifest(), **headers).error == (400, "header_invalid")


def test_a_wrong_manifest_is_400_with_every_field(admin: AdminServer) -> None:
    manifest = {**model("m", "1").manifest(), "kind": "Model", "spec": {"ownr": 1, "versions": [{"id": 3}]}}

    answer = admin.call("PUT", "/v1/models/m", manifest)

    assert answer.error == (400, "request_invalid")
    assert answer.json["problems"] == [
        {"path": "spec.versions[0].id", "text": 'must be text: put it in quotes, "3"'},
        {"path": "spec.ownr", "text": "unknown field; did you mean 'owner'?"},
    ]


def test_path_and_manifest_must_agree(admin: AdminServer) -> None:
    for path, where in (("/v1/backends/c", "metadata.name"), ("/v1/routes/b", "kind")):
        answer = admin.call("PUT", path, backend("b").manifest())

        assert answer.error == (400, "request_invalid")
        assert answer.json["problems"][0]["path"] == where


def test_a_reference_to_nothing_is_refused_and_nothing_is_changed(admin: AdminServer) -> None:
    answer = admin.call("PUT", "/v1/routes/r", route("r", {"m@1": 1}).manifest())

    assert answer.error == (400, "reference_missing")
    assert admin.call("GET", "/v1/snapshots").json["items"] == []


def test_a_dry_run_changes_nothing(admin: AdminServer) -> None:
    admin.apply(backend("b"))

    assert (
        admin.call("PUT", "/v1/backends/c?dry_run=true", backend("c").manifest()).headers["penstock-outcome"]
        == "created"
    )
    assert admin.call("DELETE", "/v1/backends/b?dry_run=true").json["outcome"] == "deleted"
    assert [item["metadata"]["name"] for item in admin.call("GET", "/v1/backends").json["items"]] == ["b"]


def test_what_is_used_is_not_deleted(admin: AdminServer) -> None:
    admin.apply(backend("b"), FIRST, deployment("m@1", "b"))

    assert admin.call("DELETE", "/v1/backends/b").error == (400, "reference_in_use")
    assert admin.call("DELETE", "/v1/deployments/m-1-b").json == {
        "kind": "Deployment", "name": "m-1-b", "outcome": "deleted", "revision": 2, "dry_run": False,
    }  # fmt: skip
    assert admin.call("DELETE", "/v1/deployments/m-1-b").error == (404, "resource_not_found")


def test_lists_are_selected_and_come_in_pages(admin: AdminServer) -> None:
    admin.apply(*(resource("Backend", f"b{i}", {"platform": "fake"}, zone="ab"[i % 2]) for i in range(5)))

    first = admin.call("GET", "/v1/backends?limit=2&selector=zone%3Da").json
    second = admin.call("GET", f"/v1/backends?limit=2&selector=zone%3Da&after={first['next']}").json

    assert [[item["metadata"]["name"] for item in answer["items"]] for answer in (first, second)] == [
        ["b0", "b2"],
        ["b4"],
    ]
    assert (first["revision"], first["next"], second["next"]) == (1, "b2", "")
    assert admin.call("GET", "/v1/backends?limit=0").error == (400, "request_invalid")
    assert admin.call("GET", "/v1/backends?selector=a%3D%3D%3D").error == (400, "parameter_invalid")


def test_an_alias_is_promoted(admin: AdminServer) -> None:
    admin.apply(FIRST)

    promoted = admin.call("POST", "/v1/models/m/promote", {"version": "2"}, if_match='"1"')

    assert promoted.json["spec"]["aliases"] == {"stable": "2"}
    assert promoted.headers["etag"] == '"2"'
    assert admin.call("GET", "/v1/snapshots/2").json["reason"] == "promote m@2 to stable"
    assert admin.call("POST", "/v1/models/m/promote", {"version": "1"}, if_match='"1"').error == (
        409,
        "revision_conflict",
    )
    assert admin.call("POST", "/v1/models/m/promote", {"version": "9"}).error == (400, "request_invalid")
    assert admin.call("POST", "/v1/models/n/promote", {"version": "9"}).error == (404, "resource_not_found")


def test_no_promote_is_lost_when_many_come_at_once(admin: AdminServer) -> None:
    admin.apply(FIRST)

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda i: admin.call("POST", "/v1/models/m/promote", {"version": "2", "alias": f"a{i}"}), range(40)
            )
        )

    assert {answer.status for answer in answers} == {200}
    assert set(admin.call("GET", "/v1/models/m").json["spec"]["aliases"]) == {"stable", *(f"a{i}" for i in range(40))}


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_of_every_kind_is_published(admin: AdminServer, kind: str) -> None:
    known = next(k for k in KINDS if k == kind)

    assert admin.call("GET", f"/v1/schemas/{kind}").json == schema(known)
    assert admin.call("GET", f"/v1/schemas/{kind.lower()}s").json == schema(known)


def test_a_schema_there_is_none_of_is_404(admin: AdminServer) -> None:
    assert admin.call("GET", "/v1/schemas/Thing").error == (404, "resource_not_found")


def test_a_write_that_was_committed_is_acknowledged_whatever_happens_to_the_database_then(admin: AdminServer) -> None:
    admin.apply(FIRST)
    admin.store_ends_with_a_commit = True

    put = admin.call("PUT", "/v1/backends/b", backend("b").manifest())
    admin.store_is_down = False
    promoted = admin.call("POST", "/v1/models/m/promote", {"alias": "stable", "version": "2"})
    admin.store_is_down = False
    deleted = admin.call("DELETE", "/v1/backends/b")

    assert (put.status, put.headers["etag"], put.json["revision"]) == (201, '"2"', 2)
    assert (promoted.status, promoted.headers["etag"]) == (200, '"3"')
    assert promoted.json["spec"]["aliases"] == {"stable": "2"}
    assert (deleted.status, deleted.json["revision"]) == (200, 4)
