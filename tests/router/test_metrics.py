"""Cells count; families hand out one cell per label set and stay bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_router.metrics import LABELSETS_MAX, OTHER, SECONDS, Buckets, Metrics, counter, gauge, histogram


def test_the_same_labels_give_the_same_cell() -> None:
    family = counter("calls_total", "Calls.", "model")

    family.cell("a").value += 2
    family.cell("b").value += 1

    assert family.cell("a").value == 2
    assert family.cells.keys() == {("a",), ("b",)}


def test_a_family_without_labels_has_one_cell() -> None:
    family = gauge("generation", "Generation.")

    family.cell().value = 7

    assert family.cell().value == 7


def test_the_wrong_number_of_labels_is_a_mistake_of_ours_and_says_so() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        counter("calls_total", "Calls.", "model").cell("a", "b")


def test_a_flood_of_names_ends_in_one_cell_called_other() -> None:
    family = counter("calls_total", "Calls.", "model", "code")

    for number in range(LABELSETS_MAX + 50):
        family.cell(str(number), "200").value += 1

    assert len(family.cells) == LABELSETS_MAX + 1
    assert family.cell(OTHER, OTHER).value == 50
    assert sum(cell.value for cell in family.cells.values()) == LABELSETS_MAX + 50


def test_an_observation_on_a_bound_counts_below_it_as_prometheus_has_it() -> None:
    buckets = Buckets((0.1, 1.0))

    for value in (0.1, 0.2, 1.0, 5.0):
        buckets.observe(value)

    assert buckets.counts == [1, 2, 1]
    assert buckets.sum == pytest.approx(6.3)


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_every_observation_lands_in_exactly_one_bucket(values: list[float]) -> None:
    buckets = Buckets(SECONDS)

    for value in values:
        buckets.observe(value)

    assert sum(buckets.counts) == len(values)
    for index, bound in enumerate(SECONDS):
        assert sum(buckets.counts[: index + 1]) == sum(value <= bound for value in values)


def test_a_histogram_is_made_with_its_bounds() -> None:
    family = histogram("seconds", "Time.", "route", bounds=(1.0, 2.0))

    assert family.cell("r").counts == [0, 0, 0]


def test_names_are_prometheus_names_and_units() -> None:
    families = list(Metrics().families())

    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert family.help.endswith(".")
        if family.kind == "histogram":
            assert family.name.endswith("_seconds")
            assert list(family.bounds) == sorted(set(family.bounds))


def test_two_processes_in_one_test_do_not_share_their_counts() -> None:
    first, second = Metrics(), Metrics()

    first.inflight.cell("rest").value += 1

    assert second.inflight.cell("rest").value == 0
