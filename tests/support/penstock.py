"""The product as a user runs it: `penstock serve` as a child process, `penstock apply` beside it. Ended by its pid."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.processes import children, stop, until

COMMAND = Path(sys.executable).with_name("penstock")
START_S = 60.0
"""Longer than the slowest start on a loaded two-core machine, bounded all the same."""


class HttpAnswer(NamedTuple):
    """One answer. `status` 0 = nobody answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Penstock:
    """One installation: its folder and ports outlive its process, which may be ended and started again."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self.directory = directory
        self.flags = flags
        self.log = directory / "penstock.log"
        self.http = self.grpc = self.admin = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def processes(self) -> list[int]:
        """The serving processes: the workers, or the only one."""
        return children(self.pid) or [self.pid]

    @property
    def server(self) -> str:
        """What `--server` of the command line takes."""
        return f"http://127.0.0.1:{self.admin}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and wait until every worker serves. The first time ports are found, later the same are used."""
        self.directory.mkdir(parents=True, exist_ok=True)
        ports = ("--http-port", self.http), ("--grpc-port", self.grpc), ("--admin-port", self.admin)
        flags = [word for name, port in ports for word in (name, str(port))]
        command = [str(COMMAND), "serve", *flags, "--data-dir", str(self.directory / "data"), *self.flags]
        at = self.log.stat().st_size if self.log.exists() else 0
        # Killed, it cannot remove its temporary files: here they go with the test's.
        environment = {**plain_environment(), "TMPDIR": str(self.directory)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        workers = int(self.flags[self.flags.index("--workers") + 1]) if "--workers" in self.flags else 1
        until(lambda: not self.running or len(self._announced(at)) >= workers, timeout_s=START_S, what=self.told())
        assert self.running, f"it ended: {self.told()}"
        where = self._announced(at)[0]
        self.http, self.grpc, self.admin = (int(where[name].rpartition(":")[2]) for name in ("http", "grpc", "admin"))
        return self

    def _announced(self, at: int) -> list[dict[str, str]]:
        with self.log.open("rb") as log:
            log.seek(at)
            lines = [line for line in log.read().splitlines() if b'"serving"' in line]
        return [line for line in map(json.loads, lines) if line["event"] == "serving"]

    def terminate(self) -> None:
        """Ask it to end, as an operator's stop does."""
        os.kill(self.pid, signal.SIGTERM)

    def ended(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM, the drain, the end; the exit code."""
        self.terminate()
        return self.ended()

    def kill(self) -> None:
        """End it without a drain, workers included, if it still runs."""
        if self._process is not None and self.running:
            workers = children(self.pid)
            stop(self._process, signal.SIGKILL)
            for worker in workers:
                until(lambda pid=worker: not _exists(pid), what="a worker to follow its supervisor")  # type: ignore[misc]

    def told(self) -> str:
        """The end of the log, for a failure's text."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"{COMMAND.name}; its log ends:\n{text[-3000:]}"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        admin: bool = False,
        timeout_s: float = 30.0,
    ) -> HttpAnswer:
        """One request on a connection of its own. `body` is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin if admin else self.http, timeout=timeout_s)
        sent = dict(headers or {})
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return HttpAnswer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})
        except (OSError, http.client.HTTPException):
            return HttpAnswer(0)
        finally:
            connection.close()

    def get(self, path: str) -> HttpAnswer:
        return self.call("GET", path)

    def apply(self, *paths: Path, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """`penstock apply -f ...`, as a user types it. Raises AssertionError if it fails."""
        files = [word for path in paths for word in ("-f", str(path))]
        done = self.cli("apply", *files, "--server", self.server, timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] + self.told()
        return done

    def cli(self, *words: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Any command of the command line."""
        return subprocess.run(
            [str(COMMAND), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env=plain_environment(),
        )

    def wait_ready(self, *models: str, timeout_s: float = START_S) -> None:
        """Until each `name` or `name@version` is ready on every worker (each question is a connection of its own)."""
        for model in models:
            name, _, version = model.partition("@")
            path = f"/v2/models/{name}{f'/versions/{version}' if version else ''}/ready"
            for _ in range(8 * len(self.processes)):
                until(lambda path=path: self.get(path).status == 200, timeout_s=timeout_s, what=path)  # type: ignore[misc]


def plain_environment() -> dict[str, str]:
    """Ours without PENSTOCK_ settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}


@contextlib.contextmanager
def penstock(directory: Path, *flags: str) -> Iterator[Penstock]:
    """A running product; gone at the end, whatever happened."""
    product = Penstock(directory, *flags)
    try:
        yield product.start()
    finally:
        product.kill()


def resident_kib(pid: int) -> int:
    """Resident memory of a process now."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0])


def _exists(pid: int) -> bool:
    """False also for a zombie nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
