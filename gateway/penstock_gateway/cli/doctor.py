"""doctor: is this machine fit to serve, and does the server on it do so? Each finding comes with what to do."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple
from urllib.parse import urlsplit

import typer

from penstock_gateway.cli.exits import Exit
from penstock_gateway.cli.options import Config, Set, flags_of
from penstock_gateway.cli.output import Format, as_json, as_yaml, line, table

if TYPE_CHECKING:
    from penstock_gateway.settings import Settings

FILES_WANTED: Final = 4096
"""Open files: one a connection, on both sides."""
TIMEOUT_S: Final = 3.0


class Finding(NamedTuple):
    """The result of one check. status: ok, warn or FAIL."""

    check: str
    status: str
    text: str
    hint: str = ""


def doctor(
    *,
    config: Config = "",
    settings: Set = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", metavar="table|json|yaml", help="How to print.")
    ] = Format.TABLE,
) -> None:
    """Check this machine and the server on it.

    Settings, ports, database, Redis, ONNX Runtime, limits, and whether a running server is ready. Exit code 1 if something is wrong.

    Examples:
      penstock doctor
      penstock doctor --set database=postgresql+asyncpg://db/penstock -o json

    """
    findings = list(examine(config, flags_of(settings)))
    if output in {Format.JSON, Format.YAML}:
        value = [finding._asdict() for finding in findings]
        line(as_json(value) if output is Format.JSON else as_yaml(value))
    else:
        line(table(["CHECK", "STATUS", "FOUND"], [[f.check, f.status, f.text] for f in findings]))
        for finding in findings:
            if finding.hint and finding.status != "ok":
                line(f"hint ({finding.check}): {finding.hint}")
    if any(finding.status == "FAIL" for finding in findings):
        raise typer.Exit(Exit.DIFFERENT)


def examine(config: str, flags: dict[str, str]) -> Iterator[Finding]:
    """Every check, in the order in which trouble usually shows."""
    from penstock_gateway.settings import SettingsError, load  # noqa: PLC0415  # pydantic takes a while to load

    yield _python()
    yield _runtime()
    yield _files()
    try:
        settings = load(Path(config) if config else None, flags)
    except SettingsError as error:
        yield Finding("settings", "FAIL", "; ".join(error.problems), "mend the settings; the other checks need them")
        return
    changed = sum(origin != "default" for origin in settings.origins.values())
    yield Finding("settings", "ok", f"valid, {changed} not at their defaults")
    yield _folder(settings)
    yield _database(settings)
    yield _redis(settings)
    yield from _listeners(settings)


def _python() -> Finding:
    return Finding("python", "ok", ".".join(map(str, sys.version_info[:3])))


def _runtime() -> Finding:
    try:
        library = importlib.import_module("penstock_adapters.onnx_library")
    except ImportError as error:
        return Finding(
            "onnxruntime", "FAIL", f"cannot be imported: {error}", "pip install --force-reinstall onnxruntime"
        )
    return Finding("onnxruntime", "ok", str(library.ort.__version__))


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= FILES_WANTED:
        return Finding("open files", "ok", f"at most {soft}")
    hint = f"`ulimit -n {min(hard, 65_536)}` before starting: each connection takes one or two"
    return Finding("open files", "warn", f"at most {soft}, {FILES_WANTED} or more are advisable", hint)


def _folder(settings: Settings) -> Finding:
    folder = settings.data_dir.absolute()
    there = folder if folder.exists() else next(parent for parent in folder.parents if parent.exists())
    try:
        probe = there / ".penstock-doctor"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding("data_dir", "FAIL", f"{folder}: {error.strerror}", "choose another folder with data_dir")
    return Finding("data_dir", "ok", f"{folder}{'' if there == folder else ' (will be made)'}")


def _database(settings: Settings) -> Finding:
    from penstock_adapters.protocol.errors import PenstockError  # noqa: PLC0415
    from penstock_gateway.settings import masked  # noqa: PLC0415
    from penstock_registry import migrate  # noqa: PLC0415
    from penstock_registry.store import Store  # noqa: PLC0415

    url = settings.database_url
    path = urlsplit(url).path[1:]
    if url.startswith("sqlite") and not Path(path).exists():
        return Finding("database", "ok", f"{masked(url)} (will be made)")

    async def version() -> str:
        store = Store(url)
        try:
            return await migrate.current(store)
        finally:
            await store.aclose()

    try:
        found = asyncio.run(version())
    except PenstockError as error:
        return Finding("database", "FAIL", f"{masked(url)}: {error.text}", "is it running, and is the URL right?")
    needed = migrate.known()[-1]
    if found != needed:
        return Finding(
            "database", "warn", f"schema {found or 'none'}, needed {needed}", "`penstock db upgrade`, or `serve`"
        )
    return Finding("database", "ok", f"{masked(url)}, schema {found}")


def _redis(settings: Settings) -> Finding:
    from penstock_gateway.settings import masked  # noqa: PLC0415

    url = settings.redis_url
    if not url:
        return Finding("redis", "ok", "none, and none is needed")

    async def ping() -> None:
        from redis.asyncio import Redis  # noqa: PLC0415

        client = Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
        try:
            await client.ping()
        finally:
            await client.aclose()

    return _tried("redis", masked(url), lambda: asyncio.run(ping()), "predictions go on without it; is it running?")


def _tried(check: str, text: str, call: Callable[[], None], hint: str) -> Finding:
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        call()
    except (OSError, RedisError) as error:
        return Finding(check, "warn", f"{text}: {type(error).__name__}", hint)
    return Finding(check, "ok", text)


def _listeners(settings: Settings) -> Iterator[Finding]:
    """Each port is free, or Penstock answers on it."""
    for name, host, port, path in (
        ("http port", settings.http_host, settings.http_port, "/v2/health/live"),
        ("grpc port", settings.grpc_host, settings.grpc_port, ""),
        ("admin port", settings.admin_host, settings.admin_port, "/healthz"),
    ):
        yield _listener(name, host, port, path)
    ready = _status(settings.http_host, settings.http_port, "/v2/health/ready")
    if ready is None:
        yield Finding("server", "ok", "none is running here", "`penstock serve` starts one")
    elif ready == 200:
        yield Finding("server", "ok", "live and ready")
    else:
        yield Finding(
            "server", "FAIL", f"live, but not ready ({ready})", "`penstock get deployments` shows what is missing"
        )


def _listener(name: str, host: str, port: int, path: str) -> Finding:
    address = f"{host}:{port}"
    if port == 0:
        return Finding(name, "ok", "any free one")
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S):
            pass
    except ConnectionRefusedError:
        return Finding(name, "ok", f"{address} is free")
    except OSError as error:
        return Finding(name, "warn", f"{address}: {error.strerror or 'no answer'}", "is something filtering this port?")
    if not path:
        return Finding(name, "ok", f"{address} answers")
    if _status(host, port, path) == 200:
        return Finding(name, "ok", f"{address} is served by Penstock")
    setting = name.replace(" ", "_")
    return Finding(name, "FAIL", f"{address} is taken by another program", f"choose another with --set {setting}=N")


def _status(host: str, port: int, path: str) -> int | None:
    """The status of a GET, None if nothing answers HTTP there."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
