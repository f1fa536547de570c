from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from penstock_gateway import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_its_fields(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger("x").info("snapshot_served", revision=7)
    (line,) = capfd.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["revision"], said["level"]) == ("snapshot_served", 7, "info")


def test_lines_below_the_level_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "json")
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert "quiet" not in (said := capfd.readouterr().err)
    assert "loud" in said


def test_without_a_terminal_auto_is_json(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "auto")
    structlog.get_logger("x").info("here")
    assert json.loads(capfd.readouterr().err)["event"] == "here"


def test_libraries_come_out_the_same_way(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logging.getLogger("some.library").warning("it says")
    assert json.loads(capfd.readouterr().err)["event"] == "it says"


def test_control_characters_cannot_break_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger("x").info("named", name="a\nb\x1b[31m")
    assert len(capfd.readouterr().err.splitlines()) == 1
