"""Any sequence of writes and rollbacks, against a dictionary: what was written is what is read, at every revision."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import Conflict
from penstock_registry.loading import SLICE, advance
from penstock_registry.registry import Edit, Registry, WriteResult
from penstock_registry.rows import PAGE
from penstock_registry.snapshot import Key
from tests.support.registries import bodies, edits, texts
from tests.support.resources import model

NAMES = "abcd"
State = dict[Key, str]
Step = tuple[str, object]

writes = st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from(["1", "2", "3"]), max_size=4)
steps = st.lists(
    st.tuples(st.just("write"), writes)
    | st.tuples(st.just("rollback"), st.integers(0, 6))
    | st.tuples(st.just("stale write"), st.sampled_from(NAMES)),
    max_size=12,
)


async def written(registry: Registry, wanted: dict[str, str | None]) -> WriteResult:
    chosen = [
        Edit(("Model", name), None if owner is None else model(name, owner=owner)) for name, owner in wanted.items()
    ]
    return await registry.write(chosen, author="ann")


async def applied(registry: Registry, step: Step, history: list[State]) -> None:
    """Do one step, and keep in `history` what every revision must be."""
    now, (action, what) = dict(history[-1]), step
    if action == "write":
        assert isinstance(what, dict)
        result = await written(registry, what)
        for name, owner in what.items():
            now.pop(("Model", name), None)
            now |= {} if owner is None else texts([model(name, owner=owner)])
    elif action == "rollback":
        assert isinstance(what, int)
        to = min(what, len(history) - 1)
        result, now = await registry.rollback(to, author="bob"), history[to]
    else:
        key: Key = ("Model", str(what))
        try:
            await registry.write([Edit(key, model(key[1], owner="lost"))], author="eve", expected={key: 10**6})
        except Conflict:
            return
        raise AssertionError("a stale write was made")
    if now != history[-1]:
        history.append(now)
    assert result.revision == len(history) - 1


async def examined(url: str, plan: list[Step]) -> None:
    registry, follower = await Registry.open(url), Registry(url)
    history: list[State] = [{}]
    for step in plan:
        await applied(registry, step, history)
        # Reads only what changed since the step before.
        assert bodies(await follower.snapshot()) == history[-1]
    await registry.verify()
    for revision, state in enumerate(history):
        old = await registry.snapshot(revision)
        head, changes = await registry.changes(revision)
        assert bodies(old) == state
        assert bodies(old.with_changes(head, changes)) == history[-1]
        assert len({change.key for change in changes}) == len(changes)
    await registry.aclose()
    await follower.aclose()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
async def test_every_revision_is_what_was_written(plan: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        await examined(f"sqlite+aiosqlite:///{Path(directory) / 'registry.db'}", plan)


async def test_the_same_holds_on_every_database(registry_url: str) -> None:
    plan: list[Step] = [
        ("write", {"a": "1", "b": "1"}),
        ("write", {"a": "2", "b": None, "c": "1"}),
        ("stale write", "a"),
        ("rollback", 1),
        ("write", {"b": "1"}),
        ("write", {"a": None, "b": None, "c": None, "d": "3"}),
        ("rollback", 2),
        ("rollback", 0),
    ]

    await examined(registry_url, plan)


async def test_more_than_a_page_is_read_whole(registry: Registry) -> None:
    names = [f"m{number}" for number in range(2 * PAGE + SLICE // 2)]
    await registry.write(edits(*(model(name) for name in names)), author="ann")
    before = await registry.snapshot()
    await registry.write(edits(*(model(name, "1") for name in names)), author="ann")

    assert len(before.resources) == len((await registry.snapshot(1)).resources) == len(names)
    assert bodies(await registry.snapshot()) == texts(model(name, "1") for name in names)
    assert len((await registry.changes(1))[1]) == len(names)


async def test_a_known_view_at_the_newest_revision_is_kept(registry: Registry) -> None:
    await registry.write(edits(model("a")), author="ann")
    view = await registry._store.read(lambda transaction: advance(transaction, None))

    again = await registry._store.read(lambda transaction: advance(transaction, view))

    assert again.snapshot is view.snapshot
