"""Start the Triton server that setup.py installed, on loopback ports. Standard library only; from the repository's root:

python -m deploy.triton.launch --repository R --http-port 8000 --grpc-port 8001 --metrics-port 8002 --load digits
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.triton.setup import DEFAULT_DEST, PYTHON, library_directory

SHM_BYTES = 1 << 20
"""Shared memory each stub starts with; it grows when a tensor needs more."""
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ports:
    """Where a server listens, on 127.0.0.1."""

    http: int
    grpc: int
    metrics: int


def shm_prefix(ports: Ports) -> str:
    """How the names of a server's shared memory begin: two servers with one prefix delete each other's."""
    return f"penstock{ports.http}-"


def clean(ports: Ports) -> None:
    """Remove the shared memory that a server which was killed, or whose models would not end, has left behind."""
    for path in Path("/dev/shm").glob(f"{shm_prefix(ports)}*"):
        path.unlink(missing_ok=True)


def command(
    home: Path, repository: Path, ports: Ports, *, load: Sequence[str] = (), extra: Sequence[str] = ()
) -> list[str]:
    """The argument vector. `load` names the models to load at the start; the rest waits for the load call."""
    server = home / "pytriton" / "tritonserver"
    return [
        str(server / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={home / f'backends-{PYTHON}'}",
        f"--cache-directory={server / 'caches'}",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        f"--http-port={ports.http}",
        f"--grpc-port={ports.grpc}",
        f"--metrics-port={ports.metrics}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix(ports)}",
        f"--backend-config=python,shm-default-byte-size={SHM_BYTES}",
        "--model-control-mode=explicit",
        "--strict-readiness=false",  # one model that fails to load must not take the others out of rotation
        "--exit-timeout-secs=5",
        *(f"--load-model={name}" for name in load),
        *extra,
    ]


def environment(home: Path) -> Mapping[str, str]:
    """All the server needs: the stub takes its packages from the first python3 on PATH, its libpython from the library path."""
    return {
        "PATH": f"{home / f'stub-{PYTHON}' / 'bin'}:{os.defpath}",
        "LD_LIBRARY_PATH": f"{library_directory()}:{home / 'nvidia_pytriton.libs'}",
        "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime inside its models reports to Microsoft otherwise
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Run Triton on loopback until it is told to stop.")
    parser.add_argument("--home", type=Path, default=DEFAULT_DEST, help="what setup.py was given as --dest")
    parser.add_argument("--repository", type=Path, required=True, help="the model repository")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        parser.add_argument(f"--{name}-port", type=int, default=port)
    parser.add_argument("--load", action="append", default=[], metavar="MODEL", help="load this model; may be repeated")
    parser.add_argument("extra", nargs="*", help="more tritonserver arguments, after --")
    given = parser.parse_args()
    ports = Ports(given.http_port, given.grpc_port, given.metrics_port)
    argv = command(given.home, given.repository.absolute(), ports, load=given.load, extra=given.extra)
    # Whoever started us may be killed without a chance to stop us; then the kernel does it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    sys.stdout.flush()
    os.execve(argv[0], argv, dict(environment(given.home)))


if __name__ == "__main__":
    main()
