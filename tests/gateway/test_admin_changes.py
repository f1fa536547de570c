"""Many resources change as one, or not at all; what changed is kept, compared and undone."""

from __future__ import annotations

import pytest

from tests.support.admin import AdminServer
from tests.support.resources import backend, deployment, model, resource, route

ALL = (
    backend("b"),
    model("m", "1", "2", aliases={"stable": "1"}),
    deployment("m@1", "b"),
    route("r", {"m@stable": 90, "m@2": 10}),
)


def outcomes(answer: object) -> list[str]:
    assert isinstance(answer, dict)
    return [f"{row['kind']}/{row['name']} {row['outcome']}" for row in answer["outcomes"]]


def test_applying_twice_changes_nothing(admin: AdminServer) -> None:
    first, second = admin.apply(*ALL, reason="start").json, admin.apply(*ALL).json

    assert outcomes(first) == ["Backend/b created", "Model/m created", "Deployment/m-1-b created", "Route/r created"]
    assert [outcome.split()[1] for outcome in outcomes(second)] == ["unchanged"] * 4
    assert (first["revision"], second["revision"]) == (1, 1)


def test_the_order_of_the_manifests_does_not_matter(admin: AdminServer) -> None:
    assert admin.apply(*reversed(ALL)).status == 200


def test_one_wrong_manifest_and_nothing_is_changed(admin: AdminServer) -> None:
    answer = admin.call("POST", "/v1/apply", {"resources": [backend("b").manifest(), {"kind": "Model"}, 7]})

    assert answer.error == (400, "request_invalid")
    assert [problem["path"] for problem in answer.json["problems"]] == ["resources[1]", "resources[1]", "resources[2]"]
    assert admin.call("GET", "/v1/backends").json["items"] == []


def test_a_resource_given_twice_is_refused(admin: AdminServer) -> None:
    answer = admin.apply(backend("b"), backend("b", "triton"))

    assert answer.json["problems"] == [{"path": "resources[1]", "text": "Backend 'b' is already given as resources[0]"}]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"resources": [], "prun": True}, "prun"),
        ({}, "resources"),
        ({"resources": {}}, "resources"),
        ({"resources": [], "prune_scope": {"kinds": ["Modell"]}, "prune": True}, "prune_scope.kinds"),
        ({"resources": [], "reason": "a\u0000b"}, "reason"),
        ([], ""),
    ],
)
def test_a_wrong_body_is_400_with_the_field(admin: AdminServer, body: object, path: str) -> None:
    answer = admin.call("POST", "/v1/apply", body)

    assert answer.error == (400, "request_invalid")
    assert answer.json["problems"][0]["path"] == path


def test_prune_deletes_what_the_set_does_not_name_of_its_kinds(admin: AdminServer) -> None:
    admin.apply(*ALL, backend("old"), route("s", {"m": 1}))

    trial = admin.apply(backend("b"), ALL[3], prune=True, dry_run=True).json
    done = admin.apply(backend("b"), ALL[3], prune=True).json

    assert outcomes(trial) == outcomes(done)
    assert outcomes(done) == ["Backend/b unchanged", "Route/r unchanged", "Route/s deleted", "Backend/old deleted"]
    assert len(admin.call("GET", "/v1/models").json["items"]) == 1


def test_prune_stays_in_its_scope(admin: AdminServer) -> None:
    admin.apply(
        resource("Backend", "a", {"platform": "fake"}, team="a"),
        resource("Backend", "b", {"platform": "fake"}, team="b"),
    )

    answer = admin.apply(prune=True, prune_scope={"kinds": ["Backend"], "selector": "team=a"}).json

    assert outcomes(answer) == ["Backend/a deleted"]
    assert outcomes(admin.apply(prune=True).json) == []


def test_what_is_still_used_is_not_pruned(admin: AdminServer) -> None:
    admin.apply(*ALL)

    assert admin.apply(backend("other"), prune=True).error == (400, "reference_in_use")


def test_a_dry_run_changes_nothing(admin: AdminServer) -> None:
    answer = admin.apply(*ALL, dry_run=True).json

    assert answer["dry_run"] is True
    assert len(outcomes(answer)) == 4
    assert admin.call("GET", "/v1/export").json == {"revision": 0, "resources": []}


def test_diff_names_each_field_with_before_and_after(admin: AdminServer) -> None:
    admin.apply(*ALL)
    changed = (route("r", {"m@stable": 80, "m@2": 20}), backend("c"))

    answer = admin.call("POST", "/v1/diff", {"resources": [r.manifest() for r in changed]}).json

    assert answer["revision"] == 1
    assert [(c["kind"], c["name"], c["outcome"]) for c in answer["changes"]] == [
        ("Route", "r", "updated"), ("Backend", "c", "created"),
    ]  # fmt: skip
    assert answer["changes"][0]["fields"] == [
        {"path": "spec.targets[0].weight", "before": 90, "after": 80},
        {"path": "spec.targets[1].weight", "before": 10, "after": 20},
    ]


def test_what_is_exported_is_no_difference(admin: AdminServer) -> None:
    admin.apply(*ALL)
    exported = admin.call("GET", "/v1/export").json["resources"]

    assert [r["kind"] for r in exported] == ["Backend", "Model", "Deployment", "Route"]
    assert admin.call("POST", "/v1/diff", {"resources": exported, "prune": True}).json["changes"] == []


def test_a_rollback_is_a_new_snapshot_equal_to_the_old(admin: AdminServer) -> None:
    admin.apply(*ALL)
    admin.apply(route("r", {"m": 1}), backend("c"))
    before = admin.call("GET", "/v1/export?revision=1").json

    answer = admin.call("POST", "/v1/rollback", {"to": 1, "reason": "no"}, x_penstock_author="ann").json

    assert answer == {"revision": 3, "to": 1, "changed": 2}
    assert admin.call("GET", "/v1/export").json["resources"] == before["resources"]
    assert admin.call("POST", "/v1/rollback", {"to": 9}).error == (404, "snapshot_not_found")
    assert admin.call("POST", "/v1/rollback", {"to": "x"}).error == (400, "request_invalid")
    assert admin.call("GET", "/v1/export?revision=9").error == (404, "snapshot_not_found")


def test_the_history_is_a_chain_in_pages(admin: AdminServer) -> None:
    for name in ("a", "b", "c"):
        admin.apply(backend(name), reason=f"add {name}")

    first = admin.call("GET", "/v1/snapshots?limit=2").json
    rest = admin.call("GET", f"/v1/snapshots?limit=2&before={first['next']}").json

    items = first["items"] + rest["items"]
    assert [item["revision"] for item in items] == [3, 2, 1]
    assert [item["reason"] for item in items] == ["add c", "add b", "add a"]
    assert [item["previous_hash"] for item in items[:2]] == [item["hash"] for item in items[1:]]
    assert rest["next"] == 0


def test_a_snapshot_says_what_it_changed(admin: AdminServer) -> None:
    admin.apply(backend("a"), backend("b"))
    admin.apply(backend("a", "triton"))
    admin.call("DELETE", "/v1/backends/b")

    changes = [admin.call("GET", f"/v1/snapshots/{n}").json["changes"] for n in (1, 2, 3)]

    assert [[(c["name"], c["outcome"]) for c in row] for row in changes] == [
        [("a", "created"), ("b", "created")], [("a", "updated")], [("b", "deleted")],
    ]  # fmt: skip
    assert changes[1][0]["fields"] == [{"path": "spec.platform", "before": "fake", "after": "triton"}]
    assert admin.call("GET", "/v1/snapshots/9").error == (404, "snapshot_not_found")
    assert admin.call("GET", "/v1/snapshots/0").error == (404, "snapshot_not_found")
    assert admin.call("GET", "/v1/snapshots/x").error == (400, "request_invalid")


def test_every_attempt_is_in_the_audit(admin: AdminServer) -> None:
    admin.apply(backend("a"))
    admin.apply(route("r", {"m": 1}))

    rows = admin.call("GET", "/v1/audit?limit=10").json["items"]

    assert [(row["action"], row["result"], row["author"]) for row in rows] == [
        ("write", "refused", "anonymous"), ("write", "ok", "anonymous"),
    ]  # fmt: skip


def test_without_the_store_everything_that_needs_it_is_503(admin: AdminServer) -> None:
    admin.apply(*ALL)
    admin.store_is_down = True

    answers = [
        admin.apply(*ALL), admin.call("GET", "/v1/export"), admin.call("GET", "/v1/models"), admin.call("GET", "/v1/audit"),
        admin.call("DELETE", "/v1/routes/r"), admin.call("POST", "/v1/rollback", {"to": 1}), admin.call("GET", "/v1/snapshots/1"),
    ]  # fmt: skip

    assert [answer.error for answer in answers] == [(503, "store_unavailable")] * len(answers)
