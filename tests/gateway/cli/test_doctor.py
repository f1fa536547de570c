"""The doctor finds what is wrong before users do."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.gateway.cli.commands import Ran, penstock
from tests.support.admin import AdminServer


@pytest.fixture
def ports() -> list[str]:
    """Settings with ports where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        numbers = [a.getsockname()[1], b.getsockname()[1]]
    return ["--set", f"http_port={numbers[0]}", "--set", f"grpc_port={numbers[1]}", "--set", "admin_port=0"]


@pytest.fixture
def stranger() -> Iterator[int]:
    """A port where something listens that is not Penstock."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        yield listener.getsockname()[1]


def examine(tmp_path: Path, *arguments: str) -> tuple[Ran, dict[str, dict[str, str]]]:
    ran = penstock("doctor", "--set", f"data_dir={tmp_path / 'data'}", *arguments, "-o", "json")
    return ran, {finding["check"]: finding for finding in json.loads(ran.out)}


def test_a_fit_machine_passes(tmp_path: Path, ports: list[str]) -> None:
    ran, found = examine(tmp_path, *ports)

    assert ran.code == 0
    assert {name: finding["status"] for name, finding in found.items() if name != "open files"} == dict.fromkeys(
        ["python", "onnxruntime", "settings", "data_dir", "database", "redis", "http port", "grpc port", "admin port", "server"], "ok"
    )  # fmt: skip
    assert not (tmp_path / "data").exists(), "a doctor changes nothing"


def test_the_table_ends_with_hints(tmp_path: Path, ports: list[str]) -> None:
    ran = penstock("doctor", "--set", "redis=redis://127.0.0.1:1/0", "--set", f"data_dir={tmp_path}", *ports)

    assert ran.lines[0].split() == ["CHECK", "STATUS", "FOUND"]
    assert "hint (redis): predictions go on without it; is it running?" in ran.lines
    assert (
        yaml.safe_load(penstock("doctor", "--set", f"data_dir={tmp_path}", *ports, "-o", "yaml").out)[0]["check"]
        == "python"
    )


def test_wrong_settings_end_the_examination(tmp_path: Path) -> None:
    ran, found = examine(tmp_path, "--set", "workers=x")

    assert ran.code == 1
    assert found["settings"]["status"] == "FAIL"
    assert "workers: must be a whole number" in found["settings"]["text"]


def test_a_port_somebody_else_has_is_a_failure(
    tmp_path: Path, ports: list[str], stranger: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_gateway.cli.doctor.TIMEOUT_S", 0.2)

    ran, found = examine(tmp_path, *ports, "--set", f"admin_port={stranger}")

    assert ran.code == 1
    assert found["admin port"]["text"] == f"127.0.0.1:{stranger} is taken by another program"
    assert found["admin port"]["hint"] == "choose another with --set admin_port=N"


def test_a_running_admin_api_is_recognised(tmp_path: Path, ports: list[str], admin: AdminServer) -> None:
    _, found = examine(tmp_path, *ports, "--set", f"admin_port={admin.url.rpartition(':')[2]}")

    assert found["admin port"]["text"].endswith("is served by Penstock")


def test_a_database_is_asked_for_its_schema(tmp_path: Path, ports: list[str]) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'penstock.db'}"
    Path(tmp_path / "penstock.db").touch()

    _, before = examine(tmp_path, *ports, "--set", f"database={url}")
    penstock("db", "upgrade", "--database", url)
    _, after = examine(tmp_path, *ports, "--set", f"database={url}")

    assert (before["database"]["status"], after["database"]["status"]) == ("warn", "ok")
    assert before["database"]["hint"] == "`penstock db upgrade`, or `serve`"


def test_a_database_that_does_not_answer_is_a_failure_without_its_password(tmp_path: Path, ports: list[str]) -> None:
    ran, found = examine(tmp_path, *ports, "--set", "database=postgresql+asyncpg://u:hunter2@127.0.0.1:1/d")

    assert ran.code == 1
    assert found["database"]["status"] == "FAIL"
    assert "hunter2" not in ran.out + ran.err


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path, ports: list[str]) -> None:
    (tmp_path / "data").write_text("a file, not a folder")

    ran, found = examine(tmp_path, *ports)

    assert ran.code == 1
    assert found["data_dir"]["status"] == "FAIL"
