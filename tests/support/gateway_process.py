"""Starts `tests.support.serving` as a process of its own and ends it by its pid."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class GatewayProcess:
    """One gateway: the supervisor's process if there are several workers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.http = self.grpc = self.admin = 0
        self.workers: list[int] = []

    async def worker_started(self) -> int:
        """Wait for the next worker to serve; returns its pid."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            line = await self.process.stdout.readline()
        assert line, "the gateway ended before it served"
        said = json.loads(line)
        self.http, self.grpc, self.admin = said["ports"]
        pid: int = said["pid"]
        self.workers.append(pid)
        return pid

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def gateway_process(run_dir: Path, workers: int = 1) -> AsyncIterator[GatewayProcess]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.serving",
        str(workers),
        str(run_dir),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    gateway = GatewayProcess(process)
    try:
        yield gateway
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
