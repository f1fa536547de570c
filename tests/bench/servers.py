"""Server processes of a run: started on free loopback ports, waited for, looked after and ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.bench import cpu

REPOSITORY: Final = Path(__file__).resolve().parents[2]
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0

CPUS: Final = sorted(os.sched_getaffinity(0))
LOAD_CPUS: Final = CPUS[:1]
"""Where loader and upstream run."""
SERVER_CPUS: Final = CPUS[1:2] or CPUS
"""Where the server under test runs, so that nothing of the bench's own disturbs its caches."""


class NotStarted(Exception):
    """A server did not come up; the text has the end of its log."""


class Server(msgspec.Struct, frozen=True):
    """A running server: its process (the root of a tree), where it listens, where it logs."""

    name: str
    pid: int
    port: int
    log: Path

    def cpu(self) -> cpu.Reading:
        return cpu.read(self.pid)


def free_port() -> int:
    """A loopback port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Is somebody listening there?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(
    name: str,
    command: Sequence[object],
    port: int,
    work: Path,
    *,
    cpus: Sequence[int] = SERVER_CPUS,
    ready: Callable[[int], bool] = accepts,
    timeout_s: float = START_TIMEOUT_S,
    cwd: Path = REPOSITORY,
) -> Iterator[Server]:
    """The server while the block runs. Raises NotStarted when it is not ready in time or ends by itself."""
    log = work / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        os.sched_setaffinity(process.pid, cpus)  # its threads and children inherit it
        _wait(process, name, log, lambda: ready(port), timeout_s)
        yield Server(name, process.pid, port, log)
    finally:
        _stop(process)


def bench_module(module: str, *arguments: str, python: str | Path = sys.executable) -> list[object]:
    """The command that runs a module of this package."""
    return [python, "-m", f"tests.bench.{module}", *arguments]


def _wait(
    process: subprocess.Popen[bytes], name: str, log: Path, is_ready: Callable[[], bool], timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStarted(f"{name} ended with status {process.returncode}:\n{_tail(log)}")
        if is_ready():
            return
        time.sleep(0.05)
    raise NotStarted(f"{name} was not ready after {timeout_s:.0f} s:\n{_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    tree = cpu.tree(process.pid) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
    for pid in tree[1:]:  # what a killed parent left behind
        try:
            if os.getsid(pid) == process.pid:
                os.kill(pid, 9)
        except ProcessLookupError:
            continue


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
