"""Who may import whom, and what may be missing: looked at in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tidy import PACKAGES, ROOT

OPTIONAL = ("asyncpg", "tritonclient", "torchserve_client", "kserve", "sklearn", "skl2onnx", "onnx", "pytest")
"""Extras and development packages: `pip install penstock` alone must do without them."""
NEEDING = ("penstock_registry.postgres_hints", "penstock_adapters.testing")
"""Loaded only where their extra is used: asyncpg with PostgreSQL, pytest by who tests an adapter."""
EVERY_MODULE = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {optional}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (an extra)", name=name)

sys.meta_path.insert(0, Missing())
for package in {packages}:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if ".migrations" not in found.name and not found.name.startswith({needing}):
            importlib.import_module(found.name)
"""
FRAMEWORKS = {"fastapi", "starlette", "uvicorn", "sqlalchemy", "grpc", "aiohttp", "onnxruntime", "httptools", "redis"}


def python(code: str) -> str:
    """What a fresh interpreter prints. Fails with its words if it fails."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a statement loads."""
    return set(python(f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})").split())


def test_the_layers_import_downwards_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([str(linter)], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)

    assert done.returncode == 0, done.stdout


def test_every_module_loads_without_the_extras() -> None:
    python(EVERY_MODULE.format(optional=set(OPTIONAL), packages=tuple(PACKAGES.values()), needing=NEEDING))


@pytest.mark.parametrize("module", ["body", "rest_codec", "grpc_codec", "errors"])
def test_the_protocol_loads_no_framework(module: str) -> None:
    assert not loaded_by(f"import penstock_adapters.protocol.{module}") & FRAMEWORKS


def test_the_command_line_answers_before_it_loads_a_framework() -> None:
    heavy = loaded_by("import penstock_gateway.cli") & {*FRAMEWORKS, "numpy", "pydantic"}

    assert not heavy
