"""The fields in which two manifests differ."""

from __future__ import annotations

from penstock_gateway.admin_fields import FIELDS_MAX, field_changes
from tests.support.resources import backend, model


def test_only_leaves_that_differ_are_named() -> None:
    before = {"metadata": {"name": "a"}, "spec": {"x": {"y": 1, "z": [1, 2]}, "same": [1]}}
    after = {"metadata": {"name": "a"}, "spec": {"x": {"y": True, "z": [1, 3, 4]}, "same": [1], "new": {"k": 1}}}

    assert field_changes(before, after) == [
        {"path": "spec.x.y", "before": 1, "after": True},
        {"path": "spec.x.z[1]", "before": 2, "after": 3},
        {"path": "spec.x.z[2]", "before": None, "after": 4},
        {"path": "spec.new", "before": None, "after": {"k": 1}},
    ]


def test_what_is_new_is_named_as_a_whole() -> None:
    manifest = backend("b").manifest()

    assert field_changes({}, manifest) == [
        {"path": "metadata", "before": None, "after": {"name": "b"}},
        {"path": "spec", "before": None, "after": {"platform": "fake"}},
    ]
    assert field_changes(manifest, manifest) == []


def test_the_list_is_bounded() -> None:
    versions = [str(i) for i in range(FIELDS_MAX * 2)]
    before = model("m", *versions).manifest()
    after = model("m", *(f"{version}x" for version in versions)).manifest()

    assert len(field_changes(before, after)) == FIELDS_MAX
