"""delete, snapshots and rollback."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.gateway.cli.commands import penstock
from tests.support.admin import AdminServer
from tests.support.resources import backend, model, route


@pytest.fixture
def filled(admin: AdminServer) -> AdminServer:
    admin.apply(backend("a"), backend("b"), model("m", "1"), route("r", {"m": 1}), reason="first")
    return admin


def test_resources_are_deleted_by_name(filled: AdminServer) -> None:
    ran = penstock("delete", "backend", "a", "b", "--reason", "grüße", "--server", filled.url)

    assert ran.lines == ["Backend/a deleted", "Backend/b deleted"]
    assert filled.call("GET", "/v1/snapshots/2").json["reason"] == "grüße"


def test_a_dry_run_deletes_nothing(filled: AdminServer) -> None:
    assert penstock("delete", "backend", "a", "--dry-run", "--server", filled.url).lines == [
        "Backend/a deleted (dry run)"
    ]
    assert penstock("get", "backend", "a", "--server", filled.url).code == 0


def test_what_is_used_is_not_deleted(filled: AdminServer) -> None:
    ran = penstock("delete", "model", "m", "--server", filled.url)

    assert ran.code == 2
    assert "is still used by Route 'r'" in ran.err


def test_what_is_not_there_is_exit_code_5(filled: AdminServer) -> None:
    assert penstock("delete", "model", "x", "--server", filled.url).code == 5


def test_the_history_is_listed_newest_first(filled: AdminServer) -> None:
    penstock("delete", "backend", "a", "--server", filled.url)

    ran = penstock("snapshots", "--server", filled.url)

    assert ran.lines[0].split() == ["REVISION", "CREATED", "AUTHOR", "CHANGED", "REASON"]
    assert [line.split()[0] for line in ran.lines[1:]] == ["2", "1"]
    assert ran.lines[2].endswith("first")
    assert penstock("snapshots", "-n", "1", "-o", "name", "--server", filled.url).lines == ["2"]
    assert len(json.loads(penstock("snapshots", "-o", "json", "--server", filled.url).out)) == 2
    assert len(yaml.safe_load(penstock("snapshots", "-o", "yaml", "--server", filled.url).out)[0]["hash"]) == 64
    assert "HASH" in penstock("snapshots", "-o", "wide", "--server", filled.url).lines[0]


def test_one_snapshot_shows_what_it_changed(filled: AdminServer) -> None:
    filled.apply(backend("a", "triton"))

    ran = penstock("snapshots", "2", "--server", filled.url)

    assert ran.lines[-2:] == ["~ Backend/a updated", '    spec.platform: "fake" -> "triton"']
    assert json.loads(penstock("snapshots", "2", "-o", "json", "--server", filled.url).out)["revision"] == 2
    assert "reason: first" in penstock("snapshots", "1", "--server", filled.url).lines
    assert penstock("snapshots", "9", "--server", filled.url).code == 5


def test_a_rollback_brings_back_what_was(filled: AdminServer) -> None:
    before = penstock("export", "--server", filled.url).out
    penstock("delete", "route", "r", "--server", filled.url)

    ran = penstock("rollback", "--to", "1", "--reason", "too soon", "--server", filled.url)

    assert ran.out == "snapshot 3 is equal to snapshot 1; 1 resource changed\n"
    assert penstock("export", "--server", filled.url).out == before
    assert filled.call("GET", "/v1/snapshots/3").json["reason"] == "too soon"
    assert penstock("rollback", "--to", "9", "--server", filled.url).code == 5
    assert penstock("rollback", "--server", filled.url).code == 2
