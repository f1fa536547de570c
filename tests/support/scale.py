"""`pytest --full`: system tests at the size the requirements name, instead of one that suits every push.

What they measure is shown at the end of the run; nothing is asserted on it but what the requirements bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")
Measured = Callable[[str], None]
_LINES: pytest.StashKey[list[str]] = pytest.StashKey()


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


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Takes one line of what the test saw, for the end of the run."""
    lines = request.config.stash.setdefault(_LINES, [])
    name = request.node.name
    return lambda text: lines.append(f"{name}: {text}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
