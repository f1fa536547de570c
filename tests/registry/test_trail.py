"""The trail tells what differs between near snapshots, and says when it does not know."""

from __future__ import annotations

from penstock_registry import trail as trail_module
from penstock_registry.kinds import Resource
from penstock_registry.snapshot import Change, Key, Snapshot
from penstock_registry.trail import Trail
from tests.support.resources import model

A, B = model("a"), model("b")
KEY_A, KEY_B = A.key, B.key


def at(revision: int, *resources: Resource) -> Snapshot:
    return Snapshot(revision, {r.key: r for r in resources})


def test_what_changed_between_two_snapshots_is_known() -> None:
    trail = Trail(5)
    trail.extend(7, [(6, KEY_A), (7, KEY_B)])
    newer = model("a", owner="x")

    assert trail.between(at(5, A), at(7, newer, B)) == [Change(KEY_A, A, newer), Change(KEY_B, None, B)]
    assert trail.between(at(6, newer), at(7, newer, B)) == [Change(KEY_B, None, B)]
    assert trail.between(at(7, newer, B), at(7, newer, B)) == []


def test_a_resource_that_came_and_went_is_no_change() -> None:
    trail = Trail(0)
    trail.extend(2, [(1, KEY_A), (2, KEY_A)])

    assert trail.between(at(0), at(2)) == []


def test_readers_that_overtake_each_other_tell_it_twice() -> None:
    trail = Trail(5)
    trail.extend(7, [(6, KEY_A), (7, KEY_B)])
    trail.extend(6, [(6, KEY_A)])
    trail.extend(8, [(6, KEY_A), (7, KEY_B), (8, KEY_A)])

    assert trail.between(at(7, A, B), at(8, B)) == [Change(KEY_A, A, None)]


def test_what_is_not_remembered_is_not_known() -> None:
    trail = Trail(5)
    trail.extend(6, [(6, KEY_A)])

    assert trail.between(at(4), at(6, A)) is None
    assert trail.between(at(6, A), at(7)) is None
    assert trail.between(at(6, A), at(5)) is None


def test_only_so_much_is_remembered_and_revisions_only_whole() -> None:
    trail = Trail(0)
    steps: list[tuple[int, Key]] = [(1, KEY_A)] * trail_module.KEPT
    trail.extend(2, [*steps, (2, KEY_B)])

    assert trail.between(at(0), at(2, A, B)) is None
    assert trail.between(at(1, A), at(2, A, B)) == [Change(KEY_B, None, B)]
