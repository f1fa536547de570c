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
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from deploy.triton.setup import DEFAULT_DEST, setup

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
    assert "port 8100 is taken" in done.stdout
    assert "port 8000 is taken" in done.stdout
    assert done.stdout.count("435 of 450") == 6  # digits and digits-triton, three carriers each
    assert done.stdout.count("437 of 450") == 3  # version 2
    assert done.stdout.count("bit-equal") == 2
    assert "every one met the same version again" in done.stdout
    for port in re.findall(r"listens on (\d+)", done.stdout):
        assert not taken(int(port)), f"something still listens on {port}"


def test_it_serves_until_it_is_interrupted_and_leaves_nothing_behind() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env=environment(ONCE=""),
    )
    try:
        output = read_until(process, "Try it:", "'\n")
        (rest,) = re.findall(r"REST +http://127\.0\.0\.1:(\d+)/v2", output)
        (grpc,) = re.findall(r"gRPC +127\.0\.0\.1:(\d+)", output)
        (body,) = re.findall(r"-d '(\{.*\})'", output)
        request = urllib.request.Request(f"http://127.0.0.1:{rest}/v2/models/digits/infer", body.encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            outputs = {output["name"]: output["data"] for output in json.load(answer)["outputs"]}
        assert outputs["label"] == [2]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not taken(int(rest))
        assert not taken(int(grpc))
    finally:
        if process.poll() is None:
            process.terminate()  # it ends what it started
            process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


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
