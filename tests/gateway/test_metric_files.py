"""Counters never go back: not when a worker dies, not while it is folded, not at the second look."""

from __future__ import annotations

from pathlib import Path

from penstock_gateway.metric_files import fold, read_all, worker_file, write_rows
from penstock_gateway.metric_rows import WorkerRows, taken
from penstock_router.metrics import Metrics


def write(run_dir: Path, key: str, count: float) -> None:
    metrics = Metrics()
    metrics.retries.cell("a").value = count
    metrics.inflight.cell("rest").value = count
    write_rows(worker_file(run_dir, key), WorkerRows(taken(metrics.families())))


def seen(run_dir: Path, family: str = "retries_total") -> float:
    rows = {row.name: row for row in read_all(run_dir)}
    return sum(rows[family].values.values()) if family in rows else 0


def test_dead_workers_keep_counting(tmp_path: Path) -> None:
    for key, count in (("1", 5), ("2", 7)):
        write(tmp_path, key, count)
    fold(tmp_path, ["1"])
    assert (seen(tmp_path), seen(tmp_path, "inflight")) == (12, 7)

    write(tmp_path, "3", 1)
    fold(tmp_path, ["2", "gone"])
    assert (seen(tmp_path), seen(tmp_path, "inflight")) == (13, 1)


def test_folding_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path, "1", 5)
    kept = worker_file(tmp_path, "1").read_bytes()
    fold(tmp_path, ["1"])
    # The supervisor died between its two steps: the file is still there, and is folded again.
    worker_file(tmp_path, "1").write_bytes(kept)
    assert seen(tmp_path) == 5

    fold(tmp_path, ["1"])
    assert seen(tmp_path) == 5
    assert not worker_file(tmp_path, "1").exists()


def test_an_empty_run_directory_is_an_empty_view(tmp_path: Path) -> None:
    fold(tmp_path, ["1"])

    assert read_all(tmp_path) == []
