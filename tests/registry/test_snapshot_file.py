"""The last good snapshot on disk: whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock_registry.snapshot import Snapshot
from penstock_registry.snapshot_file import SnapshotFile, load, save
from tests.support.polling import eventually
from tests.support.registries import bodies
from tests.support.resources import backend, model, route, snapshot

SNAPSHOT = snapshot(
    7,
    backend("b"),
    model("m", "1", description="line\u2028\x85 \n and ü").model_copy(update={"revision": 5}),
    route("r", {"m": 1}),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "last.snapshot"

    save(path, SNAPSHOT)
    loaded = load(path)

    assert loaded is not None
    assert (loaded.revision, bodies(loaded)) == (7, bodies(SNAPSHOT))
    assert loaded.resources["Model", "m"].revision == 5
    assert [file.name for file in path.parent.iterdir()] == ["last.snapshot"]


def test_the_empty_registry_is_a_snapshot_too(tmp_path: Path) -> None:
    save(tmp_path / "a", Snapshot())

    assert load(tmp_path / "a") == Snapshot()


def test_without_a_file_there_is_no_snapshot_and_the_reason_is_said(tmp_path: Path) -> None:
    said: list[str] = []

    assert load(tmp_path / "none", said.append) is None
    assert load(tmp_path, said.append) is None
    assert said[0] == "there is no snapshot file yet"
    assert "cannot be read" in said[1]


def test_any_flipped_or_missing_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save(path, SNAPSHOT)
    good = path.read_bytes()
    said: list[str] = []

    for place in range(len(good)):
        for bad in (good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :], good[:place]):
            path.write_bytes(bad)
            loaded = load(path, said.append)
            # The revision and the count stand in the header: a flip there may be another number.
            assert loaded is None or bodies(loaded) == bodies(SNAPSHOT)

    assert len(said) >= 2 * len(good) - 4
    assert {words.partition(" (")[0] for words in said} == {"the snapshot file is damaged"}


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save(path, SNAPSHOT)
    header, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps(json.loads(header) | {"format": "penstock-snapshot/2"}).encode() + b"\n" + body)
    said: list[str] = []

    assert load(path, said.append) is None
    assert "penstock-snapshot/2" in said[0]


async def test_of_many_snapshots_the_last_is_written(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "a", quiet_s=0.02)
    for revision in range(1, 100):
        file.offer(snapshot(revision, model("m")))

    await eventually(lambda: file.revision == 99)

    loaded = load(tmp_path / "a")
    assert loaded is not None
    assert loaded.revision == 99
    await file.aclose()


async def test_closing_writes_what_was_offered_last(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "a", quiet_s=3600)
    file.offer(snapshot(1, model("m")))
    file.offer(snapshot(2, model("m")))

    await file.aclose()

    loaded = load(tmp_path / "a")
    assert loaded is not None
    assert loaded.revision == 2
    await SnapshotFile(tmp_path / "b").aclose()
    assert not (tmp_path / "b").exists()


async def test_a_disk_that_refuses_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = SnapshotFile(tmp_path / "file" / "a", quiet_s=0)
    file.offer(SNAPSHOT)

    await eventually(lambda: file.problem != "")

    assert file.revision == -1
    await file.aclose()


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").write_text("")

    with pytest.raises(OSError, match="irectory"):
        save(tmp_path / "a", SNAPSHOT)

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
