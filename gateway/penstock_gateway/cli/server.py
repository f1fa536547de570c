"""Running a server: serve, config, db, version."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_gateway.cli.exits import Exit, fail, warn
from penstock_gateway.cli.options import Config, Set, flags_of
from penstock_gateway.cli.output import Format, as_json, as_yaml, line, table

if TYPE_CHECKING:
    from penstock_gateway.settings import Settings

DatabaseFlag = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="SQLAlchemy URL of the registry.", show_default="SQLite in data_dir"
    ),
]


def serve(
    *,
    config: Config = "",
    http_port: Annotated[
        int | None, typer.Option("--http-port", metavar="N", help="REST port.", show_default="8100")
    ] = None,
    grpc_port: Annotated[
        int | None, typer.Option("--grpc-port", metavar="N", help="gRPC port.", show_default="8101")
    ] = None,
    admin_port: Annotated[
        int | None, typer.Option("--admin-port", metavar="N", help="Admin port.", show_default="8102")
    ] = None,
    data_dir: Annotated[str | None, typer.Option("--data-dir", metavar="FOLDER", help="Folder for its files.")] = None,
    database: DatabaseFlag = None,
    redis: Annotated[
        str | None, typer.Option("--redis", metavar="URL", help="redis://host:port/n.", show_default="none")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes on the same ports.", show_default="1")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", metavar="FORMAT", help="auto, json, console.")
    ] = None,
    settings: Set = None,
) -> None:
    """Serve REST, gRPC and the admin API.

    Ctrl-C or SIGTERM lets requests in flight finish. Exit code 0 if every request that was accepted was answered, 1 if not,
    78 if it cannot listen or has no folder for its files.

    Examples:
      penstock serve
      penstock serve --workers 4 --database postgresql+asyncpg://db/penstock
      penstock serve --set drain_seconds=10 --set gzip=false

    """
    flags = flags_of(
        settings,
        http_port=http_port,
        grpc_port=grpc_port,
        admin_port=admin_port,
        data_dir=data_dir,
        database=database,
        redis=redis,
        workers=workers,
        log_level=log_level,
        log_format=log_format,
    )
    loaded = load_settings(config, flags)
    from penstock_gateway.boot import run  # noqa: PLC0415  # the server loads everything; no other command may

    raise typer.Exit(run(loaded))


def config_show(
    *,
    config: Config = "",
    settings: Set = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", metavar="table|json|yaml", help="How to print.")
    ] = Format.TABLE,
) -> None:
    """Print every setting, its value and its origin.

    Passwords are masked.

    Examples:
      penstock config show
      PENSTOCK_WORKERS=4 penstock config show -o json

    """
    loaded = load_settings(config, flags_of(settings))
    shown, origins = loaded.shown(), loaded.origins
    if output in {Format.JSON, Format.YAML}:
        value = {name: {"value": shown[name], "origin": origins[name]} for name in shown}
        line(as_json(value) if output is Format.JSON else as_yaml(value))
        return
    line(table(["SETTING", "VALUE", "ORIGIN"], [[name, _word(shown[name]), origins[name]] for name in shown]))


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def load_settings(config: str, flags: dict[str, str]) -> Settings:
    """The settings; every problem is printed, and one ends the command."""
    from penstock_gateway.settings import SettingsError, load  # noqa: PLC0415  # pydantic takes a while to load

    try:
        return load(Path(config) if config else None, flags)
    except SettingsError as error:
        for problem in error.problems:
            warn(problem)
        plural = "problem" if len(error.problems) == 1 else "problems"
        fail(Exit.USAGE, f"{len(error.problems)} {plural} in the settings", "`penstock config show` lists all settings")


def db_upgrade(*, config: Config = "", database: DatabaseFlag = None, settings: Set = None) -> None:
    """Bring the schema to what this version needs.

    `serve` does it, too; running it twice changes nothing.

    Example:
      penstock db upgrade --database postgresql+asyncpg://penstock@db/penstock

    """
    from penstock_gateway.cli import database as db  # noqa: PLC0415  # SQLAlchemy takes a while to load

    loaded = load_settings(config, flags_of(settings, database=database))
    before, after = asyncio.run(db.upgrade(loaded.database_url))
    line(f"schema {after}: nothing to do" if before == after else f"schema {before or 'none'} -> {after}")


def db_check(*, config: Config = "", database: DatabaseFlag = None, settings: Set = None) -> None:
    """Check the schema and the history.

    Every link of the hash chain is computed again. Exit code 1 if something is wrong.

    Example:
      penstock db check

    """
    from penstock_gateway.cli import database as db  # noqa: PLC0415

    loaded = load_settings(config, flags_of(settings, database=database))
    problem = asyncio.run(db.check(loaded.database_url))
    if problem:
        fail(Exit.DIFFERENT, problem, "" if "db upgrade" in problem else "restore the database from a backup")
    line("schema and history are in order")


def db_version(*, config: Config = "", database: DatabaseFlag = None, settings: Set = None) -> None:
    """Print the schema versions: found and needed.

    Example:
      penstock db version

    """
    from penstock_gateway.cli import database as db  # noqa: PLC0415

    loaded = load_settings(config, flags_of(settings, database=database))
    found, needed = asyncio.run(db.versions(loaded.database_url))
    line(f"database {found or 'none'}, program {needed}")


def version() -> None:
    """Print the version.

    Example:
      penstock version

    """
    from importlib.metadata import version as of  # noqa: PLC0415

    line(f"penstock {of('penstock')}")
