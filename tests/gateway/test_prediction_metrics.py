"""Predictions are counted by what a registry knows, never by what a caller invents."""

from __future__ import annotations

import pytest

from penstock_gateway import prediction_metrics
from penstock_gateway.prediction_metrics import PredictionMetrics
from penstock_router.metrics import Metrics
from tests.support.plane import labels_of


def test_a_prediction_is_counted_under_its_deployment() -> None:
    metrics = Metrics()
    counter = PredictionMetrics(metrics, "rest", labels_of)
    for seconds in (0.001, 0.002):
        counter.count("live", "digits-2-gpu", 200, seconds)
    counter.count("", "", 404, 0.001)

    assert {labels: cell.value for labels, cell in metrics.requests.cells.items()} == {
        ("live", "digits", "2", "gpu", "rest", "200"): 2,
        ("", "", "", "", "rest", "404"): 1,
    }
    assert sum(metrics.duration.cells["live", "rest"].counts) == 2


def test_the_cache_of_cells_is_bounded_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_metrics, "CACHED_MAX", 2)
    metrics = Metrics()
    counter = PredictionMetrics(metrics, "grpc", labels_of)
    for _ in range(3):
        for route in ("a", "b", "c"):
            counter.count(route, "", 200, 0.001)

    assert [cell.value for cell in metrics.requests.cells.values()] == [3, 3, 3]


def test_the_gateways_own_share_is_counted_where_a_backend_answered() -> None:
    metrics = Metrics()
    counter = PredictionMetrics(metrics, "rest", labels_of)
    counter.count("live", "digits-2-gpu", 200, 0.010, 0.0098)
    counter.count("live", "", 400, 0.001)

    overhead = metrics.overhead.cells["rest",]
    assert sum(overhead.counts) == 1
    assert abs(overhead.sum - 0.0002) < 1e-9
