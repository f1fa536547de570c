"""Rows of a commit: the way of one statement and the way of many leave the same rows."""

from __future__ import annotations

import pytest

from penstock_registry.registry import Registry
from tests.support.registries import bodies, deletes, edits, texts
from tests.support.resources import backend, deployment, model


@pytest.mark.parametrize("together", [True, False])
async def test_one_resource_or_several_are_written_alike(registry: Registry, together: bool) -> None:
    companion = [backend("companion")] if together else []

    await registry.write(edits(model("m"), *companion), author="ann")
    await registry.write(edits(model("m", "1"), *(backend("companion", "triton") for _ in companion)), author="ann")
    await registry.write(deletes(("Model", "m"), *((c.kind, c.metadata.name) for c in companion)), author="ann")

    assert [bodies(await registry.snapshot(n)).get(("Model", "m")) for n in range(4)] == [
        None,
        *texts([model("m")]).values(),
        *texts([model("m", "1")]).values(),
        None,
    ]
    await registry.verify()


async def test_references_follow_their_resource(registry: Registry) -> None:
    await registry.write(edits(backend("a"), backend("b"), model("m", "1")), author="ann")
    await registry.write(edits(deployment("m@1", "a", "d")), author="ann")
    await registry.write(edits(deployment("m@1", "b", "d")), author="ann")
    await registry.write(deletes(("Backend", "a")), author="ann")
    await registry.write(deletes(("Deployment", "d")), author="ann")
    await registry.write(deletes(("Backend", "b"), ("Model", "m")), author="ann")

    assert (await registry.snapshot()).resources == {}
    await registry.verify()
