"""A real Triton server for the tests: installed once per machine, started once per session, ended by its process id."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deploy.triton.launch import Ports, clean

from tests.support.triton_models import write_models

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
"""Longer than the slowest start seen on a loaded two-core machine (13 s), bounded all the same."""
STOP_S = 20.0
LOADED = ("echo", "shout", "slow", "affine", "parameters")
"""Loaded at the start; broken and countdown are there to be loaded by tests."""


@dataclass(frozen=True)
class Triton:
    """A running server."""

    ports: Ports
    pid: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.http}"

    @property
    def grpc_url(self) -> str:
        return f"127.0.0.1:{self.ports.grpc}"

    def stub_of(self, model: str) -> int:
        """The process id of a model's Python."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if f"/{model}/".encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        raise LookupError(model)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextlib.contextmanager
def triton_server(repository: Path, log: Path, load: tuple[str, ...]) -> Iterator[Triton]:
    """Run a server over this repository. Raises RuntimeError with the end of its log if it does not get ready."""
    subprocess.run([sys.executable, str(ROOT / "deploy" / "triton" / "setup.py")], check=True)
    ports = Ports(free_port(), free_port(), free_port())
    argv = [sys.executable, "-m", "deploy.triton.launch", "--repository", str(repository)]
    argv += ["--http-port", str(ports.http), "--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)]
    argv += [word for name in load for word in ("--load", name)]
    with log.open("wb") as sink:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)
    server = Triton(ports, process.pid, log)
    try:
        give_up = time.monotonic() + START_S
        while not is_ready(server.url):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"Triton did not start; its log ends:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        clean(ports)


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """The session's Triton, with the models of triton_models."""
    root = tmp_path_factory.mktemp("triton")
    write_models(root / "models")
    with triton_server(root / "models", root / "triton.log", LOADED) as server:
        yield server
