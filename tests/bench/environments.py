"""Virtualenvs of the competitors: none of their packages is a dependency of this project, nor could all share one environment."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path.home() / ".cache" / "penstock" / "bench"
INSTALL_TIMEOUT_S: Final = 1800


class Environment(msgspec.Struct, frozen=True):
    """A virtualenv by name, with what is installed into it and the Python versions it can live on."""

    name: str
    requirements: tuple[str, ...]
    python_below: tuple[int, int] = (4, 0)


NAIVE: Final = Environment("naive", ("fastapi==0.165.0", "uvicorn==0.54.0", "httptools", "uvloop", "httpx==0.28.1"))
# uvloop 0.22 and later break MLServer's worker processes; with parallel_workers 0 it is still the safe choice.
MLSERVER: Final = Environment("mlserver", ("mlserver==1.7.1", "onnxruntime==1.31.1", "uvloop<0.22"), (3, 13))
KSERVE: Final = Environment("kserve", ("kserve==0.21.0", "onnxruntime==1.31.1"), (3, 14))


class NotInstalled(Exception):
    """A competitor could not be set up; the text says what to do."""


def ensure(environment: Environment, root: Path = ROOT) -> Path:
    """The environment's Python, installing what is missing. Raises NotInstalled with the installer's last lines."""
    if sys.version_info[:2] >= environment.python_below:
        wanted = ".".join(map(str, environment.python_below))
        raise NotInstalled(f"{environment.name} needs a Python below {wanted}; run the bench on such a one")
    home = root / environment.name
    python, stamp = home / "bin" / "python", home / "installed.txt"
    content = "\n".join(environment.requirements)
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{environment.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once would wipe each other's environment
        if not stamp.is_file() or stamp.read_text() != content:
            print(f"[bench] installing {', '.join(environment.requirements)} into {home}", flush=True)
            _run([sys.executable, "-m", "venv", "--clear", str(home)], environment.name)
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            _run([*pip, *environment.requirements], environment.name)
            stamp.write_text(content)
    return python


def versions(python: Path, *packages: str) -> dict[str, str]:
    """Installed versions of `packages` in the environment of `python`."""
    code = "import sys, importlib.metadata as m; print('\\n'.join(m.version(p) for p in sys.argv[1:]))"
    answer = subprocess.run(
        [str(python), "-c", code, *packages], check=True, capture_output=True, text=True, timeout=60
    )
    return dict(zip(packages, answer.stdout.split(), strict=True))


def _run(command: list[str], name: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{name}: installing took more than {INSTALL_TIMEOUT_S} s") from None
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-5:])
        raise NotInstalled(f"{name}: the installer failed:\n{tail}")
