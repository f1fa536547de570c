"""From a job to its calls: which models, which tensors, which answers."""

from __future__ import annotations

import numpy as np
import onnxruntime

from tests.bench.calls import DTYPES, FLOATS, Call, Tensor, download, small, upload
from tests.bench.jobs import Job

ONNX_TOLERANCE = 1e-5
"""Another release of ONNX Runtime in a competitor's environment may round differently."""


def calls(job: Job) -> list[Call]:
    """The distinct calls of a job, in the order in which they are sent, over and over."""
    if job.onnx:
        return _onnx_calls(job)
    if job.payload == "upload":
        return [upload(job.model, index, job.elements) for index in range(job.distinct)]
    if job.payload == "download":
        return [download(job.model, index, job.elements) for index in range(job.distinct)]
    return [small(name, index) for index, name in enumerate(_names(job))]


def _names(job: Job) -> list[str]:
    """One model name for each distinct call, spread evenly but in no order over all of them."""
    if job.models == 1:
        return [job.model] * job.distinct
    numbers = np.random.default_rng(job.models).permutation(np.linspace(0, job.models - 1, job.distinct, dtype=int))
    return [job.model.format(number) for number in numbers]


def _onnx_calls(job: Job) -> list[Call]:
    session = onnxruntime.InferenceSession(job.onnx, providers=["CPUExecutionProvider"])
    (name,) = (tensor.name for tensor in session.get_inputs())
    names = [tensor.name for tensor in session.get_outputs()]
    made = []
    for index in range(job.distinct):
        image = np.random.default_rng(index).integers(0, 17, size=(1, FLOATS)).astype(np.float32)
        arrays = session.run(None, {name: image})
        outputs = tuple(Tensor(*pair) for pair in zip(names, arrays, strict=True))
        assert all(tensor.array.dtype in DTYPES.values() for tensor in outputs)
        made.append(Call(job.model, f"r{index}", (Tensor(name, image),), outputs, ONNX_TOLERANCE))
    return made
