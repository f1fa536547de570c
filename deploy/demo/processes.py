"""Start servers on free loopback ports, wait until they are ready, and end what was started, by process id."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STARTED = float(os.environ.get("DEMO_STARTED") or time.time())
"""When `make demo` began, set-up included."""
STOP_S = 15.0
LOG_LINES = 15


class FailedError(Exception):
    """The demonstration cannot go on; the text says why and what to do."""


def say(text: str) -> None:
    """One progress line, with the seconds since the start."""
    print(f"[{time.time() - STARTED:5.1f} s] {text}", flush=True)


@dataclass(frozen=True)
class Ports:
    """Every port of the demonstration, on 127.0.0.1."""

    http: int
    grpc: int
    admin: int
    triton_http: int
    triton_grpc: int
    triton_metrics: int


PENSTOCK_PORTS, TRITON_PORTS = 8100, 8000
"""The first of three in a row, where they are free."""
STEPS = range(0, 1000, 10)


def choose_ports() -> Ports:
    """The usual ports, or others where somebody listens already; which is said. Raises FailedError if all are taken."""
    http, grpc, admin = three_free(PENSTOCK_PORTS, "Penstock")
    return Ports(http, grpc, admin, *three_free(TRITON_PORTS, "Triton"))


def three_free(usual: int, who: str) -> tuple[int, int, int]:
    """Three free ports in a row: `penstock infer --grpc` looks for gRPC one above REST."""
    for step in STEPS:
        ports = (usual + step, usual + step + 1, usual + step + 2)
        if all(map(is_free, ports)):
            if step:
                say(f"ports {usual} to {usual + 2} are not all free; {who} listens on {ports[0]} to {ports[2]}")
            return ports
    raise FailedError(
        f"{who} finds no three free ports between {usual} and {usual + STEPS.stop}; end what listens there"
    )


def is_free(port: int) -> bool:
    """Can a server bind this port now? Connections that are merely closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Server:
    """A server that runs, and where its log is."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def require_alive(self) -> None:
        """Raises FailedError, with the end of the log, if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise FailedError(f"{self.name} ended with status {code}. {self.tail()}")

    def wait_ready(self, port: int, limit_s: float) -> None:
        """Until GET /v2/health/ready is 200. Raises FailedError, with the end of the log, when that takes too long."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            self.require_alive()
            if listens(self.process.pid, port) and status(port, "/v2/health/ready") == http.client.OK:
                return
            time.sleep(0.1)
        raise FailedError(f"{self.name} is not ready after {limit_s:.0f} s. {self.tail()}")

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """What fails in the block is told with the end of the log."""
        try:
            yield
        except FailedError as error:
            raise FailedError(f"{error}\n{self.tail()}") from error

    def tail(self) -> str:
        """The last lines of the log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return f"The end of {self.log}:\n" + ("\n".join(f"    {line}" for line in lines) or "    (nothing)")


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The server while the block runs; afterwards it and its children are gone."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,  # Ctrl-C reaches us only; we then end the servers in order
        )
    try:
        yield Server(name, process, log)
    finally:
        stop(name, process)


def stop(name: str, process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; after a while, make it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            say(f"{name} does not end by itself; killing it")
    with contextlib.suppress(ProcessLookupError):  # the session it leads is what it left behind, if anything
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(command: Sequence[str]) -> str:
    """A command that ends by itself; its output. Raises FailedError if it fails."""
    done = subprocess.run(
        list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise FailedError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def listens(pid: int, port: int) -> bool:
    """Is it this process that listens there, and not somebody who was quicker? (From /proc, as `ss -p` does.)"""
    wanted = f"0100007F:{port:04X}", "0A"  # 127.0.0.1 in the kernel's spelling, state LISTEN
    rows = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    sockets = {f"socket:[{row[9]}]" for row in rows if (row[1], row[3]) == wanted}
    with contextlib.suppress(OSError):  # it ends while we look
        return any(str(entry.readlink()) in sockets for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


def status(port: int, path: str) -> int:
    """The status of a GET on loopback, 0 if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
