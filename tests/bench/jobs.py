"""What a loader is told to do, and what it tells back: one line of JSON each."""

from __future__ import annotations

from typing import Literal

import msgspec

Form = Literal["json", "binary", "grpc"]
Payload = Literal["small", "upload", "download"]


class Job(msgspec.Struct, frozen=True):
    """A closed loop: `connections` callers, each with one request in flight, until `requests` are answered."""

    port: int
    form: Form
    requests: int
    connections: int = 16
    model: str = "digits"
    """A pattern when `models` is above 1: `{}` is replaced by the model's number."""
    models: int = 1
    distinct: int = 64
    """Different requests, used in turn; spread over the models."""
    payload: Payload = "small"
    elements: int = 0
    """FP32 elements of an upload or download."""
    deadline_s: float = 0.0
    """The deadline every gRPC call carries; 0 = none, as tritonclient sends by default."""
    onnx: str = ""
    """Path of the model file that is served: the expected answers come from it, not from the oracle."""


class Result(msgspec.Struct, frozen=True):
    """Counts, the first thing that was wrong, and times as the callers saw them."""

    ok: int
    wrong: int
    failed: int
    first_complaint: str
    elapsed_s: float
    latency_us_p50: float
    latency_us_p99: float
    cpu_ns: int
    """The loader's own CPU."""
