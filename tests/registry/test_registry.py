"""The registry, on SQLite and on PostgreSQL: writes are all or nothing, nothing is forgotten, nobody is overwritten."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from penstock_adapters.protocol.errors import Conflict, InvalidArgument, NotFound, Unavailable
from penstock_registry.kinds import ModelSpec, Resource
from penstock_registry.registry import Edit, Registry
from penstock_registry.snapshot import Key
from penstock_registry.store import Transaction
from tests.support.polling import eventually
from tests.support.registries import bodies, deletes, edits, texts
from tests.support.resources import backend, deployment, model, route

MODEL: Key = ("Model", "m")


def promoted(to: str) -> Resource:
    return model("m", "1", "2", aliases={"stable": to})


async def test_a_new_registry_is_empty_and_whole(registry: Registry) -> None:
    assert await registry.head() == 0
    assert (await registry.snapshot()).resources == {}
    assert await registry.history() == []
    await registry.verify()


async def test_each_write_is_one_snapshot_with_an_outcome_for_each_edit(registry: Registry) -> None:
    first = await registry.write(edits(backend("b"), model("m", "1")), author="ann", reason="begin")
    second = await registry.write(
        [*edits(backend("b"), model("m", "1", "2"), model("n")), *deletes(("Model", "none"))], author="bob"
    )

    assert (first.revision, first.outcomes) == (1, ("created", "created"))
    assert (second.revision, second.outcomes) == (2, ("unchanged", "updated", "created", "unchanged"))
    now = await registry.snapshot()
    assert bodies(now) == texts([backend("b"), model("m", "1", "2"), model("n")])
    assert {key[1]: resource.revision for key, resource in now.resources.items()} == {"b": 1, "m": 2, "n": 2}


async def test_writing_the_same_again_changes_nothing(registry: Registry) -> None:
    await registry.write(edits(model("m", "1")), author="ann")

    again = await registry.write(edits(model("m", "1")), author="ann")

    assert (again.revision, again.outcomes) == (1, ("unchanged",))
    assert [row.result for row in await registry.audit()] == ["unchanged", "ok"]


async def test_history_says_who_why_and_when(registry: Registry) -> None:
    before = datetime.now(UTC)
    await registry.write(edits(model("m", "1"), model("n")), author="ann", reason="because\nof 'this'")
    await registry.write(edits(model("m", "1", "2")), author="bob")

    newest, oldest = await registry.history()

    assert (oldest.revision, oldest.author, oldest.reason, oldest.changed) == (1, "ann", "because\nof 'this'", 2)
    assert (newest.revision, newest.author, newest.changed, newest.previous_hash) == (2, "bob", 1, oldest.hash)
    assert before - timedelta(seconds=1) <= oldest.created_at <= datetime.now(UTC) + timedelta(seconds=1)
    assert [info.revision for info in await registry.history(limit=1)] == [2]
    assert [info.revision for info in await registry.history(before=2)] == [1]


async def test_a_diff_shows_what_one_snapshot_changed(registry: Registry) -> None:
    await registry.write(edits(model("m", "1"), model("n")), author="ann")
    await registry.write([*edits(model("m", "1", "2")), *deletes(("Model", "n"))], author="ann")

    changed, deleted = await registry.diff(2)

    assert changed.before == model("m", "1").model_copy(update={"revision": 1})
    assert changed.after == model("m", "1", "2").model_copy(update={"revision": 2})
    assert (deleted.key, deleted.after) == (("Model", "n"), None)
    for missing in (0, 3):
        with pytest.raises(NotFound, match=f"no snapshot {missing}; the newest is 2"):
            await registry.diff(missing)


async def test_any_past_snapshot_can_be_read(registry: Registry) -> None:
    for number in range(1, 4):
        await registry.write(edits(promoted("1" if number % 2 else "2")), author="ann")
    await registry.write(deletes(MODEL), author="ann")

    past = [bodies(await registry.snapshot(revision)) for revision in range(5)]

    assert past == [{}, texts([promoted("1")]), texts([promoted("2")]), texts([promoted("1")]), {}]
    with pytest.raises(NotFound):
        await registry.snapshot(5)
    with pytest.raises(NotFound):
        await registry.snapshot(-1)


async def test_changes_lead_from_any_revision_to_the_newest(registry: Registry) -> None:
    await registry.write(edits(model("a"), model("b")), author="ann")
    old = await registry.snapshot()
    await registry.write(edits(model("a", "1"), model("passing")), author="ann")
    await registry.write([*edits(model("c")), *deletes(("Model", "b"), ("Model", "passing"))], author="ann")

    head, changes = await registry.changes(1)

    assert head == 3
    assert [change.key[1] for change in changes] == ["a", "b", "c"]
    assert bodies(old.with_changes(head, changes)) == bodies(await registry.snapshot())
    assert await registry.changes(3) == (3, [])
    with pytest.raises(NotFound):
        await registry.changes(4)


async def test_what_did_not_change_is_the_same_object(registry: Registry) -> None:
    await registry.write(edits(model("a"), model("b")), author="ann")
    before = await registry.snapshot()
    assert await registry.snapshot() is before
    await registry.write(edits(model("a", "1")), author="ann")

    after = await registry.snapshot()

    assert after.get("Model", "b") is before.get("Model", "b")
    assert after.revision == 2


async def test_a_rollback_is_a_new_snapshot_equal_to_the_old_one(registry: Registry) -> None:
    await registry.write(edits(backend("b"), promoted("1"), deployment("m@1", "b", "d")), author="ann")
    await registry.write([*edits(promoted("2")), *deletes(("Deployment", "d"))], author="ann")
    await registry.write(edits(model("new")), author="ann")

    result = await registry.rollback(1, author="bob")

    assert result.revision == 4
    assert sorted(result.outcomes) == ["created", "deleted", "updated"]
    assert bodies(await registry.snapshot()) == bodies(await registry.snapshot(1))
    assert (await registry.history(limit=1))[0].reason == "rollback to 1"
    assert (await registry.rollback(1, author="bob")).revision == 4
    assert (await registry.rollback(0, author="bob")).revision == 5
    assert (await registry.snapshot()).resources == {}
    await registry.verify()
    with pytest.raises(NotFound):
        await registry.rollback(9, author="bob")


async def test_a_lost_race_is_a_conflict_that_says_so_and_both_are_in_the_audit(registry: Registry) -> None:
    await registry.write(edits(promoted("1")), author="ann", expected={MODEL: 0})
    await registry.write(edits(promoted("2")), author="ann", expected={MODEL: 1})

    with pytest.raises(Conflict, match="Model 'm' is at revision 2, not 1: somebody changed it first"):
        await registry.write(edits(promoted("1")), author="bob", expected={MODEL: 1})
    with pytest.raises(Conflict, match="the registry is at revision 2, not 1"):
        await registry.write(edits(model("n")), author="bob", expected_revision=1)
    with pytest.raises(Conflict, match="is at revision 2, not 0"):
        await registry.write(edits(promoted("1")), author="bob", expected={MODEL: 0})

    assert await registry.head() == 2
    rows = await registry.audit()
    assert [(row.author, row.result, row.expected, row.found) for row in rows] == [
        ("bob", "conflict", "Model/m@0", "Model/m@2"),
        ("bob", "conflict", "registry@1", "registry@2"),
        ("bob", "conflict", "Model/m@1", "Model/m@2"),
        ("ann", "ok", "Model/m@1", ""),
        ("ann", "ok", "Model/m@0", ""),
    ]
    assert [(row.before, row.after, row.target) for row in rows[3:]] == [(1, 2, "Model/m"), (0, 1, "Model/m")]
    await registry.verify()


async def test_a_write_is_all_or_nothing(registry: Registry) -> None:
    await registry.write(edits(promoted("1")), author="ann")

    with pytest.raises(Conflict):
        await registry.write(edits(model("a"), promoted("2")), author="ann", expected={MODEL: 7})
    with pytest.raises(InvalidArgument):
        await registry.write(edits(model("a"), route("r", {"nothing": 1})), author="ann")

    assert bodies(await registry.snapshot()) == texts([promoted("1")])
    assert [row.result for row in await registry.audit(limit=2)] == ["refused", "conflict"]


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (edits(deployment("m@3", "b")), "reference_missing", "Model 'm@3'"),
        (edits(deployment("m@1", "c")), "reference_missing", "Backend 'c'"),
        (edits(route("r", {"m@beta": 1})), "reference_missing", "Model 'm@beta'"),
        (deletes(("Backend", "b")), "reference_in_use", "Deployment 'd'"),
        (deletes(MODEL), "reference_in_use", "used by"),
        (edits(model("m", "2", aliases={"stable": "2"})), "reference_in_use", "Deployment 'd'"),
        (edits(model("m", "1", "2")), "reference_in_use", "Route 'live'"),
        (edits(model("m", "1", "2")) + deletes(("Route", "live")), "", ""),
        (deletes(MODEL, ("Deployment", "d"), ("Route", "live")), "", ""),
        (edits(promoted("2"), route("m", {"m@1": 9, "m@2": 1})), "", ""),
        (edits(deployment("n@1", "c", "d"), model("n", "1"), backend("c")) + deletes(("Backend", "b")), "", ""),
    ],
)
async def test_nothing_is_left_that_refers_to_nothing(
    registry: Registry, change: list[Edit], reason: str, words: str
) -> None:
    start = edits(backend("b"), promoted("1"), deployment("m@1", "b", "d"), route("live", {"m@stable": 1}))
    await registry.write(start, author="ann")

    if reason:
        with pytest.raises(InvalidArgument) as caught:
            await registry.write(change, author="ann")
        assert caught.value.reason == reason
        assert words in caught.value.text
        assert await registry.head() == 1
    else:
        assert (await registry.write(change, author="ann")).revision == 2
    await registry.verify()


async def test_a_dry_run_says_what_would_happen_and_leaves_no_trace(registry: Registry) -> None:
    await registry.write(edits(promoted("1")), author="ann")

    result = await registry.write([*edits(promoted("2"), model("n")), *deletes(MODEL)][:2], author="ann", dry_run=True)
    with pytest.raises(InvalidArgument):
        await registry.write(edits(route("r", {"nothing": 1})), author="ann", dry_run=True)
    with pytest.raises(Conflict):
        await registry.write(edits(promoted("2")), author="ann", expected={MODEL: 9}, dry_run=True)

    assert (result.revision, result.outcomes) == (1, ("updated", "created"))
    assert await registry.head() == 1
    assert len(await registry.audit()) == 1


async def test_an_update_reads_and_writes_without_a_gap(registry: Registry) -> None:
    await registry.write(edits(model("m", "1", owner="0")), author="ann")

    def counted(resource: Resource) -> Resource:
        spec = resource.spec
        assert isinstance(spec, ModelSpec)
        return resource.model_copy(update={"spec": spec.model_copy(update={"owner": str(int(spec.owner) + 1)})})

    await asyncio.gather(*(registry.update(MODEL, counted, author="ann") for _ in range(20)))

    found = (await registry.snapshot()).get("Model", "m")
    assert found is not None
    assert isinstance(found.spec, ModelSpec)
    assert (found.spec.owner, found.revision, await registry.head()) == ("20", 21, 21)
    with pytest.raises(Conflict):
        await registry.update(MODEL, counted, author="ann", expected=1)
    with pytest.raises(NotFound, match="Model 'none' does not exist"):
        await registry.update(("Model", "none"), counted, author="ann")
    assert [row.result for row in await registry.audit(limit=3)] == ["refused", "conflict", "ok"]


@pytest.mark.parametrize("words", ["a\x00b", "\ud800", "a\x1b[31m"])
async def test_words_that_not_every_store_can_carry_are_refused(registry: Registry, words: str) -> None:
    with pytest.raises(InvalidArgument, match="control characters"):
        await registry.write([], author=words)
    with pytest.raises(InvalidArgument, match="control characters"):
        await registry.write([], author="ann", reason=words)


async def test_a_write_needs_an_author_and_short_words(registry: Registry) -> None:
    with pytest.raises(InvalidArgument, match="author"):
        await registry.write([], author="")
    with pytest.raises(InvalidArgument, match="at most 256"):
        await registry.write([], author="x" * 257)
    with pytest.raises(InvalidArgument, match="at most 4096"):
        await registry.write([], author="ann", reason="x" * 4097)


async def test_denials_are_in_the_audit_once_with_a_count(registry: Registry) -> None:
    for _ in range(100):
        await registry.denied(author="eve", action="write", target="Model/m")

    rows = await registry.audit()

    assert sum(row.count for row in rows) == 100
    assert {(row.author, row.action, row.target, row.result) for row in rows} == {("eve", "write", "Model/m", "denied")}
    assert len(rows) <= 3
    await registry.verify()


async def test_another_history_is_refused_until_its_epoch_is_higher(registry: Registry, registry_url: str) -> None:
    """What a restored backup, or an old primary that comes back, looks like to who followed the newer one."""
    await registry.write(edits(promoted("1")), author="ann")
    await registry.write(edits(promoted("2")), author="ann")
    seen = await registry.snapshot()
    other = await Registry.open(registry_url)
    await other._store.write(_forget_the_last_snapshot)

    with pytest.raises(Unavailable) as caught:
        await registry.snapshot()
    assert caught.value.reason == "registry_diverged"
    await other.write(edits(model("n")), author="bob")
    with pytest.raises(Unavailable):
        await registry.snapshot()
    assert await other.new_epoch(author="bob", reason="restored the backup of noon") == 2

    assert bodies(await registry.snapshot()) == texts([promoted("1"), model("n")])
    assert seen.revision == 2
    await other.verify()
    await other.aclose()


async def _forget_the_last_snapshot(transaction: Transaction) -> None:
    for statement in (
        "DELETE FROM change WHERE revision = 2",
        "DELETE FROM snapshot WHERE revision = 2",
        "DELETE FROM audit WHERE id = 2",
        "UPDATE resource SET revision = 1, body = (SELECT after FROM change WHERE revision = 1)",
        "UPDATE head SET revision = 1, hash = (SELECT hash FROM snapshot WHERE revision = 1)",
        "UPDATE head SET audit_id = 1, audit_hash = (SELECT hash FROM audit WHERE id = 1)",
    ):
        await transaction.connection.execute(text(statement))


async def test_commits_are_announced_and_nothing_else_is(registry_url: str) -> None:
    heard: list[int] = []
    registry = await Registry.open(registry_url, announce=heard.append)

    await registry.write(edits(model("m")), author="ann")
    await registry.write(edits(model("m")), author="ann")
    await registry.write(edits(model("n")), author="ann", dry_run=True)
    await registry.rollback(0, author="ann")

    assert heard == [1, 2]
    await registry.aclose()
    await registry.aclose()


async def test_a_database_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(Unavailable) as caught:
        await Registry.open("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    assert caught.value.reason == "store_unavailable"
    threads = threading.active_count()
    with pytest.raises(Unavailable):
        await Registry.open("sqlite+aiosqlite:////proc/nothing/registry.db")
    # The driver's thread says goodbye to the event loop, which must still be there.
    await eventually(lambda: threading.active_count() <= threads)


async def test_a_database_of_another_sort_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidArgument) as caught:
        await Registry.open("mysql://ann:secret@host/registry")
    assert "secret" not in caught.value.text
    with pytest.raises(InvalidArgument):
        await Registry.open("nonsense")


async def test_ten_thousand_models_are_one_write(registry: Registry) -> None:
    many = [model(f"m{number}", "1") for number in range(10_000)]

    result = await registry.write(edits(*many), author="ann")

    assert (result.revision, set(result.outcomes), len(result.outcomes)) == (1, {"created"}, 10_000)
    assert len((await registry.snapshot()).resources) == 10_000
    assert (await registry.write(edits(model("m7", "1", "2")), author="ann")).revision == 2
    assert len((await registry.snapshot(1)).resources) == 10_000
