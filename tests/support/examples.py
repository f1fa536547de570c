"""deploy/examples as `make demo` serves them: Penstock in front of a real Triton, both started by the tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.examples.assemble import EXAMPLES, assemble

from tests.support.penstock import Penstock, penstock
from tests.support.triton import Triton, triton_server

MODELS = ("digits@1", "digits@2", "digits-live", "digits-triton", "intent")


def manifests_for(triton: Triton | None, directory: Path) -> Path:
    """A copy of deploy/examples that names the ports of this Triton; without one, what needs Triton is left out."""
    shutil.copytree(EXAMPLES, directory, ignore=shutil.ignore_patterns("*.py", "__pycache__", "triton"))
    backends = directory / "backends.yaml"
    if triton is None:
        (directory / "digits-triton.yaml").unlink()
        backends.write_text(backends.read_text(encoding="utf-8").split("---")[0], encoding="utf-8")
        return directory
    text = backends.read_text(encoding="utf-8")
    for usual, chosen in ((8000, triton.ports.http), (8001, triton.ports.grpc)):
        assert f"127.0.0.1:{usual}" in text
        text = text.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{chosen}")
    backends.write_text(text, encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def example_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """A Triton with the examples' model, for the session."""
    root = tmp_path_factory.mktemp("example-triton")
    with triton_server(assemble(root / "models"), root / "triton.log", ("digits",)) as server:
        yield server


@pytest.fixture(scope="session")
def examples(example_triton: Triton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """Penstock with every example model ready, for the session. Nobody changes or stops this one."""
    root = tmp_path_factory.mktemp("examples")
    with penstock(root) as product:
        product.apply(manifests_for(example_triton, root / "manifests"))
        product.wait_ready(*MODELS)
        yield product
