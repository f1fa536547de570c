"""Where and when a run was made, and whether the machine was quiet enough to believe it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

QUIET_LOAD: Final = 0.5
"""Load average of the last minute, before the run, above which its numbers are called noisy."""


class Machine(msgspec.Struct, frozen=True):
    """Facts about the machine at the start of a run."""

    date: str
    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    load: float
    packages: dict[str, str]

    @property
    def quiet(self) -> bool:
        return self.load <= QUIET_LOAD


def facts() -> Machine:
    """Take them now."""
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=_line("/proc/cpuinfo", "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(int(_line("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20), 1),
        system=f"{_line('/etc/os-release', 'PRETTY_NAME', '=')}, Linux {platform.release()}",
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
        packages={
            name: version(name)
            for name in ("penstock", "uvicorn", "uvloop", "httptools", "grpcio", "msgspec", "numpy", "onnxruntime")
        },
    )


def _line(path: str, key: str, separator: str = ":") -> str:
    for line in Path(path).read_text().splitlines():
        name, found, value = line.partition(separator)
        if found and name.strip() == key:
            return value.strip().strip('"')
    return "unknown"
