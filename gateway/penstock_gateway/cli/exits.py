"""Exit codes, and the one way a command fails: a line on standard error that says what, and a line that says what to do."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Final, NoReturn

import typer


class Exit(IntEnum):
    """Stable: scripts rely on these numbers."""

    OK = 0
    DIFFERENT = 1
    USAGE = 2
    UNREACHABLE = 3
    CONFLICT = 4
    NOT_FOUND = 5
    FAILED = 6


MEANINGS: Final = {
    Exit.OK: "done; `diff` found no differences, `doctor` found nothing wrong",
    Exit.DIFFERENT: "the answer is no: `diff` found differences, `doctor` or `db check` found something wrong, "
    "`apply --wait` did not see everything ready in time",
    Exit.USAGE: "the command line, a manifest, a setting or a request is wrong; nothing was changed",
    Exit.UNREACHABLE: "the server or its database cannot be reached, or is not ready; trying again may help",
    Exit.CONFLICT: "somebody else changed it first; nothing was changed",
    Exit.NOT_FOUND: "what the command names does not exist",
    Exit.FAILED: "the server or a model failed",
}
BY_STATUS: Final = {
    401: Exit.USAGE, 403: Exit.USAGE, 404: Exit.NOT_FOUND, 408: Exit.UNREACHABLE, 409: Exit.CONFLICT,
    429: Exit.UNREACHABLE, 503: Exit.UNREACHABLE, 504: Exit.UNREACHABLE,
}  # fmt: skip
"""HTTP status -> exit code; of the others 4xx is USAGE and 5xx is FAILED."""


def exit_for(status: int) -> Exit:
    """The exit code for an HTTP status that is no success."""
    return BY_STATUS.get(status, Exit.USAGE if status < 500 else Exit.FAILED)


def warn(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(text + "\n")


def fail(code: Exit, text: str, hint: str = "") -> NoReturn:
    """End the command: what is wrong and what to do, on standard error."""
    warn(f"error: {text}")
    if hint:
        warn(f"hint: {hint}")
    raise typer.Exit(code)
