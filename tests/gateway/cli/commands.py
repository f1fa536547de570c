"""Running commands in this process, and what they printed."""

from __future__ import annotations

from typing import NamedTuple

from typer.testing import CliRunner

from penstock_gateway.cli.application import application


class Ran(NamedTuple):
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def penstock(*arguments: str, stdin: str = "", **environment: str) -> Ran:
    """Run `penstock ARGUMENTS`."""
    result = CliRunner().invoke(application(), list(arguments), input=stdin, env=environment, prog_name="penstock")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)
