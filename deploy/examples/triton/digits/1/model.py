"""Runs model.onnx beside this file in Triton's Python backend, with the session settings of the in-process backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """The name and the methods are Triton's."""

    def initialize(self, args: Mapping[str, str]) -> None:
        options = onnxruntime.SessionOptions()
        # Thread counts change how a matrix product is cut up. One thread on both sides: equal bits on both sides.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def execute(self, requests: Sequence[triton.InferenceRequest]) -> list[triton.InferenceResponse]:
        """One run per request; requests are never put together."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: triton.InferenceRequest) -> triton.InferenceResponse:
        image = triton.get_input_tensor_by_name(request, "image").as_numpy()
        results = self.session.run(self.names, {"image": image})
        return triton.InferenceResponse([triton.Tensor(*pair) for pair in zip(self.names, results, strict=True)])
