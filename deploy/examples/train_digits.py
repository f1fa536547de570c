"""Train the two digit classifiers the examples serve, and write them as ONNX files with the test set beside them.

    python deploy/examples/train_digits.py [--out deploy/examples/models]

Version 1 is a logistic regression, version 2 a network with one hidden layer of 64; both take `image` (FP32 [-1, 64],
pixels 0-16, row by row) and give `label` (INT64 [-1]) and `logits` (FP32 [-1, 10], before any softmax). The same code and
library versions write the same bytes: split and weights are seeded, and nothing in the files tells when or where they were made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import ModelProto
from onnx_file import OPSET, finished
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = Path(__file__).with_name("models")
PIXELS = 64


def split() -> tuple[npt.NDArray[np.float32], ...]:
    """scikit-learn's digits, always cut the same way: train images, test images, train labels, test labels."""
    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images.astype(np.float32), labels.astype(np.int64), test_size=0.25, random_state=0
    )
    return train, test, train_labels, test_labels


def logistic(images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> bytes:
    """Version 1. The converter's raw scores are the logits."""
    classifier = LogisticRegression(max_iter=2000)
    pipeline = make_pipeline(StandardScaler(), classifier).fit(images, labels)
    model = _exported(pipeline, {id(classifier): {"zipmap": False, "raw_scores": True}})
    return finished(model, "digits", {"probabilities": "logits"})


def network(images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> bytes:
    """Version 2. The converter ends in a softmax; it is taken out, so that both versions answer in logits."""
    classifier = MLPClassifier((64,), max_iter=400, random_state=0)
    pipeline = make_pipeline(StandardScaler(), classifier).fit(images, labels)
    model = _exported(pipeline, {id(classifier): {"zipmap": False}})
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    softmax.op_type = "Identity"  # the order of the classes, and so the label, is the same without it
    del softmax.attribute[:]
    return finished(model, "digits", {"probabilities": "logits"})


def _exported(pipeline: Pipeline, options: dict[int, dict[str, bool]]) -> ModelProto:
    """To ONNX, without the list of dicts (zipmap) that no tensor protocol can carry."""
    inputs = [("image", FloatTensorType([None, PIXELS]))]
    return to_onnx(pipeline, initial_types=inputs, options=options, target_opset=OPSET)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=MODELS, help="directory for the files (default: beside this script)"
    )
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    train, test, train_labels, test_labels = split()
    for name, model in (
        ("digits-v1.onnx", logistic(train, train_labels)),
        ("digits-v2.onnx", network(train, train_labels)),
    ):
        (out / name).write_bytes(model)
        print(f"{out / name}: {(out / name).stat().st_size} bytes")
    # Pixels are whole numbers from 0 to 16: a byte each is lossless.
    np.savez_compressed(out / "digits-test.npz", images=test.astype(np.uint8), labels=test_labels.astype(np.uint8))
    print(f"{out / 'digits-test.npz'}: {len(test)} test images")


if __name__ == "__main__":
    main()
