"""A Triton that a test may kill, pause and start again on its ports; its Python stubs go where it goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from deploy.examples.assemble import assemble
from deploy.triton.launch import Ports, clean

from tests.support.processes import children, stop, until
from tests.support.triton import ROOT, START_S, free_port, is_ready


class DoomedTriton:
    """One server with the examples' digits model."""

    def __init__(self, directory: Path) -> None:
        self.ports = Ports(free_port(), free_port(), free_port())
        self.log = directory / f"triton-{self.ports.http}.log"
        self._repository = assemble(directory / f"triton-{self.ports.http}")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> dict[str, str]:
        """As a Backend's manifest names it."""
        return {"url": f"http://127.0.0.1:{self.ports.http}", "grpc": f"127.0.0.1:{self.ports.grpc}"}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def begin(self) -> None:
        """Start it and return at once. From the main thread only: a server ends with the thread that started it."""
        argv = [sys.executable, "-m", "deploy.triton.launch", "--repository", str(self._repository), "--load", "digits"]
        argv += ["--http-port", str(self.ports.http), "--grpc-port", str(self.ports.grpc)]
        argv += ["--metrics-port", str(self.ports.metrics)]
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(argv, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)

    def wait_ready(self) -> float:
        """Wait until it answers; how many seconds that took."""
        started = time.monotonic()
        until(lambda: is_ready(f"http://127.0.0.1:{self.ports.http}"), timeout_s=START_S, what=f"Triton: {self.log}")
        return time.monotonic() - started

    def kill(self) -> None:
        """SIGKILL, and with it the stubs, which would live on."""
        if self._process is None or self._process.poll() is not None:
            return
        stubs = _offspring(self.pid)
        stop(self._process, signal.SIGKILL)
        for stub in stubs:
            os.kill(stub, signal.SIGKILL)
        clean(self.ports)

    def pause(self) -> None:
        """SIGSTOP: the kernel takes connections and bytes for it, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def _offspring(pid: int) -> list[int]:
    """Children of any of its threads."""
    found = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return sorted({*found, *children(pid)})
