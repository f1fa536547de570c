"""KServe's SDK in a virtualenv of its own: its dependencies and ours cannot share one. `make test` runs this first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bench.environments import KSERVE, ensure


@pytest.fixture(scope="session")
def kserve_python(pytestconfig: pytest.Config) -> Path:
    """The Python of that environment, which the bench uses, too. The first installation takes a minute or two."""
    if sys.version_info[:2] >= KSERVE.python_below:
        pytest.skip(f"KServe's SDK does not run on Python {sys.version_info.major}.{sys.version_info.minor}")
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # so that the line that says what takes long is seen
        return ensure(KSERVE)


if __name__ == "__main__" and sys.version_info[:2] < KSERVE.python_below:
    ensure(KSERVE)
