"""`pytest --full`: system tests at the size the requirements name, instead of one that suits every push."""

from __future__ import annotations

from typing import TypeVar

import pytest

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="system tests at full size: some take minutes")


class Scale:
    """Chooses sizes."""

    def __init__(self, *, full: bool) -> None:
        self.full = full

    def __call__(self, usual: T, full: T) -> T:
        """`usual` on every push, `full` on demand."""
        return full if self.full else usual


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    return Scale(full=bool(request.config.getoption("--full")))
