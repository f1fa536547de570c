"""Clients in virtualenvs of their own: their dependencies and ours cannot share one. `make test` runs this first.

KServe's SDK, and the clients that are generated from the protocol's own OpenAPI and proto files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from tests.bench.environments import KSERVE, Environment, ensure

# The generated gRPC client does not say that it needs protobuf.
OPEN_INFERENCE: Final = Environment(
    "open-inference", ("open-inference-openapi==2.0.0.1", "open-inference-grpc==2.0.0", "protobuf<7"), (3, 14)
)


def _python(environment: Environment, config: pytest.Config) -> Path:
    """The environment's Python. The first installation takes a while, so the line that says so is not captured."""
    if sys.version_info[:2] >= environment.python_below:
        pytest.skip(f"{environment.name} does not run on Python {sys.version_info.major}.{sys.version_info.minor}")
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        return ensure(environment)


@pytest.fixture(scope="session")
def kserve_python(pytestconfig: pytest.Config) -> Path:
    """The Python that has KServe's SDK; the bench uses the same."""
    return _python(KSERVE, pytestconfig)


@pytest.fixture(scope="session")
def open_inference_python(pytestconfig: pytest.Config) -> Path:
    """The Python that has the generated clients."""
    return _python(OPEN_INFERENCE, pytestconfig)


if __name__ == "__main__":
    for each in (KSERVE, OPEN_INFERENCE):
        if sys.version_info[:2] < each.python_below:
            ensure(each)
