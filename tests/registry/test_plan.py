"""What a write would do, decided on values."""

from __future__ import annotations

import pytest

from penstock_adapters.protocol.errors import InvalidArgument, TooLarge
from penstock_registry.kinds import Resource
from penstock_registry.manifest import encode
from penstock_registry.plan import (
    EDITS_MAX,
    Edit,
    Expectation,
    check_edits,
    decide,
    listed,
    lost,
    prepare,
    references_after,
)
from penstock_registry.rows import Stored
from penstock_registry.snapshot import Key
from tests.support.resources import backend, deployment, model


def stored(*resources: Resource, revision: int = 5) -> dict[Key, Stored]:
    return {r.key: Stored(*r.key, revision, encode(r)) for r in resources}


def test_each_edit_has_its_outcome_in_its_order() -> None:
    there = stored(model("a"), model("b"), model("c"))
    edits = [
        Edit(("Model", "c"), None),
        Edit(("Model", "new"), model("new")),
        Edit(("Model", "a"), model("a")),
        Edit(("Model", "b"), model("b", owner="x")),
        Edit(("Model", "none"), None),
    ]

    plan = decide([prepare(edit) for edit in edits], there)

    assert plan.outcomes == ("deleted", "created", "unchanged", "updated", "unchanged")
    assert [change.key[1] for change in plan.changes] == ["c", "new", "b"]
    assert [(before is None, after is None) for before, after in plan.bodies] == [
        (False, True),
        (True, False),
        (False, False),
    ]
    assert plan.changes[0].before is not None
    assert plan.changes[0].before.revision == 5


def test_a_resource_must_be_the_one_its_key_says() -> None:
    with pytest.raises(InvalidArgument, match="Model/a: the resource is Model/b"):
        prepare(Edit(("Model", "a"), model("b")))


def test_two_edits_of_one_resource_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="listed twice"):
        check_edits([Edit(("Model", "a"), model("a")), Edit(("Model", "a"), None)])


def test_a_write_is_bounded() -> None:
    with pytest.raises(TooLarge):
        check_edits([Edit(("Model", "a"), None)] * (EDITS_MAX + 1))


@pytest.mark.parametrize(
    ("expectation", "reason", "found"),
    [
        (Expectation({("Model", "a"): 5}), None, None),
        (Expectation({("Model", "new"): 0}, revision=9), None, None),
        (Expectation({("Model", "a"): 4}), "revision_conflict", "Model/a@5"),
        (Expectation({("Model", "a"): 0}), "revision_conflict", "Model/a@5"),
        (Expectation({("Model", "new"): 1}), "revision_conflict", "Model/new@0"),
        (Expectation({("Model", "a"): 5}, revision=8), "registry_conflict", "registry@9"),
    ],
    ids=str,
)
def test_an_expectation_holds_or_says_what_it_met(
    expectation: Expectation, reason: str | None, found: str | None
) -> None:
    race = lost(expectation, stored(model("a")), 9)

    assert (race and race.error and race.error.reason, race and race.found) == (reason, found)


def test_an_expectation_reads_like_what_it_means() -> None:
    assert str(Expectation({("Model", "a"): 5, ("Route", "r"): 0}, revision=9)) == "registry@9, Model/a@5, Route/r@0"
    assert str(Expectation()) == ""


def test_only_what_changes_is_asked_for_its_references() -> None:
    plan = decide([prepare(Edit(("Deployment", "d"), deployment("m@1", "b", "d")))], {})

    assert {reference.target for reference in references_after(plan.changes)} == {("Model", "m"), ("Backend", "b")}
    assert references_after(decide([prepare(Edit(("Backend", "b"), backend("b")))], {}).changes) == []


def test_long_lists_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
