"""`make demo`, as a person runs it, without the installation."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from deploy.triton.setup import DEFAULT_DEST, setup

from tests.support.pages import Block, pages
from tests.support.tidy import ROOT

pytestmark = pytest.mark.system
LIMIT_S = 240.0


@pytest.fixture(scope="module", autouse=True)
def triton() -> None:
    """Installed before the clock starts; the tests of the adapter use the same copy."""
    setup(DEFAULT_DEST, ROOT / "requirements.lock")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "120", **more}


def taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def usual_ports_taken() -> Iterator[None]:
    """Somebody listens on 8100 and 8000 already: us, or whoever it was before."""
    with ExitStack() as held:
        for port in (8100, 8000):
            if not taken(port):
                listener = held.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
                listener.listen()
        yield


@pytest.mark.usefixtures("usual_ports_taken")
def test_once_ends_by_itself_and_says_what_it_saw() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(ONCE="1"),
        timeout=LIMIT_S,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "ports 8100 to 8102 are not all free" in done.stdout
    assert "ports 8000 to 8002 are not all free" in done.stdout
    assert done.stdout.count("435 of 450") == 6  # digits and digits-triton, three carriers each
    assert done.stdout.count("437 of 450") == 3  # version 2
    assert done.stdout.count("bit-equal") == 2
    assert "each met the same version" in done.stdout
    for first, last in re.findall(r"listens on (\d+) to (\d+)", done.stdout):
        assert not [port for port in range(int(first), int(last) + 1) if taken(port)]


@dataclass(frozen=True)
class Serving:
    """The demonstration after its predictions."""

    process: subprocess.Popen[bytes]
    output: str

    def port(self, listener: str) -> int:
        (found,) = re.findall(rf"{listener} +(?:http://)?127\.0\.0\.1:(\d+)", self.output)
        return int(found)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env=environment(ONCE=""),
    )
    assert process.stdout is not None
    try:
        yield Serving(process, read_until(process, "Try it:", "\n\n"))
    finally:
        if process.poll() is None:
            process.terminate()  # it ends what it started
            process.wait(60)
        process.stdout.close()


def test_the_lines_to_try_work(serving: Serving) -> None:
    lines = serving.output.partition("Try it:")[2].replace(".venv/bin/", f"{Path(sys.executable).parent}/")

    done = subprocess.run(
        ["bash", "-euc", lines], capture_output=True, text=True, check=True, cwd=ROOT, env=environment(), timeout=60
    )

    digit, intent = (json.loads(line)["outputs"][0] for line in done.stdout.replace("}{", "}\n{").splitlines())
    assert (digit["name"], digit["data"]) == ("label", [2])
    assert intent["data"] == ["account", "delivery"]


@pytest.mark.parametrize(
    "block", [block for page in pages() for block in page.blocks() if block.runs], ids=lambda block: block.where
)
def test_what_the_pages_say_can_be_run_while_it_serves(block: Block, serving: Serving) -> None:
    text = block.text.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    for usual, listener in ((8100, "REST"), (8101, "gRPC"), (8102, "admin")):
        text = text.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{serving.port(listener)}")
    address, server = (f"http://127.0.0.1:{serving.port(listener)}" for listener in ("REST", "admin"))
    command = [sys.executable, "-W", "ignore", "-c"] if block.language == "python" else ["bash", "-euc"]

    done = subprocess.run(
        [*command, text],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(PENSTOCK_ADDRESS=address, PENSTOCK_SERVER=server),
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout.lower(), done.stdout


def test_interrupted_it_ends_and_leaves_nothing_behind(serving: Serving) -> None:
    serving.process.send_signal(signal.SIGINT)

    assert serving.process.wait(60) == 0
    assert not [name for name in ("REST", "gRPC", "admin") if taken(serving.port(name))]


def read_until(process: subprocess.Popen[bytes], first: str, then: str) -> str:
    """What the process prints up to `then` after `first`. Fails if it ends before, or takes too long."""
    assert process.stdout is not None
    deadline, seen = time.monotonic() + LIMIT_S, ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while first not in seen or then not in seen.partition(first)[2]:
            assert selector.select(max(0.0, deadline - time.monotonic())), f"too slow:\n{seen}"
            chunk = os.read(process.stdout.fileno(), 65536)
            assert chunk, f"it ended:\n{seen}"
            seen += chunk.decode(errors="replace")
    return seen
