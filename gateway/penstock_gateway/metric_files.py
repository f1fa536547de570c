"""Workers' metrics in files, so that whoever is scraped shows all of them, and no counter goes back when one dies.

A run directory, owned by the supervisor, holds one file per worker, replaced in one step. A scraped worker writes its own
file before it reads the others': a number that was shown once is on disk, and outlives the process that showed it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from penstock_gateway.metric_rows import FamilyRows, WorkerRows, lasting, merged

FOLDED: Final = "folded.msgpack"
FOLDED_MAX: Final = 1000
"""Names of folded files that are kept: long enough for any reader that still holds one."""
_SUFFIX: Final = ".worker.msgpack"
_DECODE: Final = msgspec.msgpack.Decoder(WorkerRows).decode


def worker_file(run_dir: Path, key: str) -> Path:
    """`key` is unique for the life of the run directory: process ids come back, so it is more than one."""
    return run_dir / f"{key}{_SUFFIX}"


def write_rows(path: Path, rows: WorkerRows) -> None:
    """Replace the file in one step; a reader sees the old rows or the new ones."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.write_bytes(msgspec.msgpack.encode(rows))
    temporary.replace(path)


def read_all(run_dir: Path) -> list[FamilyRows]:
    """The merged rows of all workers, living and dead."""
    workers: dict[str, list[FamilyRows]] = {}
    for path in sorted(run_dir.glob(f"*{_SUFFIX}")):
        with suppress(FileNotFoundError):  # Folded since we listed it: the folded rows, read below, hold it.
            workers[path.name] = _DECODE(path.read_bytes()).families
    folded = _read_folded(run_dir)
    for name in folded.folded:
        workers.pop(name, None)
    return merged([*workers.values(), folded.families])


def fold(run_dir: Path, dead: Iterable[str]) -> None:
    """Move the counts of dead workers (by key) into one file. Called by the supervisor only.

    The folded file names whom it holds, so that a reader between the two steps does not count them twice.
    """
    paths = [path for key in dead if (path := worker_file(run_dir, key)).exists()]
    if not paths:
        return
    folded = _read_folded(run_dir)
    added: Sequence[Path] = [path for path in paths if path.name not in folded.folded]
    rows = [lasting(_DECODE(path.read_bytes()).families) for path in added]
    names = [*folded.folded, *(path.name for path in added)][-FOLDED_MAX:]
    write_rows(run_dir / FOLDED, WorkerRows(merged([folded.families, *rows]), names))
    for path in paths:
        path.unlink()


def _read_folded(run_dir: Path) -> WorkerRows:
    try:
        return _DECODE((run_dir / FOLDED).read_bytes())
    except FileNotFoundError:
        return WorkerRows([])
