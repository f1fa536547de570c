"""What the demonstration asks: real test images and sentences, over every carrier; and what came back, as values."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from deploy.demo.carriers import Answer, Grpc, Question, RefusedError, Rest
from deploy.demo.processes import FailedError

MODELS = Path(__file__).resolve().parents[1] / "examples" / "models"
BATCH = 50
"""Images per request. The same in every carrier: rows computed in another company may differ in their last bits."""
READY_S = 60.0
CARRIERS = ("REST JSON", "REST binary", "gRPC")
Ask = Callable[[Question], Answer]


@dataclass(frozen=True)
class Shown:
    """One row of the first table."""

    asked: str
    carrier: str
    what: str
    truth: str
    answer: str
    served_by: str


@dataclass(frozen=True)
class Tested:
    """One name over one carrier: how many test images were right, and the bits of all logits."""

    name: str
    carrier: str
    right: int
    total: int
    logits: bytes
    seconds: float


@dataclass(frozen=True)
class Asked:
    """Everything that came back."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    rows: list[Shown]
    tested: list[Tested]
    split: Mapping[str, int]
    moved: int
    """Users of the route who met another version when they came back. They should not."""


def first_prediction(http_port: int) -> str:
    """One image, as soon as the model answers. Raises FailedError when it does not within a minute."""
    images, labels = test_set()
    answer = patiently(http_port, question("digits", images[:1]))
    return f"image 0 is a {answer.outputs['label'][0]}, says {answer.served_by} (truth: {labels[0]})"


def wait_for(http_port: int, names: Sequence[str]) -> None:
    """Until all these models answer. Raises FailedError when one does not within a minute."""
    images, _ = test_set()
    for name in names:
        patiently(http_port, question(name, images[:1]))


def patiently(http_port: int, asked: Question) -> Answer:
    """Ask until there is an answer: what was applied a moment ago may still be loading."""
    deadline = time.monotonic() + READY_S
    while True:
        rest = Rest(http_port)
        try:
            return rest.json(asked)
        except (RefusedError, OSError) as refusal:
            if time.monotonic() > deadline:
                raise FailedError(f"{asked.name} does not answer after {READY_S:.0f} s: {refusal}") from None
        finally:
            rest.close()
        time.sleep(0.1)


def ask_everything(http_port: int, grpc_port: int) -> Asked:
    """Ask, in the order in which it is shown. Raises FailedError when a question is refused."""
    images, labels = test_set()
    rest, grpc_client = Rest(http_port), Grpc(grpc_port)
    with contextlib.closing(rest), contextlib.closing(grpc_client):
        asks: dict[str, Ask] = dict(zip(CARRIERS, (rest.json, rest.binary, grpc_client.infer), strict=True))
        try:
            rows = [*digit_rows(asks, images, labels), *intent_rows(asks)]
            tested = [
                test_over(asks[carrier], Tested(name, carrier, 0, len(images), b"", 0.0), images, labels)
                for name in ("digits", "digits-triton", "digits@2")
                for carrier in CARRIERS
            ]
            split, moved = split_of(grpc_client.infer, images)
        except (RefusedError, OSError) as error:
            raise FailedError(f"a question was not answered: {error}") from error
    return Asked(images, labels, rows, tested, split, moved)


def test_set() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The 450 images no training has seen, and what they show."""
    with np.load(MODELS / "digits-test.npz") as held_out:
        return held_out["images"].astype(np.float32), held_out["labels"].astype(np.int64)


def question(name: str, images: npt.NDArray[np.float32], user: str = "") -> Question:
    """`model@version` as the protocol has it: two words."""
    model, _, version = name.partition("@")
    return Question(model, "image", images, version, user)


def digit_rows(asks: Mapping[str, Ask], images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> list[Shown]:
    """One image per row: in process and on Triton over every carrier, then version 2 and the route."""
    wanted = [(name, carrier, "") for name in ("digits", "digits-triton") for carrier in CARRIERS]
    wanted += [("digits@2", CARRIERS[0], ""), *(("digits-live", CARRIERS[2], user) for user in ("ann", "gus"))]
    rows = []
    for number, (name, carrier, user) in enumerate(wanted):
        answer = asks[carrier](question(name, images[number : number + 1], user))
        what = f"image {number}" + (f", user {user}" if user else "")
        rows.append(Shown(name, carrier, what, str(labels[number]), str(answer.outputs["label"][0]), answer.served_by))
    return rows


def intent_rows(asks: Mapping[str, Ask]) -> list[Shown]:
    """A few of the sentences the text model has never seen, one per carrier."""
    lines = (MODELS / "intent-test.tsv").read_text(encoding="utf-8").splitlines()
    rows = []
    for carrier, line in zip(CARRIERS, (lines[0], lines[9], lines[15]), strict=True):
        truth, text = line.split("\t")
        data: npt.NDArray[Any] = np.array([[text.encode()]], dtype=object)
        answer = asks[carrier](Question("intent", "text", data))
        said = bytes(answer.outputs["intent"][0]).decode()
        rows.append(Shown("intent", carrier, f"“{text}”", truth, said, answer.served_by))
    return rows


def test_over(ask: Ask, test: Tested, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Tested:
    """The whole test set by one name over one carrier."""
    started = time.perf_counter()
    answers = [ask(question(test.name, images[at : at + BATCH])) for at in range(0, len(images), BATCH)]
    seconds = time.perf_counter() - started
    right = int((np.concatenate([answer.outputs["label"] for answer in answers]) == labels).sum())
    logits = b"".join(answer.outputs["logits"].astype("<f4").tobytes() for answer in answers)
    return Tested(test.name, test.carrier, right, test.total, logits, seconds)


def split_of(ask: Ask, images: npt.NDArray[np.float32]) -> tuple[Mapping[str, int], int]:
    """Every image from a user of its own, through the route: how many met which deployment. Then all of them again."""
    served = [
        [ask(question("digits-live", images[n : n + 1], f"user-{n}")).served_by for n in range(len(images))]
        for _ in range(2)
    ]
    return Counter(served[0]), sum(first != again for first, again in zip(*served, strict=True))
