"""KServe's InferenceRESTClient and InferenceGRPCClient, unchanged, in an environment of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import digits
from tests.support.penstock import Penstock, plain_environment

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "kserve_client.py"
IMAGES = digits.EXAMPLES / "models" / "digits-test.npz"
MODELS = {"digits": True, "digits-live": True, "digits-triton": True, "intent": True}
REST_FORMS = ("json", "json-outputs", "binary")
GRPC_FORMS = ("typed", "raw")


@pytest.fixture(scope="module")
def seen(kserve_python: Path, examples: Penstock) -> dict[str, Any]:
    """What KServe's clients saw."""
    # -P: without the script's folder on the path, where our modules would hide packages of the same names.
    command = [str(kserve_python), "-P", "-W", "ignore", str(SCRIPT)]
    command += [str(examples.http), str(examples.grpc), str(IMAGES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=plain_environment())
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def bits(answer: dict[str, Any]) -> digits.Answered:
    return digits.Answered(*(bytes.fromhex(answer["outputs"][name]) for name in ("label", "logits")))


def test_rest_sees_the_server_and_its_models(seen: dict[str, Any]) -> None:
    found = seen["rest"]

    assert (found["live"], found["ready"]) == (True, True)
    assert found["models"] == {**MODELS, "nobody": False}


def test_grpc_sees_the_server_and_its_models(seen: dict[str, Any]) -> None:
    found = seen["grpc"]

    assert (found["live"], found["ready"], found["models"]) == (True, True, MODELS)
    assert "NOT_FOUND" in found["unknown"]


@pytest.mark.parametrize("model", ["digits", "digits-triton"])
@pytest.mark.parametrize(
    ("carrier", "form"), [*(("rest", form) for form in REST_FORMS), *(("grpc", form) for form in GRPC_FORMS)]
)
def test_every_form_they_write_gives_the_same_bits(seen: dict[str, Any], model: str, carrier: str, form: str) -> None:
    answer = seen[carrier][f"{model} {form}"]

    assert (answer["id"], answer["model"]) == ("from-kserve", model)
    assert answer["version"] == ("1" if carrier == "grpc" else None)  # their REST client does not read it
    assert bits(answer) == digits.truth(digits.images()[:5])


def test_a_plain_dictionary_is_a_request_too(seen: dict[str, Any]) -> None:
    assert bits(seen["rest"]["digits dict"]) == digits.truth(digits.images()[:5])


def test_the_version_a_grpc_request_names_answers(seen: dict[str, Any]) -> None:
    answer = seen["grpc"]["version 2"]

    assert answer["version"] == "2"
    assert bits(answer) == digits.truth(digits.images()[:5], "2")


@pytest.mark.parametrize(
    ("carrier", "form"), [("rest", "json"), ("rest", "binary"), *(("grpc", form) for form in GRPC_FORMS)]
)
def test_text_is_understood(seen: dict[str, Any], carrier: str, form: str) -> None:
    assert seen[carrier][f"intent {form}"]["outputs"]["intent"] == ["account", "delivery"]


def test_errors_carry_the_servers_words(seen: dict[str, Any]) -> None:
    for carrier in ("rest", "grpc"):
        assert "model 'nobody'" in seen[carrier]["error"]
