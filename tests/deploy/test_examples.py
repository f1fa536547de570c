"""The models and manifests in deploy/examples are what they say they are."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import yaml

from penstock_registry.kinds import API_VERSION, KINDS, SPECS, ModelSpec

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
MODELS = EXAMPLES / "models"
MANIFESTS = sorted(EXAMPLES.glob("*.yaml"))


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def held_out_images() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    with np.load(MODELS / "digits-test.npz") as held_out:
        return held_out["images"].astype(np.float32), held_out["labels"].astype(np.int64)


def sentences(name: str) -> tuple[list[str], list[str]]:
    rows = [line.split("\t") for line in (MODELS / name).read_text(encoding="utf-8").splitlines()]
    return [text for _, text in rows], [intent for intent, _ in rows]


def documents() -> list[dict[str, Any]]:
    return [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def model_spec(name: str) -> ModelSpec:
    (found,) = (d for d in documents() if d["kind"] == "Model" and d["metadata"]["name"] == name)
    return ModelSpec.model_validate(found["spec"])


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_digit_models_reach_the_accuracy_their_manifest_claims(version: str) -> None:
    images, truth = held_out_images()
    (claimed,) = (v.lineage["test_accuracy"] for v in model_spec("digits").versions if v.id == version)

    labels, logits = session(MODELS / f"digits-v{version}.onnx").run(["label", "logits"], {"image": images})

    assert round(float(np.mean(labels == truth)), 4) == claimed
    assert (logits.argmax(axis=1) == labels).all()
    assert logits.dtype == np.float32


def test_the_intent_model_reaches_the_accuracy_its_manifest_claims() -> None:
    texts, truth = sentences("intent-test.tsv")
    (version,) = model_spec("intent").versions

    (intents,) = session(MODELS / "intent-v1.onnx").run(["intent"], {"text": np.array(texts, object).reshape(-1, 1)})

    assert round(float(np.mean(intents == np.array(truth, object))), 4) == version.lineage["test_accuracy"]


def test_no_test_sentence_was_trained_on() -> None:
    trained = {text.lower() for text in sentences("intent-train.tsv")[0]}

    assert not trained & {text.lower() for text in sentences("intent-test.tsv")[0]}


def test_training_again_gives_models_that_agree_with_the_committed_ones(tmp_path: Path) -> None:
    # Equal bytes are too much to ask of another processor's linear algebra; equal answers are not.
    for script in ("train_digits.py", "train_intent.py"):
        subprocess.run([sys.executable, str(EXAMPLES / script), "--out", str(tmp_path)], check=True, timeout=120)

    images, _ = held_out_images()
    for name in ("digits-v1.onnx", "digits-v2.onnx"):
        again, committed = (session(place / name).run(["label"], {"image": images})[0] for place in (tmp_path, MODELS))
        assert np.mean(again == committed) > 0.99
    texts = np.array(sentences("intent-test.tsv")[0], object).reshape(-1, 1)
    again, committed = (session(p / "intent-v1.onnx").run(["intent"], {"text": texts})[0] for p in (tmp_path, MODELS))
    assert (again == committed).all()
    with np.load(tmp_path / "digits-test.npz") as made, np.load(MODELS / "digits-test.npz") as kept:
        assert all((made[key] == kept[key]).all() for key in ("images", "labels"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_example_manifest_is_valid(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        assert document["apiVersion"] == API_VERSION
        assert document["kind"] in KINDS
        SPECS[document["kind"]].model_validate(document["spec"])


def test_artifacts_stand_where_the_manifests_say_and_have_the_hash_they_say() -> None:
    versions = [v for name in ("digits", "intent") for v in model_spec(name).versions]

    assert len(versions) == 3
    for version in versions:
        path = EXAMPLES / version.artifact.removeprefix("file:")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == version.sha256


@pytest.mark.parametrize("name", ["digits", "intent"])
def test_signatures_are_those_of_the_files(name: str) -> None:
    datatypes = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(string)": "BYTES"}
    spec = model_spec(name)
    assert spec.signature is not None

    for version in spec.versions:
        file = session(EXAMPLES / version.artifact.removeprefix("file:"))
        for claimed, actual in (
            (spec.signature.inputs, file.get_inputs()),
            (spec.signature.outputs, file.get_outputs()),
        ):
            rows = [
                (t.name, datatypes[t.type], tuple(d if isinstance(d, int) else -1 for d in t.shape)) for t in actual
            ]
            assert [(t.name, t.datatype, t.shape) for t in claimed] == rows


def test_the_triton_repository_runs_the_very_file_of_version_1(tmp_path: Path) -> None:
    script = str(EXAMPLES / "assemble.py")

    for _ in range(2):  # a second time over the first
        subprocess.run([sys.executable, script, str(tmp_path / "repository")], check=True, timeout=60)

    copied = tmp_path / "repository" / "digits" / "1" / "model.onnx"
    assert copied.read_bytes() == (MODELS / "digits-v1.onnx").read_bytes()
    assert (tmp_path / "repository" / "digits" / "config.pbtxt").is_file()
    assert (tmp_path / "repository" / "digits" / "1" / "model.py").is_file()
