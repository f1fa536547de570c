"""Every answer is judged: right, wrong (an answer, but not the right one) or failed (no answer, or an error)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tests.bench import grpc_wire, rest_wire
from tests.bench.calls import Answer, Call, complaint
from tests.bench.jobs import Form

SHOWN_MAX = 200


class Checker:
    """Counts answers by verdict and keeps the first complaint."""

    def __init__(self, calls: Sequence[Call], form: Form) -> None:
        self.calls = calls
        self.ok = self.wrong = self.failed = 0
        self.first_complaint = ""
        self._form = form
        self._known: list[bytes | None] = [None] * len(calls)

    def fail(self, why: str) -> None:
        self.failed += 1
        self._note(why)

    def check(self, index: int, body: bytes, header_length: int | None = None) -> None:
        """Judge the answer to call `index`. `header_length` is that of a REST answer with binary tensors."""
        if body == self._known[index]:
            self.ok += 1
            return
        try:
            text = complaint(self.calls[index], self._read(body, header_length))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            text = f"not an answer: {error!r}"
        if text:
            self.wrong += 1
            self._note(text)
            return
        self._known[index] = body
        self.ok += 1

    def _read(self, body: bytes, header_length: int | None) -> Answer:
        return grpc_wire.read_answer(body) if self._form == "grpc" else rest_wire.read_answer(body, header_length)

    def _note(self, text: str) -> None:
        self.first_complaint = self.first_complaint or text[:SHOWN_MAX]


class Head(msgspec.Struct, frozen=True):
    """What the loader needs of a response head."""

    status: int
    content_length: int
    header_length: int | None


def read_head(head: bytes) -> Head:
    """Parse a response head up to its blank line. Raises ValueError if the length is not stated."""
    lowered = head.lower()
    length = _number(lowered, b"\r\ncontent-length:")
    if length is None:
        raise ValueError("the answer states no Content-Length")
    return Head(int(head[9:12]), length, _number(lowered, b"\r\ninference-header-content-length:"))


def _number(head: bytes, name: bytes) -> int | None:
    start = head.find(name)
    if start < 0:
        return None
    start += len(name)
    end = head.find(b"\r\n", start)
    return int(head[start : end if end >= 0 else len(head)])
