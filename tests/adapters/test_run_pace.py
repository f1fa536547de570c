from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.run_pace import LONG_NS, PENALTY, PROOF, SHORT_NS, RunPace


def paced(*runs_ns: int, size: int = 256) -> RunPace:
    pace = RunPace()
    for run_ns in runs_ns:
        pace.ran(size, run_ns)
    return pace


def test_nothing_is_short_before_it_is_proven() -> None:
    assert not RunPace().short(256)
    assert not paced(*[SHORT_NS] * (PROOF - 1)).short(256)
    assert paced(*[SHORT_NS] * PROOF).short(256)


def test_a_proof_holds_for_inputs_of_about_the_same_size_only() -> None:
    pace = paced(*[1000] * PROOF)
    assert pace.short(300)
    assert not pace.short(1024)
    assert not pace.short(100)


def test_a_run_on_a_busy_machine_costs_the_proof_and_a_surprise_costs_more() -> None:
    busy = paced(*[1000] * PROOF, SHORT_NS + 1)
    surprised = paced(*[1000] * PROOF, LONG_NS + 1)
    assert not busy.short(256)
    assert not surprised.short(256)
    for _ in range(PROOF):
        busy.ran(256, 1000)
        surprised.ran(256, 1000)
    assert busy.short(256)
    assert not surprised.short(256)
    for _ in range(PENALTY):
        surprised.ran(256, 1000)
    assert surprised.short(256)


@given(st.lists(st.integers(0, 10 * LONG_NS), max_size=200))
def test_short_means_the_last_runs_were_all_short(runs_ns: list[int]) -> None:
    if paced(*runs_ns).short(256):
        assert len(runs_ns) >= PROOF
        assert max(runs_ns[-PROOF:]) <= SHORT_NS


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.just(1000)), max_size=100))
def test_what_is_remembered_is_bounded(runs: list[tuple[int, int]]) -> None:
    pace = RunPace()
    for size, run_ns in runs:
        pace.ran(size, run_ns)
    assert len(pace._proof) <= 64
