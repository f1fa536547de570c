from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from deploy.triton import setup

from tests.support.triton import ROOT, Triton


def test_a_second_run_finds_everything_done(triton: Triton) -> None:
    assert triton.pid  # it runs, so the set-up was done

    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "triton" / "setup.py")], check=True, capture_output=True, text=True
    )

    assert done.stdout.splitlines()[-1].startswith("[triton] ready in ")
    assert len(done.stdout.splitlines()) == 1


def test_a_python_the_models_cannot_run_on_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setup, "PYTHON", "3.13")

    with pytest.raises(setup.SetupError, match=r"Python 3\.11 or 3\.12, not 3\.13"):
        setup.setup(tmp_path, tmp_path / "requirements.lock")


def test_a_python_without_a_shared_library_gets_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "PYTHON", "3.99")

    with pytest.raises(setup.SetupError, match=r"apt-get install libpython3\.99"):
        setup.library_directory()


def test_another_wheel_than_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def download(*command: str) -> None:
        (Path(command[command.index("--dest") + 1]) / next(iter(setup.SHA256))).write_bytes(b"another")

    monkeypatch.setattr(setup, "run", download)

    with pytest.raises(setup.SetupError, match="not the one pinned"):
        setup.unpack(tmp_path)

    assert not (tmp_path / "pytriton").exists()


def test_a_failing_step_is_named() -> None:
    with pytest.raises(setup.SetupError, match="this failed: false"):
        setup.run("false")


def test_the_models_run_the_onnxruntime_of_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    assert setup.onnxruntime_pin(lock) == setup.ONNXRUNTIME

    lock.write_text("onnx==1\nonnxruntime==9.8.7 \\\n    --hash=sha256:0\n")

    assert setup.onnxruntime_pin(lock) == "onnxruntime==9.8.7"
    assert setup.onnxruntime_pin(ROOT / "requirements.lock") == setup.ONNXRUNTIME
