from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog.testing

from penstock_adapters.fake import connect
from penstock_gateway.node import Node, snapshot_path
from penstock_gateway.settings import Settings, load
from penstock_registry.kinds import Resource
from penstock_registry.registry import Edit, Registry
from penstock_router.metrics import Metrics
from tests.support.park import ask
from tests.support.polling import eventually
from tests.support.resources import deployment, model, resource

LOCAL = resource("Backend", "local", {"platform": "fake", "options": {"models": "m@1"}})
ROWS = (LOCAL, model("m", "1"), deployment("m@1", "local"))


def settings(folder: Path, database: str = "") -> Settings:
    flags = {"data_dir": str(folder), "poll_interval_seconds": "0.05"}
    return load(flags=flags | ({"database": database} if database else {}), environ={})


@asynccontextmanager
async def started(given: Settings, *, leads: bool = True) -> AsyncIterator[Node]:
    node = Node(given, {"fake": connect}, Metrics(), leads=leads)
    try:
        await node.start()
        yield node
    finally:
        await node.aclose()


async def apply(registry: Registry, *rows: Resource) -> int:
    edits = [Edit(row.key, row) for row in rows]
    return (await registry.write(edits, author="test", reason="a test")).revision


def take_away(folder: Path) -> None:
    """The database is gone, and what stands in its place SQLite cannot open."""
    for path in folder.glob("penstock.db*"):
        path.unlink()
    (folder / "penstock.db").mkdir()


async def test_a_new_node_makes_its_database_and_is_ready_with_nothing(tmp_path: Path) -> None:
    async with started(settings(tmp_path / "new")) as node:
        assert node.plane.not_ready_reason == ""
        assert list(node.plane.names()) == []


async def test_what_is_written_is_served_within_a_second(tmp_path: Path) -> None:
    async with started(settings(tmp_path)) as node:
        revision = await apply(await node.opened(), *ROWS)
        await eventually(lambda: node.plane.generation == revision, patience_s=1.0)
        await eventually(lambda: node.plane.model_ready("m", ""))
        response = await node.plane.resolve("m", "").service(ask("m"))
        assert response.served_by == "m-1-local"
        assert node.observed("m-1-local") == ("READY", "")
        assert node.labels_of("m-1-local") == ("m", "1", "local")


async def test_what_another_process_writes_is_served_too(tmp_path: Path) -> None:
    given = settings(tmp_path)
    async with started(given) as first, started(given, leads=False) as second:
        revision = await apply(await first.opened(), *ROWS)
        await eventually(lambda: second.plane.generation == revision, patience_s=1.0)


async def test_with_the_database_away_it_starts_from_the_last_good_snapshot(tmp_path: Path) -> None:
    given = settings(tmp_path)
    async with started(given) as node:
        revision = await apply(await node.opened(), *ROWS)
        await eventually(lambda: node.plane.generation == revision)
        await eventually(snapshot_path(given).exists)
    take_away(tmp_path)
    async with started(given) as again:
        assert again.plane.generation == revision
        await eventually(lambda: again.plane.model_ready("m", ""))
        assert (await again.plane.resolve("m", "").service(ask("m"))).served_by == "m-1-local"


async def test_without_database_and_file_it_runs_and_says_it_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "penstock.db").mkdir()
    with structlog.testing.capture_logs() as lines:
        async with started(settings(tmp_path)) as node:
            assert node.plane.not_ready_reason == "not_loaded_yet"
    # Not only that there is no file, which alone would be the smaller half of the trouble.
    [line] = [line for line in lines if line["event"] == "database_unavailable"]
    assert (line["problem"], line["serving"]) == ("store_unavailable", None)


def test_the_snapshot_file_belongs_to_one_database(tmp_path: Path) -> None:
    mine, other = settings(tmp_path), settings(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/other.db")
    assert snapshot_path(mine) != snapshot_path(other)
    assert snapshot_path(mine).parent == tmp_path
    # The host may stand in the query; the password does not matter.
    one, another = (settings(tmp_path, f"postgresql+asyncpg:///p?host={host}") for host in ("a", "b"))
    assert snapshot_path(one) != snapshot_path(another)
    old, new = (settings(tmp_path, f"postgresql+asyncpg://u:{word}@h/p") for word in ("old", "new"))
    assert snapshot_path(old) == snapshot_path(new)


async def test_a_deployment_nobody_routes_to_is_pending(tmp_path: Path) -> None:
    async with started(settings(tmp_path)) as node:
        assert node.observed("nope") == ("PENDING", "not routed to by this gateway")
        assert node.labels_of("nope") == ("", "", "")


async def test_the_age_of_the_configuration_is_a_metric(tmp_path: Path) -> None:
    async with started(settings(tmp_path)) as node:
        await eventually(lambda: node.metrics.config_age.cell().value < 1.0)
