"""config, version, and what `serve` refuses before it starts anything."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
import yaml

from penstock_gateway.cli.server import serve
from penstock_gateway.settings import Settings
from tests.gateway.cli.commands import penstock


def test_config_shows_each_value_with_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text("workers = 2\n")

    ran = penstock("config", "show", "-c", str(path), "--set", "gzip=false", PENSTOCK_HTTP_PORT="9000")

    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.lines}
    assert ran.code == 0
    assert rows["SETTING"] == "VALUE ORIGIN"
    assert rows["workers"] == f"2 {path}"
    assert rows["http_port"] == "9000 environment PENSTOCK_HTTP_PORT"
    assert rows["gzip"] == "false flag --gzip"
    assert rows["grpc_port"] == "8101 default"
    assert rows.keys() - {"SETTING"} == Settings.model_fields.keys()


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_config_for_programs_has_value_and_origin(form: str, read: object) -> None:
    ran = penstock("config", "show", "-o", form)

    assert callable(read)
    assert read(ran.out)["http_port"] == {"value": 8100, "origin": "default"}


@pytest.mark.parametrize("command", [["config", "show"], ["serve"], ["db", "version"]])
def test_wrong_settings_are_all_said_and_end_the_command(command: list[str]) -> None:
    ran = penstock(*command, "--set", "wrokers=1", "--set", "http_port=x")

    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.splitlines() == [
        "--set wrokers: no such setting; did you mean 'workers'?",
        "flag --http-port: http_port: must be a whole number, not text",
        "error: 2 problems in the settings",
        "hint: `penstock config show` lists all settings",
    ]


def test_serve_refuses_to_be_reachable_without_authentication() -> None:
    ran = penstock("serve", "--set", "http_host=0.0.0.0")

    assert ran.code == 2
    assert "would be reachable from other machines" in ran.err


def test_every_option_of_serve_is_a_setting() -> None:
    options = inspect.signature(serve).parameters.keys() - {"config", "settings"}

    assert options <= Settings.model_fields.keys()


def test_the_version_is_printed() -> None:
    assert penstock("version").out.startswith("penstock 0.")
