"""Registries for tests: on both databases, closed at the end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock_registry.kinds import Resource
from penstock_registry.manifest import encode
from penstock_registry.registry import Edit, Registry
from penstock_registry.snapshot import Key, Snapshot
from tests.support.postgres import Postgres

SORTS = ["sqlite", "postgresql"]


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(params=SORTS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of either sort without any tables."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "registry.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.create_database())


@pytest.fixture(params=SORTS)
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of either sort with an empty registry: a copy, so that not every test runs the migrations."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("_sqlite_template")
        return sqlite_url(Path(shutil.copy(template, tmp_path / "registry.db")))
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.create_database(request.getfixturevalue("_postgres_template")))


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "registry.db"
    _migrate(sqlite_url(path))
    return path


@pytest.fixture(scope="session")
def _postgres_template(postgres: Postgres) -> str:
    name = postgres.create_database()
    _migrate(postgres.url(name))
    return name


def _migrate(url: str) -> None:
    """In a thread: an event loop of its own, whatever loop the tests have."""

    async def work() -> None:
        await (await Registry.open(url)).aclose()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work()).result()


@pytest.fixture
async def registry(registry_url: str) -> AsyncIterator[Registry]:
    """An open registry with nothing in it, on SQLite and on PostgreSQL."""
    opened = await Registry.open(registry_url)
    yield opened
    await opened.aclose()


def edits(*resources: Resource) -> list[Edit]:
    """Write these."""
    return [Edit(resource.key, resource) for resource in resources]


def deletes(*keys: Key) -> list[Edit]:
    """Delete these."""
    return [Edit(key, None) for key in keys]


def bodies(snapshot: Snapshot) -> dict[Key, str]:
    """What a snapshot holds, as comparable text."""
    return {key: encode(resource) for key, resource in snapshot.resources.items()}


def texts(resources: Iterable[Resource]) -> dict[Key, str]:
    return {resource.key: encode(resource) for resource in resources}
