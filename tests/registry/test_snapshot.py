"""A snapshot is a value: changes make a new one and leave the old one alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_registry.kinds import BackendSpec, Kind, Metadata, Resource, RouteSpec
from penstock_registry.snapshot import Change, Snapshot


def backend(name: str, revision: int = 1) -> Resource:
    spec = BackendSpec.model_validate({"platform": "onnxruntime"})
    return Resource(kind="Backend", metadata=Metadata(name=name), spec=spec, revision=revision)


def route(name: str) -> Resource:
    spec = RouteSpec.model_validate({"targets": [{"to": "m"}]})
    return Resource(kind="Route", metadata=Metadata(name=name), spec=spec)


def created(resource: Resource) -> Change:
    return Change(resource.key, None, resource)


def deleted(resource: Resource) -> Change:
    return Change(resource.key, resource, None)


def test_the_empty_registry_is_revision_0() -> None:
    assert Snapshot().revision == 0
    assert Snapshot().of("Model") == []


def test_changes_make_a_new_snapshot_and_leave_the_old_one_alone() -> None:
    before = Snapshot().with_changes(1, [created(backend("a"))])

    after = before.with_changes(2, [created(backend("b")), deleted(backend("a"))])

    assert [resource.metadata.name for resource in before.of("Backend")] == ["a"]
    assert [resource.metadata.name for resource in after.of("Backend")] == ["b"]
    assert (before.revision, after.revision) == (1, 2)


def test_what_did_not_change_is_shared() -> None:
    before = Snapshot().with_changes(1, [created(backend("a"))])

    after = before.with_changes(2, [created(backend("b"))])

    assert after.get("Backend", "a") is before.get("Backend", "a")


def test_kinds_keep_apart_and_names_are_sorted() -> None:
    snapshot = Snapshot().with_changes(1, [created(backend("b")), created(route("a")), created(backend("a"))])

    assert [resource.metadata.name for resource in snapshot.of("Backend")] == ["a", "b"]
    assert [resource.metadata.name for resource in snapshot.of("Route")] == ["a"]
    assert snapshot.get("Backend", "none") is None


def test_deleting_what_is_gone_already_is_no_error() -> None:
    assert Snapshot().with_changes(1, [deleted(backend("a"))]).resources == {}


def test_nobody_writes_into_a_snapshot() -> None:
    snapshot: Any = Snapshot().with_changes(1, [created(backend("a"))])

    with pytest.raises(TypeError):
        snapshot.resources["Backend", "b"] = backend("b")
    with pytest.raises(AttributeError):
        snapshot.revision = 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_only_the_latest_state_counts_however_the_changes_are_cut(steps: list[tuple[str, bool]]) -> None:
    changes = [created(backend(name, n)) if alive else deleted(backend(name)) for n, (name, alive) in enumerate(steps)]

    at_once = Snapshot().with_changes(9, changes)
    one_by_one = Snapshot(9)
    for change in changes:
        one_by_one = one_by_one.with_changes(9, [change])

    assert at_once == one_by_one
    kind: Kind = "Backend"
    assert set(at_once.resources) == {(kind, name) for name, alive in dict(steps).items() if alive}
