"""The commands and their help. Heavy packages are loaded inside the commands that need them: `penstock version` is quick."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Final

import typer

from penstock_gateway.cli import declare, doctor, history, infer, read, server
from penstock_gateway.cli.exits import MEANINGS

WIDTH: Final = 110
NARROW: Final = 76
COMMANDS: Final = (
    server.serve,
    declare.apply,
    declare.diff,
    declare.validate,
    declare.export,
    read.get,
    read.describe,
    history.delete,
    infer.infer,
    history.snapshots,
    history.rollback,
    doctor.doctor,
    server.version,
)
"""The commands in the order of the help."""


def application() -> typer.Typer:
    """The commands and their help."""
    app = typer.Typer(
        name="penstock",
        help="One Open Inference Protocol address, REST and gRPC, in front of every model server you run.",
        epilog=_exit_codes(),
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
    )
    for command in COMMANDS:
        app.command(help=_help(command))(command)
    settings = typer.Typer(help="The settings of a server.", no_args_is_help=True, rich_markup_mode=None)
    settings.command("show", help=_help(server.config_show))(server.config_show)
    app.add_typer(settings, name="config")
    database = typer.Typer(help="The database of the registry.", no_args_is_help=True, rich_markup_mode=None)
    for name, command in (("upgrade", server.db_upgrade), ("check", server.db_check), ("version", server.db_version)):
        database.command(name, help=_help(command))(command)
    app.add_typer(database, name="db")
    return app


def main() -> None:
    """The entry point `penstock`."""
    application()()


def _help(command: Callable[..., None]) -> str:
    """The docstring, with its examples kept line by line: a backspace tells the formatter to leave a paragraph alone."""
    text = inspect.getdoc(command) or ""
    for title in ("Examples", "Example"):
        text = text.replace(f"\n{title}:\n", f"\n\b\n{title}:\n")
    return text


def _exit_codes() -> str:
    # Wrapped here: the formatter leaves such a paragraph alone, and a terminal of 80 columns would cut words in two.
    lines = (
        textwrap.fill(meaning, NARROW, initial_indent=f"  {code.value}  ", subsequent_indent="     ")
        for code, meaning in MEANINGS.items()
    )
    return "\b\nExit codes:\n" + "\n".join(lines)
