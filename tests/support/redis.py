"""A throw-away Redis from local binaries: loopback only, a free port, nothing written to disk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import free_port, stop, until


class Redis:
    """One server, a direct child."""

    def __init__(self) -> None:
        binary = shutil.which("redis-server")
        assert binary, "Redis is missing: run tests/support/install_servers.sh"
        self._binary = binary
        self.directory = Path(tempfile.mkdtemp(prefix="penstock-redis-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        until(self._started, what="Redis to start")

    def _started(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.directory)]
            command = [self._binary, "--port", str(self.port), *options]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        return self.command("PING") == "+PONG"

    def command(self, words: str) -> str:
        """The first line of the answer to an inline command, "" if there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(words.encode() + b"\r\n")
                return connection.recv(4096).split(b"\r\n")[0].decode()
        except OSError:
            return ""

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def remove(self) -> None:
        if self._process is not None:
            stop(self._process, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _redis() -> Iterator[Redis]:
    server = Redis()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def redis(_redis: Redis) -> Redis:
    """A running Redis that the test may kill and pause."""
    _redis.start()
    return _redis
