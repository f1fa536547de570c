"""Rows of several processes make one view."""

from __future__ import annotations

from penstock_gateway.metric_rows import lasting, merged, taken
from penstock_router.metrics import Metrics


def counted(retries: float, inflight: float, generation: float) -> Metrics:
    metrics = Metrics()
    metrics.retries.cell("a").value = retries
    metrics.inflight.cell("rest").value = inflight
    metrics.config_generation.cell().value = generation
    metrics.overhead.cell("rest").observe(0.001)
    return metrics


def test_counters_and_histograms_add_and_gauges_follow_their_rule() -> None:
    rows = {
        family.name: family
        for family in merged([taken(counted(1, 2, 7).families()), taken(counted(10, 3, 5).families())])
    }

    assert rows["retries_total"].values == {("a",): 11}
    assert rows["inflight"].values == {("rest",): 5}
    assert rows["config_generation"].values == {(): 7}
    counts, total = rows["overhead_seconds"].buckets[("rest",)]
    assert (sum(counts), total) == (2, 0.002)


def test_merging_leaves_its_sources_as_they_are() -> None:
    first, second = taken(counted(1, 0, 0).families()), taken(counted(1, 0, 0).families())

    merged([first, second])
    merged([first, second])

    assert next(f for f in first if f.name == "retries_total").values == {("a",): 1}


def test_label_sets_of_one_side_only_are_kept() -> None:
    first, second = Metrics(), Metrics()
    first.retries.cell("a").value = 1
    second.retries.cell("b").value = 2
    second.overhead.cell("grpc").observe(1.0)

    rows = {family.name: family for family in merged([taken(first.families()), taken(second.families())])}

    assert rows["retries_total"].values == {("a",): 1, ("b",): 2}
    assert list(rows["overhead_seconds"].buckets) == [("grpc",)]


def test_gauges_die_with_their_process() -> None:
    names = {family.name for family in lasting(taken(counted(1, 1, 1).families()))}

    assert "retries_total" in names
    assert not names & {"inflight", "config_generation"}
