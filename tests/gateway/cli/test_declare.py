"""apply, diff, validate and export, over a real server."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
import yaml

from penstock_registry.kinds import Resource
from penstock_router.live import Standing
from tests.gateway.cli.commands import penstock
from tests.support.admin import AdminServer
from tests.support.resources import backend, deployment, model, route

ALL = (
    backend("b"),
    model("m", "1", "2", aliases={"stable": "1"}),
    deployment("m@1", "b"),
    route("r", {"m@stable": 90, "m@2": 10}),
)


def written(path: Path, *resources: Resource) -> str:
    path.write_text("---\n".join(yaml.safe_dump(resource.manifest()) for resource in resources))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> str:
    return written(tmp_path / "all.yaml", *ALL)


def test_applying_twice_changes_nothing(admin: AdminServer, files: str) -> None:
    first = penstock("apply", "-f", files, "--reason", "start", "--server", admin.url)
    second = penstock("apply", "-f", files, "--server", admin.url)

    assert (first.code, second.code) == (0, 0)
    assert first.lines == ["Backend/b created", "Model/m created", "Deployment/m-1-b created", "Route/r created"]
    assert first.err == "4 created; snapshot 1\n"
    assert [line.split()[1] for line in second.lines] == ["unchanged"] * 4
    assert second.err == "4 unchanged; snapshot 1\n"
    assert admin.call("GET", "/v1/snapshots/1").json["reason"] == "start"


def test_a_broken_manifest_changes_nothing_at_all(admin: AdminServer, files: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "apiVersion: penstock/v1\nkind: Route\nmetadata: {name: r}\nspec:\n  targets: [{to: m, wieght: 1}]\n"
    )

    ran = penstock("apply", "-f", files, "-f", str(broken), "--server", admin.url)

    assert ran.code == 2
    assert ran.err.splitlines() == [
        f"{broken}:5: spec.targets[0].wieght: unknown field; did you mean 'weight'?",
        "error: 1 problem; nothing was changed",
    ]
    assert admin.call("GET", "/v1/snapshots").json["items"] == []


def test_what_only_the_server_can_know_is_refused_by_it(admin: AdminServer, tmp_path: Path) -> None:
    ran = penstock("apply", "-f", written(tmp_path / "r.yaml", route("r", {"m": 1})), "--server", admin.url)

    assert ran.code == 2
    assert "Route 'r': spec.targets[0].to refers to Model 'm', which does not exist" in ran.err
    assert "hint: " in ran.err


def test_a_dry_run_says_what_would_happen(admin: AdminServer, files: str) -> None:
    ran = penstock("apply", "-f", files, "--dry-run", "--server", admin.url)

    assert ran.lines[0] == "Backend/b created (dry run)"
    assert "nothing was changed" in ran.err
    assert admin.call("GET", "/v1/backends").json["items"] == []


def test_prune_deletes_what_the_files_do_not_name(admin: AdminServer, files: str, tmp_path: Path) -> None:
    penstock("apply", "-f", files, "-q", "--server", admin.url)
    only = written(tmp_path / "only.yaml", route("s", {"m": 1}))

    ran = penstock("apply", "-f", only, "--prune", "--server", admin.url)

    assert ran.lines == ["Route/s created", "Route/r deleted"]
    assert penstock("apply", "-f", only, "--prune", "--prune-selector", "team=a", "-q", "--server", admin.url).out == ""


def test_waiting_ends_when_everything_is_ready(admin: AdminServer, files: str) -> None:
    def become_ready() -> None:
        until = time.monotonic() + 20
        while not admin.call("GET", "/v1/snapshots").json["items"]:
            assert time.monotonic() < until
        admin.states["m-1-b"] = ("LOADING", "")
        admin.serving.generation = 1
        admin.states["m-1-b"] = ("READY", "")

    background = threading.Thread(target=become_ready)
    background.start()
    ran = penstock("apply", "-f", files, "--wait", "--server", admin.url)
    background.join()

    assert ran.code == 0
    assert ran.err.endswith("everything is ready\n")


def test_waiting_ends_with_1_when_the_time_is_over(admin: AdminServer, files: str) -> None:
    ran = penstock("apply", "-f", files, "--wait", "--timeout", "0", "--server", admin.url)
    admin.serving.generation = 1
    later = penstock("apply", "-f", files, "--wait", "--timeout", "0", "--server", admin.url)

    assert (ran.code, later.code) == (1, 1)
    assert "not ready after 0 s: the server still serves snapshot 0" in ran.err
    assert "not ready after 0 s: Deployment/m-1-b is PENDING" in later.err


def test_waiting_ends_at_once_when_a_deployment_failed(admin: AdminServer, files: str) -> None:
    admin.serving.generation = 1
    admin.states["m-1-b"] = ("FAILED", "no such file")

    ran = penstock("apply", "-f", files, "--wait", "--server", admin.url)

    assert ran.code == 6
    assert "error: Deployment/m-1-b failed: no such file" in ran.err


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("FAILED", 6, "error: Model/m version 2 on b failed: this is not an ONNX file"),
        ("LOADING", 1, "not ready after 0 s: Model/m version 2 on b is LOADING"),
        ("READY", 0, "everything is ready"),
    ],
)
def test_waiting_covers_what_a_placement_puts_somewhere(
    admin: AdminServer, files: str, state: str, code: int, words: str
) -> None:
    admin.serving.generation = 1
    admin.states["m-1-b"] = ("READY", "")
    reason = "this is not an ONNX file" if state == "FAILED" else ""
    admin.serving.standing["m"] = [Standing("m@2.b", "2", "b", placed=True, state=state, reason=reason)]

    ran = penstock("apply", "-f", files, "--wait", "--timeout", "0", "--server", admin.url)

    assert ran.code == code
    assert words in ran.err


def test_diff_exits_with_1_and_shows_each_field(admin: AdminServer, files: str, tmp_path: Path) -> None:
    penstock("apply", "-f", files, "--server", admin.url)
    changed = written(tmp_path / "changed.yaml", route("r", {"m@stable": 80, "m@2": 20}), backend("c"))

    none, some, as_json = (
        penstock("diff", *arguments, "--server", admin.url)
        for arguments in (["-f", files], ["-f", changed], ["-f", changed, "-o", "json"])
    )

    assert (none.code, none.out, none.err) == (0, "", "no differences\n")
    assert some.code == 1
    assert some.lines == [
        "~ Route/r updated",
        "    spec.targets[0].weight: 90 -> 80",
        "    spec.targets[1].weight: 10 -> 20",
        "+ Backend/c created",
    ]
    assert [change["name"] for change in json.loads(as_json.out)] == ["r", "c"]


def test_diff_of_something_broken_is_above_1(admin: AdminServer) -> None:
    assert penstock("diff", "-f", "no.yaml", "--server", admin.url).code == 2


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_exported_is_no_difference(admin: AdminServer, files: str, form: str) -> None:
    penstock("apply", "-f", files, "--server", admin.url)

    exported = penstock("export", "-o", form, "--server", admin.url)
    ran = penstock("diff", "--prune", "-f", "-", "--server", admin.url, stdin=exported.out)

    assert exported.code == 0
    assert (ran.code, ran.err) == (0, "no differences\n")


def test_an_old_snapshot_can_be_exported(admin: AdminServer, files: str, tmp_path: Path) -> None:
    penstock("apply", "-f", files, "--server", admin.url)
    penstock("apply", "-f", written(tmp_path / "c.yaml", backend("c")), "--server", admin.url)

    old = penstock("export", "--revision", "1", "--server", admin.url)

    assert len(list(yaml.safe_load_all(old.out))) == 4
    assert penstock("export", "--revision", "9", "--server", admin.url).code == 5


def test_validate_needs_no_server(files: str, tmp_path: Path) -> None:
    dangling = written(tmp_path / "d.yaml", model("m", "1"), deployment("m@9", "b"))

    assert penstock("validate", "-f", files).out == "4 manifests are valid\n"
    assert penstock("validate", "-q", "-f", files).out == ""
    assert penstock("validate", "-f", dangling).code == 2
    assert "m@9 does not exist; m has 1" in penstock("validate", "-f", dangling).err
