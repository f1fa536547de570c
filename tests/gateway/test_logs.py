from __future__ import annotations

import json
import logging
import os
import secrets
import sys
from contextlib import suppress
from typing import Literal

import pytest
import structlog

from penstock_gateway import logs

pytestmark = pytest.mark.usefixtures("restored_logs")


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


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("library", [False, True])
def test_a_traceback_tells_where_and_never_what_was_in_the_variables(
    capfd: pytest.CaptureFixture[str], form: Literal["json", "console"], library: bool
) -> None:
    """A frame's variables are callers' tensors and our passwords."""
    logs.configure("info", form)
    log = logging.getLogger("some.library") if library else structlog.get_logger("x")
    password = secrets.token_hex(8)
    try:
        _fails(password)
    except RuntimeError as error:
        log.error("failed", exc_info=error)  # noqa: TRY400 - as the edges write it
    said = capfd.readouterr().err
    assert "_fails" in said
    assert password not in said


def _fails(secret: str) -> None:
    raise RuntimeError(f"no good, {len(secret)} characters")


def test_a_closed_log_loses_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody_reads:
        monkeypatch.setattr(sys, "stderr", nobody_reads)
        logs.configure("info", "json")
        structlog.get_logger("x").error("unforeseen_error", exc_info=ZeroDivisionError())
        logging.getLogger("some.library").warning("it says")
        with suppress(BrokenPipeError):
            nobody_reads.close()
    structlog.get_logger("x").error("after it was closed")
