"""MLServer and KServe serving the ONNX file in process, each from its own environment, on loopback only."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench import cpu
from tests.bench.environments import KSERVE, MLSERVER, ensure
from tests.bench.servers import REPOSITORY, Server, free_port, running

MODEL_FILE: Final = REPOSITORY / "deploy" / "examples" / "models" / "digits-v2.onnx"
COMPETITORS: Final = Path(__file__).parent / "competitors"
START_TIMEOUT_S: Final = 180.0
"""Cold imports of their dependencies take half a minute on a busy machine."""
_LOOPBACK: Final = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
_LISTEN: Final = "0A"


def model_ready(port: int) -> bool:
    """Does the server on `port` call the model ready?"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/models/digits/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def mlserver(work: Path, *, lean: bool) -> Iterator[Server]:
    """MLServer with one model. `lean`: no worker process, no compression, no log; else its defaults."""
    python = ensure(MLSERVER)
    name = f"mlserver-{'lean' if lean else 'default'}"
    home, port = work / f"{name}-repository", free_port()
    home.mkdir()
    shutil.copy(COMPETITORS / "mlserver_model.py", home / "bench_onnx.py")
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
    }
    if lean:
        settings |= {"parallel_workers": 0, "gzip_enabled": False, "debug": False}
    model = {"name": "digits", "implementation": "bench_onnx.OnnxModel", "parameters": {"uri": str(MODEL_FILE)}}
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model))
    command = [python.parent / "mlserver", "start", home]
    with running(name, command, port, work, ready=model_ready, timeout_s=START_TIMEOUT_S, cwd=home) as server:
        yield only_loopback(server)


@contextmanager
def kserve(work: Path, *, lean: bool) -> Iterator[Server]:
    """KServe with one model, REST only. `lean`: no log; else its defaults."""
    python, port = ensure(KSERVE), free_port()
    mode = "lean" if lean else "default"
    command = [python, COMPETITORS / "kserve_server.py", str(port), MODEL_FILE, mode]
    with running(f"kserve-{mode}", command, port, work, ready=model_ready, timeout_s=START_TIMEOUT_S) as server:
        yield only_loopback(server)


def only_loopback(server: Server) -> Server:
    """The server, after making sure that no other machine can reach it. Raises RuntimeError."""
    inodes = {inode for pid in cpu.tree(server.pid) for inode in _sockets(pid)}
    open_ones = [address for address, inode in _listeners() if inode in inodes and address not in _LOOPBACK]
    if open_ones:
        raise RuntimeError(f"{server.name} listens beyond loopback: {open_ones}")
    return server


def _sockets(pid: int) -> Iterator[str]:
    for link in (cpu.PROC / str(pid) / "fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _listeners() -> Iterator[tuple[str, str]]:
    """(address in hex, inode) of every listening TCP socket."""
    for table in ("tcp", "tcp6"):
        for line in (cpu.PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                yield fields[1].partition(":")[0], fields[9]
