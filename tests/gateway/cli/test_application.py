"""The command line as a whole: help that teaches, and a quick start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock_gateway.cli.application import COMMANDS
from penstock_gateway.cli.exits import MEANINGS
from tests.gateway.cli.commands import penstock

VERBS = [
    "serve",
    "apply",
    "diff",
    "validate",
    "export",
    "get",
    "describe",
    "delete",
    "infer",
    "snapshots",
    "rollback",
    "config",
    "doctor",
    "db",
    "version",
]
HEAVY = {
    "pydantic_settings",
    "fastapi",
    "sqlalchemy",
    "alembic",
    "numpy",
    "grpc",
    "onnxruntime",
    "aiohttp",
    "yaml",
    "redis",
}


def test_help_lists_every_verb_and_exit_code() -> None:
    ran = penstock("--help")

    assert ran.code == 0
    assert all(any(line.split()[:1] == [verb] for line in ran.lines) for verb in VERBS)
    assert all(meaning in " ".join(ran.out.split()) for meaning in MEANINGS.values())


@pytest.mark.parametrize(
    "command", [[verb] for verb in VERBS if verb not in {"config", "db"}] + [["config", "show"], ["db", "upgrade"], ["db", "check"], ["db", "version"]],
    ids=" ".join,
)  # fmt: skip
def test_help_of_each_command_has_examples_that_start_with_its_name(command: list[str]) -> None:
    ran = penstock(*command, "-h")

    examples = [
        line.strip() for line in ran.lines if f"penstock {' '.join(command)}" in line and not line.startswith("Usage")
    ]
    assert ran.code == 0
    assert examples, ran.out


@pytest.mark.parametrize(
    "command", [[], *([verb] for verb in VERBS), ["config", "show"], ["db", "upgrade"]], ids=" ".join
)
def test_help_fits_80_columns_without_cutting_a_word(command: list[str]) -> None:
    ran = penstock(*command, "-h", COLUMNS="80")

    unindented = [line for line in ran.lines if line[:1].strip()]
    assert all(line.startswith("Usage: ") or line.endswith(":") for line in unindented), unindented


def test_no_summary_is_cut_off() -> None:
    summaries = [line for line in penstock("--help").lines if line.startswith("  ") and line.split()[0] in VERBS]

    assert len(summaries) == len(VERBS)
    assert not [line for line in summaries if line.endswith("...")]
    assert len(COMMANDS) == len(VERBS) - 2


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    ran = penstock("aply")

    assert ran.code == 2
    assert "Did you mean 'apply'?" in ran.err


def test_a_command_loads_only_what_it_needs() -> None:
    # What makes a start slow is imports: `version` must not pay for the server's.
    program = (
        "import sys\nsys.argv = ['penstock', 'version']\nfrom penstock_gateway.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout.startswith("penstock ")
    assert not HEAVY & set(ran.stdout.split())
