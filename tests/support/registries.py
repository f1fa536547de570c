"""Registries for tests: on both databases, closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest

from penstock_registry.kinds import Resource
from penstock_registry.manifest import encode
from penstock_registry.registry import Edit, Registry
from penstock_registry.snapshot import Key, Snapshot


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
