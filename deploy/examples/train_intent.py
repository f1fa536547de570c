"""Train the text classifier the examples serve: what does a customer want? Words in, a word out.

    python deploy/examples/train_intent.py [--out deploy/examples/models]

TF-IDF and a logistic regression over the sentences of `intent-train.tsv`. Input `text` (BYTES [-1, 1], UTF-8), outputs
`intent` (BYTES [-1]) and `proba` (FP32 [-1, 5], in the alphabetical order of the intents).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from onnx_file import OPSET, finished
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

MODELS = Path(__file__).with_name("models")
WORD = "[a-zA-Z]+"
"""Understood alike by scikit-learn and by ONNX Runtime's tokenizer, which has no \\b and no \\w."""


def sentences(path: Path) -> tuple[list[str], list[str]]:
    """A file of `intent TAB sentence` lines -> (sentences, intents)."""
    rows = [line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [text for _, text in rows], [intent for intent, _ in rows]


def train(texts: list[str], intents: list[str]) -> bytes:
    """The fitted pipeline as an ONNX file."""
    # lowercase=True would become a StringNormalizer that asks the C++ runtime for the locale en_US.UTF-8, which a bare
    # Debian lacks: the session is refused there. So the words keep their case, and every sentence is learnt in both.
    both = [*texts, *(text[:1].lower() + text[1:] for text in texts)]
    words = TfidfVectorizer(lowercase=False, token_pattern=WORD)
    classifier = LogisticRegression(C=10.0, max_iter=1000)
    pipeline = make_pipeline(words, classifier).fit(both, intents * 2)
    model = to_onnx(
        pipeline,
        initial_types=[("text", StringTensorType([None, 1]))],
        options={id(words): {"tokenexp": WORD}, id(classifier): {"zipmap": False}},
        target_opset=OPSET,
    )
    return finished(model, "intent", {"label": "intent", "probabilities": "proba"})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=MODELS, help="directory for the file (default: beside this script)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    model = train(*sentences(MODELS / "intent-train.tsv"))
    path = out / "intent-v1.onnx"
    path.write_bytes(model)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
