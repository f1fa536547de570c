from __future__ import annotations

import random
from collections import Counter

from penstock_router.balance import Choice, Load, pick


def choices(*costs: float, weights: tuple[int, ...] = ()) -> list[Choice[int]]:
    rows = []
    for at, cost in enumerate(costs):
        load = Load()
        load.observe(cost, now=0.0)
        rows.append(Choice(at, load, weights[at] if weights else 1))
    return rows


def test_a_single_candidate_is_taken_as_it_is() -> None:
    (only,) = choices(1.0)
    assert pick([only], lambda: 0.99) is only


def test_of_two_the_less_loaded_is_taken() -> None:
    draw = random.Random(1)
    rows = choices(0.5, 0.1)
    assert {pick(rows, draw.random).item for _ in range(50)} == {1}


def test_calls_in_flight_count_as_load() -> None:
    draw = random.Random(1)
    rows = choices(0.1, 0.1)
    rows[0].load.in_flight = 5
    assert {pick(rows, draw.random).item for _ in range(50)} == {1}


def test_equal_endpoints_share_the_traffic_while_calls_are_in_flight() -> None:
    draw = random.Random(3)
    rows = choices(0.1, 0.1, 0.1, 0.1)
    for _ in range(400):
        pick(rows, draw.random).load.in_flight += 1
    assert max(r.load.in_flight for r in rows) - min(r.load.in_flight for r in rows) <= 8


def test_weights_decide_how_often_an_endpoint_is_drawn() -> None:
    draw = random.Random(5)
    rows = choices(0.1, 0.1, 0.1, weights=(8, 1, 1))
    seen = Counter(pick(rows, draw.random).item for _ in range(5_000))
    assert seen[0] > 3_000


def test_only_weightless_endpoints_are_still_used() -> None:
    assert pick(choices(0.1, 0.1, weights=(0, 0)), lambda: 0.5).item in (0, 1)


def test_a_slow_answer_counts_at_once_and_a_fast_one_slowly() -> None:
    load = Load()
    load.observe(0.010, now=0.0)
    load.observe(1.0, now=1.0)
    assert load.cost == 1.0
    load.observe(0.010, now=1.1)
    assert 0.9 < load.cost < 1.0


def test_time_forgives_a_slow_answer() -> None:
    load = Load()
    load.observe(1.0, now=0.0)
    load.observe(0.010, now=100.0)
    assert load.cost < 0.02
