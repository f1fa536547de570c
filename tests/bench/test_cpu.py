from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.bench import cpu

BUSY_THREADS = """
import sys, threading, time
def burn():
    while time.thread_time() < 0.15: pass
threads = [threading.Thread(target=burn) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
print("done", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose two threads have used 0.15 s each and ended."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY_THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        yield process


def test_time_of_ended_threads_counts_and_agrees_with_proc_stat(busy: subprocess.Popen[bytes]) -> None:
    used = cpu.process_ns(busy.pid)

    fields = (cpu.PROC / str(busy.pid) / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    assert used >= 2 * 150_000_000
    assert abs(used / 1e9 - ticks / os.sysconf("SC_CLK_TCK")) <= 0.03


def test_the_tree_holds_grandchildren() -> None:
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '30']); print(p.pid, flush=True); sys.stdin.read(); p.kill()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())

        assert {process.pid, grandchild} <= set(cpu.tree(os.getpid()))
        assert cpu.tree(process.pid) == [process.pid, grandchild]


def test_a_difference_is_summed_over_processes() -> None:
    before, after = cpu.Reading({1: 10, 2: 20}), cpu.Reading({1: 15, 2: 27})

    assert after.since(before) == 12
    assert after.each_since(before) == {1: 5, 2: 7}


def test_a_tree_that_changed_is_not_measured() -> None:
    with pytest.raises(cpu.TreeChanged):
        cpu.Reading({1: 15, 3: 1}).since(cpu.Reading({1: 10, 2: 20}))


def test_resident_memory_of_this_process_is_counted() -> None:
    assert cpu.resident_bytes(os.getpid()) > 1 << 20
