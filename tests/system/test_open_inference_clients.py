"""The clients generated from the protocol's own OpenAPI and proto files, unchanged, in an environment of their own.

The OpenAPI one turns every number into a float, so a label comes back as 3.0 and a request may say 1.0 where 1 is meant.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import digits
from tests.support.penstock import Penstock, plain_environment

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "open_inference_client.py"
IMAGES = digits.images()[:5]


@pytest.fixture(scope="module")
def seen(open_inference_python: Path, examples: Penstock, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the generated clients saw."""
    rows = tmp_path_factory.mktemp("open-inference") / "rows.json"
    rows.write_text(json.dumps(IMAGES.tolist()))
    command = [str(open_inference_python), "-P", "-W", "ignore", str(SCRIPT), str(examples.http), str(examples.grpc)]
    done = subprocess.run(
        [*command, str(rows)], capture_output=True, text=True, check=False, timeout=180, env=plain_environment()
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def bits(outputs: dict[str, Any]) -> digits.Answered:
    label, logits = (np.array(outputs[name]) for name in ("label", "logits"))
    return digits.Answered(label.astype("<i8").tobytes(), logits.astype("<f4").tobytes())


def test_rest_sees_the_server_and_its_models(seen: dict[str, Any]) -> None:
    found = seen["rest"]

    assert (found["server"], found["versions"]) == ("penstock", [["1", "2"], ["2"]])
    assert found["inputs"] == [["image", "FP32", [-1, 64]]]


@pytest.mark.parametrize(
    ("client", "asked", "version"),
    [("rest", "digits", "1"), ("rest", "digits-triton", "1"), ("rest", "digits 2", "2"), ("rest.aio", "digits", "1")],
)
def test_rest_answers_have_the_right_bits(seen: dict[str, Any], client: str, asked: str, version: str) -> None:
    answer = seen[client][asked]

    assert (answer["id"], answer["model"], answer["version"]) == ("generated", asked.removesuffix(" 2"), version)
    assert bits(answer["outputs"]) == digits.truth(IMAGES, version)


def test_errors_are_the_ones_the_package_knows(seen: dict[str, Any]) -> None:
    assert "model 'nobody'" in seen["rest"]["unknown"]
    assert "model 'nobody'" in seen["rest"]["not ready"]
    assert "tensor 'image'" in seen["rest"]["wrong"]


def test_grpc_sees_the_server_and_gets_the_right_bits(seen: dict[str, Any]) -> None:
    found = seen["grpc"]

    assert (found["live"], found["ready"], found["model ready"]) == (True, True, True)
    assert (found["server"], found["versions"]) == ("penstock", ["1", "2"])
    assert (found["id"], found["version"]) == ("generated", "1")
    raw = digits.Answered(*(bytes.fromhex(found["outputs"][name]) for name in ("label", "logits")))
    assert raw == digits.truth(IMAGES)
