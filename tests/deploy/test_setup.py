"""The set-up scripts that make runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from deploy.setup import serve_lock
from packaging.requirements import Requirement

from tests.support.tidy import ROOT

SETUP = ROOT / "deploy" / "setup"
SCRIPTS = [*sorted(SETUP.glob("*.sh")), ROOT / "tests" / "support" / "install_servers.sh"]


def run(script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        timeout=60,
    )


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with bash and little else: no apt-get, no sudo, no servers."""
    for name in ("bash", "env", "dirname", "id", "mktemp", "rm", "tail"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    return str(tmp_path)


def test_the_lock_names_everything_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in ("postgres", "triton"):
        asked += project["project"]["optional-dependencies"][extra]
    lines = serve_lock.WHOLE.read_text(encoding="utf-8").splitlines()
    locked = {serve_lock.normalized(line.partition("==")[0]) for line in lines if line[:1].isalnum()}

    missing = {serve_lock.normalized(Requirement(line).name) for line in asked} - locked

    assert not missing, "refresh requirements.lock, then run python -m deploy.setup.serve_lock"


def test_the_lock_for_serving_is_the_part_of_the_lock_that_serving_needs() -> None:
    text = serve_lock.PART.read_text(encoding="utf-8")

    assert text == serve_lock.part(), "run python -m deploy.setup.serve_lock"
    assert "fastapi==" in text
    assert "pytest==" not in text


def test_what_serving_needs_follows_extras_and_spellings() -> None:
    needed = serve_lock.needed()

    assert {"sqlalchemy", "greenlet", "ml-dtypes", "typing-extensions"} <= needed
    assert "async-timeout" in needed  # by redis, on Python 3.11.2, which is Debian 12's
    assert not {"pytest", "tritonclient", "asyncpg", "penstock"} & needed


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_run_and_stops_at_its_first_error(script: Path) -> None:
    text = script.read_text(encoding="utf-8")

    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert subprocess.run(["bash", "-n", str(script)], check=False, timeout=20).returncode == 0


def test_a_python_that_fits_is_found_and_printed_whole() -> None:
    found = run(SETUP / "find_python.sh", PYTHON=sys.executable)

    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).is_absolute()


def test_without_a_fitting_python_it_says_which_and_where_from() -> None:
    found = run(SETUP / "find_python.sh", PYTHON="no-such-python")

    assert found.returncode == 1
    assert "Python 3.11 or newer" in found.stderr
    assert "apt-get install" in found.stderr


def test_without_apt_it_says_what_is_missing_and_why(bare_path: str) -> None:
    done = run(SETUP / "apt_install.sh", "The tests start a real Redis", "redis-server", PATH=bare_path)

    assert done.returncode == 1
    assert "The tests start a real Redis" in done.stderr
    assert "redis-server" in done.stderr
