"""get and describe show what there is, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from queue import Queue

import pytest
import yaml

from penstock_router.live import Standing
from tests.gateway.cli.commands import penstock
from tests.support.admin import AdminServer
from tests.support.resources import backend, deployment, model, resource, route


@pytest.fixture
def filled(admin: AdminServer) -> AdminServer:
    admin.states["m-1-b"] = ("READY", "")
    admin.apply(
        backend("b"), resource("Model", "m", {"versions": [{"id": "1"}]}, team="a"), model("n", "1"),
        deployment("m@1", "b"), route("r", {"m@1": 3}), reason="first",
    )  # fmt: skip
    return admin


def test_a_list_is_a_table(filled: AdminServer) -> None:
    assert penstock("get", "models", "--server", filled.url).lines == [
        "NAME   VERSIONS   ALIASES   OWNER   REVISION",
        "m      1          -         -       1",
        "n      1          -         -       1",
    ]


def test_all_kinds_are_listed_with_full_names(filled: AdminServer) -> None:
    ran = penstock("get", "all", "-o", "name", "--server", filled.url)

    assert ran.lines == ["Backend/b", "Model/m", "Model/n", "Deployment/m-1-b", "Route/r"]
    assert "Deployment/m-1-b   m@1     b         READY" in penstock("get", "all", "--server", filled.url).out


def test_labels_select(filled: AdminServer) -> None:
    assert penstock("get", "models", "-l", "team=a", "-o", "name", "--server", filled.url).lines == ["Model/m"]
    assert penstock("get", "models", "-l", "team=a,", "-o", "name", "--server", filled.url).lines == ["Model/m"]
    assert penstock("get", "models", "-l", "=", "--server", filled.url).code == 2


def test_one_resource_is_a_document(filled: AdminServer) -> None:
    as_json = penstock("get", "deployment", "m-1-b", "-o", "json", "--server", filled.url)
    as_yaml = penstock("get", "deployment", "m-1-b", "-o", "yaml", "--server", filled.url)

    assert json.loads(as_json.out) == yaml.safe_load(as_yaml.out) == {
        **deployment("m@1", "b").manifest(), "revision": 1, "status": {"state": "READY", "reason": ""},
    }  # fmt: skip
    assert penstock("apply", "-f", "-", "--server", filled.url, stdin=as_yaml.out).lines == [
        "Deployment/m-1-b unchanged"
    ]


def test_a_list_in_json_is_a_list_even_when_it_is_empty(admin: AdminServer) -> None:
    assert penstock("get", "models", "-o", "json", "--server", admin.url).out == "[]\n"
    assert penstock("get", "models", "-o", "yaml", "--server", admin.url).out == ""


def test_nothing_to_show_is_said_on_standard_error(admin: AdminServer) -> None:
    ran = penstock("get", "models", "--server", admin.url)

    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "no models yet; create some with `penstock apply -f FILE`\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["get", "model", "x"], 5, "Model 'x' does not exist"),
        (["get", "pods"], 2, "'pods' is not a kind"),
        (["get", "all", "x"], 2, "exclude each other"),
        (["describe", "route", "x"], 5, "Route 'x' does not exist"),
    ],
)
def test_what_is_not_there_is_said(admin: AdminServer, arguments: list[str], code: int, words: str) -> None:
    ran = penstock(*arguments, "--server", admin.url)

    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert "hint: " in ran.err


def test_describe_connects_a_model_with_what_concerns_it(filled: AdminServer) -> None:
    ran = penstock("describe", "model", "m", "--server", filled.url)

    assert ran.lines[:2] == ["Model: m", "Labels: team=a"]
    assert ran.lines[2].startswith("Last changed: snapshot 1, 2")
    assert ran.lines[2].endswith("by anonymous: first")
    assert "  m-1-b   m@1     b         READY" in ran.lines
    assert ran.lines[-2:] == ["Routes:", "  r -> m@1 (weight 3)"]


def test_describe_says_when_nothing_is_connected(filled: AdminServer) -> None:
    ran = penstock("describe", "model", "n", "--server", filled.url)

    assert ran.lines[-2:] == ["Deployments: none", "Routes: none; it is called by its own name"]


def test_describe_shows_where_a_placement_put_a_model_and_what_became_of_it(filled: AdminServer) -> None:
    failed = Standing("n@1.b", "1", "b", placed=True, state="FAILED", reason="this is not an ONNX file")
    filled.serving.standing["n"] = [failed]

    ran = penstock("describe", "model", "n", "--server", filled.url)

    assert "  (placed)   n@1     b         FAILED (this is not an ONNX file)" in ran.lines


def test_describe_shows_why_a_deployment_is_not_ready(filled: AdminServer) -> None:
    filled.states["m-1-b"] = ("FAILED", "no such file")

    assert "State: FAILED (no such file)" in penstock("describe", "deployment", "m-1-b", "--server", filled.url).lines
    assert "FAILED (no such file)" in penstock("describe", "backend", "b", "--server", filled.url).out


def test_watching_prints_what_changes(filled: AdminServer) -> None:
    command = [
        sys.executable,
        "-u",
        "-c",
        "from penstock_gateway.cli import main; main()",
        "get",
        "deployments",
        "-w",
        "--server",
        filled.url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: Queue[str] = Queue()

        def read() -> None:
            for line in process.stdout or []:
                lines.put(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            assert lines.get(timeout=30).startswith("NAME")
            assert "READY" in lines.get(timeout=30)
            filled.states["m-1-b"] = ("UNLOADING", "")
            assert "UNLOADING" in lines.get(timeout=30)
        finally:
            process.terminate()
            process.wait(30)
            reader.join(30)
