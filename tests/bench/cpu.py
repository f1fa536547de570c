"""CPU time of a process and its descendants, from the kernel's own accounting; wall time never enters.

The process clock of clock_getcpuclockid(3) counts what /proc/PID/stat shows as utime + stime (every thread, ended ones
too), in nanoseconds instead of ticks of 10 ms. So a run of a few thousand cheap requests is long enough.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import msgspec

PROC: Final = Path("/proc")
_SCHED_CLOCK: Final = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h


class TreeChanged(Exception):
    """A process of the tree began or ended in mid-measurement, so the difference of two readings means nothing."""


class Reading(msgspec.Struct, frozen=True):
    """CPU nanoseconds by process id, at one moment."""

    by_pid: dict[int, int]

    def since(self, before: Reading) -> int:
        """Nanoseconds used by all processes between two readings. Raises TreeChanged."""
        return sum(self.each_since(before).values())

    def each_since(self, before: Reading) -> dict[int, int]:
        """The same, process by process."""
        if self.by_pid.keys() != before.by_pid.keys():
            raise TreeChanged(f"processes were {sorted(before.by_pid)}, are {sorted(self.by_pid)}")
        return {pid: ns - before.by_pid[pid] for pid, ns in self.by_pid.items()}


def process_ns(pid: int) -> int:
    """CPU nanoseconds one process has used, all of its threads. Raises OSError when there is no such process."""
    return time.clock_gettime_ns((~pid << 3) | _SCHED_CLOCK)


def tree(root: int) -> list[int]:
    """`root` and every living descendant."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            parent = _parent(int(entry.name))
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, ()))
    return found


def read(root: int) -> Reading:
    """One reading of the whole tree below `root`."""
    return Reading({pid: process_ns(pid) for pid in tree(root)})


def resident_bytes(root: int) -> int:
    """Resident memory of the tree, shared pages of forked workers counted once per process."""
    total = 0
    for pid in tree(root):
        try:
            total += int((PROC / str(pid) / "statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total * os.sysconf("SC_PAGE_SIZE")


def _parent(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # The command in brackets may hold blanks and brackets: count from the last one.
    return int(text[text.rindex(")") + 2 :].split()[1])
