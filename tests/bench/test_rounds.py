from __future__ import annotations

from tests.bench.jobs import Result
from tests.bench.rounds import Sample, Series, ratio


def series(*us: float) -> Series:
    result = Result(
        ok=10,
        wrong=0,
        failed=0,
        first_complaint="",
        elapsed_s=2.0,
        latency_us_p50=1.0,
        latency_us_p99=2.0,
        cpu_ns=1,
    )
    return Series("x", tuple(Sample(value, result) for value in us))


def test_the_median_ignores_one_disturbed_round() -> None:
    measured = series(20.0, 21.0, 90.0)

    assert measured.median_us == 21.0
    assert measured.spread == 70 / 21


def test_the_ratio_is_taken_round_by_round() -> None:
    # A machine that slows down for both does not change who is how much faster.
    assert ratio([10.0, 40.0, 11.0], [5.0, 20.0, 5.5]) == 2.0


def test_the_rate_is_answers_per_second() -> None:
    assert series(1.0).median_rate == 5.0
