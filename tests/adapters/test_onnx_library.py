"""ONNX Runtime tells nobody what is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "models" / "digits-v1.onnx"
PROGRAM = (
    "import sys; from penstock_adapters.onnx_library import ort; ort.InferenceSession(sys.argv[1]); print('loaded')"
)


def test_loading_a_model_leaves_no_device_id_and_no_reports_to_send(tmp_path: Path) -> None:
    # A process of its own, with the switch not set: the library decides once, when it is loaded.
    loud = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(MODEL)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**loud, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )

    assert done.stdout == "loaded\n"
    assert list(tmp_path.rglob("*")) == []
