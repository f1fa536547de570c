"""The metrics page: what prometheus-client parses back, over all workers, without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from penstock_gateway.exposition import Exposition, render
from penstock_gateway.metric_rows import taken
from penstock_router.metrics import Metrics
from tests.support.polling import eventually

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
LABELS = ("digits", "digits", "1", "local", "rest", "200")


def counted(times: int = 1) -> Metrics:
    metrics = Metrics()
    metrics.requests.cell(*LABELS).value += 3 * times
    metrics.inflight.cell("rest").value = 2
    metrics.backend_up.cell("local", "a").value = 1
    for _ in range(times):
        metrics.duration.cell("digits", "rest").observe(0.003)
        metrics.duration.cell("digits", "rest").observe(100.0)
    return metrics


def samples(page: bytes) -> Mapping[tuple[str, str], float]:
    """(sample name, le) -> value."""
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in parse_text(page.decode())
        for sample in family.samples
    }


def files(run_dir: Path) -> list[Path]:
    return sorted(run_dir.iterdir())


async def test_the_page_holds_every_kind_of_metric() -> None:
    page, content_type = await Exposition(counted()).scrape("")

    found = samples(page)
    assert content_type.startswith("text/plain")
    assert found["penstock_requests_total", ""] == 3
    assert found["penstock_inflight", ""] == 2
    assert found["penstock_request_duration_seconds_bucket", "0.0025"] == 0
    assert found["penstock_request_duration_seconds_bucket", "0.005"] == 1
    assert found["penstock_request_duration_seconds_bucket", "30.0"] == 1
    assert found["penstock_request_duration_seconds_bucket", "+Inf"] == 2
    assert found["penstock_request_duration_seconds_count", ""] == 2
    assert found["penstock_request_duration_seconds_sum", ""] == pytest.approx(100.003)


async def test_openmetrics_is_sent_to_who_accepts_it() -> None:
    page, content_type = await Exposition(counted()).scrape(OPENMETRICS)

    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(page.decode())}  # type: ignore[no-untyped-call]
    assert {"penstock_requests", "penstock_request_duration_seconds", "penstock_inflight"} <= names


def test_label_values_cannot_break_the_page() -> None:
    metrics = Metrics()
    nasty = 'a"b\\c\nd{}'
    metrics.retries.cell(nasty).value = 1

    page, _ = render(taken(metrics.families()), "")

    [sample] = [s for f in parse_text(page.decode()) if f.name == "penstock_retries" for s in f.samples]
    assert sample.labels == {"backend": nasty}


async def test_any_worker_shows_all_workers(tmp_path: Path) -> None:
    first = Exposition(counted(), tmp_path, "1")
    second = Exposition(counted(10), tmp_path, "2")
    second.write()

    page, _ = await first.scrape("")

    found = samples(page)
    assert found["penstock_requests_total", ""] == 33
    assert found["penstock_request_duration_seconds_bucket", "0.005"] == 11
    assert found["penstock_inflight", ""] == 4
    assert found["penstock_backend_up", ""] == 1


async def test_a_worker_writes_at_start_and_at_its_end(tmp_path: Path) -> None:
    metrics = counted()
    exposition = Exposition(metrics, tmp_path, "1")
    task = asyncio.create_task(exposition.keep_writing())
    await eventually(lambda: bool(files(tmp_path)))
    metrics.retries.cell("late").value = 5
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    page, _ = await Exposition(Metrics(), tmp_path, "2").scrape("")
    assert samples(page)["penstock_retries_total", ""] == 5


async def test_without_a_run_directory_nothing_is_written(tmp_path: Path) -> None:
    await Exposition(counted()).keep_writing()

    assert not files(tmp_path)


async def test_a_large_scrape_lets_the_event_loop_run() -> None:
    metrics = Metrics()
    for number in range(10_000):
        metrics.requests.cell(f"model-{number}", "m", "1", "local", "rest", "200").value = number
    for number in range(2_000):
        metrics.duration.cell(f"model-{number}", "rest").observe(0.01)
    scrape = asyncio.create_task(Exposition(metrics).scrape(""))
    turns = 0
    while not scrape.done():
        await asyncio.sleep(0)
        turns += 1

    page, _ = await scrape
    assert page.count(b"\npenstock_requests_total{") == 10_000
    assert turns > 500, "the loop hardly ran while the page was rendered"
