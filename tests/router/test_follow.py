from __future__ import annotations

import asyncio

from penstock_adapters.fake import Fault
from penstock_registry.snapshot import Change
from penstock_router.follow import changes_between
from tests.support.park import Park
from tests.support.polling import eventually
from tests.support.resources import backend, changes, deployment, model, resource, route, snapshot

A = "http://127.0.0.1:1"
FIRST = snapshot(1, backend("b", endpoints=[A]), model("m", "1"), deployment("m@1", "b"))


def test_changes_between_snapshots_are_what_was_added_edited_and_removed() -> None:
    new = snapshot(2, *FIRST.of("Backend"), model("m", "1", "2"), route("r", {"m": 1}))
    assert sorted(changes_between(FIRST, new), key=lambda c: c.key) == changes(FIRST, new)
    assert changes_between(FIRST, FIRST) == []


async def test_a_twin_read_elsewhere_takes_over_without_loading_anything_again() -> None:
    """A gateway that started from its snapshot file gets the same from the database, as other objects."""
    park = Park("m@1")
    await park.serve(FIRST)
    twin = snapshot(1, *(r.model_copy() for r in FIRST.resources.values()))
    before = park.fleet.deployed("m-1-b"), park.fleet.endpoints("b")
    await park.serve(twin)
    assert (park.fleet.deployed("m-1-b"), park.fleet.endpoints("b")) == before
    assert park.follower.serving is twin


async def test_requests_are_served_while_many_models_are_planned() -> None:
    park = Park("m@1")
    await park.serve(FIRST)
    many = [model(f"m{number}", "1") for number in range(3000)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while park.plane.generation == 1:
            assert (await park.infer("m")).served_by == "m-1-b"
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await park.serve(snapshot(2, *FIRST.resources.values(), *many))
    await beside
    assert turns > 5
    assert park.plane.names()[:3] == ("m", "m0", "m1")


async def test_a_change_that_is_known_is_the_only_one_looked_at() -> None:
    park = Park("m@1")
    await park.serve(FIRST)
    new = snapshot(2, *FIRST.resources.values(), model("n", "1"))
    known = [Change(("Model", "n"), None, new.get("Model", "n"))]
    assert await park.follower.apply(new, known)
    assert park.plane.names() == ("m", "n")


async def test_a_change_of_no_deployment_lets_servers_be() -> None:
    park = Park("m@1")
    await park.serve(FIRST)
    park.fleet.changed.clear()
    await park.serve(snapshot(2, *FIRST.resources.values(), model("m", "1", owner="x")))
    assert not park.fleet.changed.is_set()


async def test_a_new_snapshot_is_served_at_once() -> None:
    park = Park("m@1", "m@2")
    await park.serve(FIRST)
    await park.serve(snapshot(2, *FIRST.resources.values(), model("m", "1", "2"), deployment("m@2", "b")))
    assert park.plane.generation == 2
    assert (await park.infer("m", "2")).served_by == "m-2-b"
    assert park.metrics.config_generation.cell().value == 2


async def test_a_snapshot_that_does_not_build_never_replaces_one_that_serves() -> None:
    park = Park("m@1")
    await park.serve(FIRST)
    broken = snapshot(2, *FIRST.resources.values(), route("r", {"nope": 1}))
    assert not await park.follower.apply(broken)
    assert park.plane.generation == 1
    assert park.follower.serving is FIRST
    assert (await park.infer("m")).served_by == "m-1-b"


async def test_an_unknown_platform_never_replaces_what_serves() -> None:
    park = Park("m@1")
    await park.serve(FIRST)
    mystery = resource("Backend", "x", {"platform": "mystery", "endpoints": [{"url": A}]})
    assert not await park.follower.apply(snapshot(2, *FIRST.resources.values(), mystery))
    assert (await park.infer("m")).served_by == "m-1-b"


async def test_a_request_that_began_before_a_swap_ends_where_it_began() -> None:
    park = Park("m@1", "m@2")
    await park.serve(FIRST)
    park.at(A).fault = Fault(delay_s=0.1)
    call = asyncio.create_task(park.infer("m"))
    await eventually(lambda: park.at(A).in_flight == 1)
    await park.serve(snapshot(2, backend("b", endpoints=[A]), model("m", "2"), deployment("m@2", "b")))
    assert (await call).body.message.model_version == "1"
    assert (await park.infer("m")).body.message.model_version == "2"


async def test_statistics_of_versions_that_are_gone_are_forgotten() -> None:
    park = Park("m@1")
    await park.serve(FIRST)
    await park.infer("m")
    await park.serve(snapshot(2, backend("b", endpoints=[A]), model("m", "2")))
    assert park.stats.of("m", "1").success_count == 0
