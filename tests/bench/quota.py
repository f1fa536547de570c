"""A CPU quota for single processes, so that N workers can be compared with one on a machine too small to feed them.

With each worker held to a share of a core, loader and backend are never the limit; what is compared is the rate by the
wall clock. Needs the right to make control groups (root, as a rule); version 1 and 2 of the kernel's interface.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

V1: Final = Path("/sys/fs/cgroup/cpu")
V2: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 10_000


class NoQuota(Exception):
    """Processes cannot be limited on this machine; the text says why."""


@contextmanager
def limited(pids: Sequence[int], share: float) -> Iterator[None]:
    """Each process has at most `share` of one core while the block runs. Raises NoQuota."""
    groups: list[tuple[Path, Path, int]] = []
    try:
        try:
            groups.extend(_enter(pid, share) for pid in pids)
        except OSError as error:
            raise NoQuota(f"no control group for CPU time: {error}") from None
        yield
    finally:
        for group, before, pid in groups:
            _leave(group, before, pid)


def _enter(pid: int, share: float) -> tuple[Path, Path, int]:
    """Put one process into a group of its own; (group, group it came from, pid)."""
    root, first = (V1, V1 / "cpu.cfs_quota_us") if (V1 / "cgroup.procs").is_file() else (V2, V2 / "cgroup.procs")
    if not first.parent.is_dir() or not (root / "cgroup.procs").is_file():
        raise NoQuota("no control groups are mounted")
    before = _current(pid, root)
    group = before / f"penstock-bench-{os.getpid()}-{pid}"
    group.mkdir()
    if root == V1:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(int(PERIOD_US * share)))
    else:
        (group / "cpu.max").write_text(f"{int(PERIOD_US * share)} {PERIOD_US}")
    (group / "cgroup.procs").write_text(str(pid))
    return group, before, pid


def _current(pid: int, root: Path) -> Path:
    """The group a process is in now."""
    for line in (Path("/proc") / str(pid) / "cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if (root == V1 and "cpu" in controllers.split(",")) or (root == V2 and number == "0"):
            return root / path.lstrip("/")
    raise NoQuota("the process is in no control group")


def _leave(group: Path, before: Path, pid: int) -> None:
    try:
        (before / "cgroup.procs").write_text(str(pid))
        group.rmdir()
    except OSError as error:  # the process has ended, or another one is in there: not worth failing a run
        print(f"[bench] {group} is left behind: {error}")
