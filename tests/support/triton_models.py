"""The models of the real Triton in our tests, written into a model repository. They run in Triton's own Python."""

from __future__ import annotations

from pathlib import Path

from penstock_adapters.protocol.datatypes import DATATYPES
from tests.support.onnx_models import affine_onnx

# An input and its output share one name: the backend can then hand the tensor itself back, also where numpy has no
# such datatype (BF16).
_ECHO = """
import triton_python_backend_utils as pb

NAMES = {names!r}

class TritonPythonModel:
    def execute(self, requests):
        return [pb.InferenceResponse([t for t in r.inputs() if t.name() in NAMES]) for r in requests]
"""

_SHOUT = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            text = pb.get_input_tensor_by_name(request, "text").as_numpy()
            words = [word.decode() for word in text.ravel()]
            if "refuse" in words:
                answers.append(pb.InferenceResponse(error=pb.TritonError("refused", pb.TritonError.INVALID_ARG)))
            elif "fail" in words:
                answers.append(pb.InferenceResponse(error=pb.TritonError("secret path /srv/model", pb.TritonError.INTERNAL)))
            else:
                loud = np.array([word.upper().encode() for word in words], dtype=object).reshape(text.shape)
                length = np.array([len(word) for word in words], dtype=np.int32).reshape(text.shape)
                answers.append(pb.InferenceResponse([pb.Tensor("shouted", loud), pb.Tensor("length", length)]))
        return answers
"""

# It tells how long it really worked, so a test can see that a cancelled call stopped it.
_SLOW = """
import time
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            seconds = float(pb.get_input_tensor_by_name(request, "seconds").as_numpy().ravel()[0])
            started = time.monotonic()
            while time.monotonic() - started < seconds and not request.is_cancelled():
                time.sleep(0.005)
            slept = np.array([[time.monotonic() - started]], dtype=np.float32)
            answers.append(pb.InferenceResponse([pb.Tensor("slept", slept)]))
        return answers
"""

_COUNTDOWN = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for i in range(int(pb.get_input_tensor_by_name(request, "n").as_numpy()[0]), 0, -1):
                sender.send(pb.InferenceResponse([pb.Tensor("i", np.array([i], dtype=np.int32))]))
            sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
"""

_ONNX = """
import pathlib
import onnxruntime
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        path = pathlib.Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        answers = []
        for request in requests:
            (y,) = self.session.run(None, {"x": pb.get_input_tensor_by_name(request, "x").as_numpy()})
            answers.append(pb.InferenceResponse([pb.Tensor("y", y)]))
        return answers
"""

_PARAMETERS = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        seen = [np.array([r.parameters().encode()], dtype=object) for r in requests]
        return [pb.InferenceResponse([pb.Tensor("seen", s)]) for s in seen]
"""

_CPU = "instance_group [{ kind: KIND_CPU count: 1 }]"


def write_models(repository: Path) -> None:
    """echo: every datatype, two dimensions. shout: BYTES. slow, broken, countdown (decoupled): what their names say.
    parameters: the request parameters it saw, as JSON. affine: y = k * x + 1 by ONNX Runtime, k the version.
    """
    tensors = "\n".join(_tensor(f"x_{name}", name, "[-1, -1]", optional=True) for name in DATATYPES)
    outputs = "\n".join(_tensor(f"x_{name}", name, "[-1, -1]", kind="output") for name in DATATYPES)
    names = frozenset(f"x_{name}" for name in DATATYPES)
    _write(repository / "echo", f"max_batch_size: 0\n{tensors}\n{outputs}", _ECHO.format(names=set(names)))
    shout = [_tensor("text", "BYTES", "[-1]"), _tensor("shouted", "BYTES", "[-1]", kind="output")]
    shout.append(_tensor("length", "INT32", "[-1]", kind="output"))
    _write(repository / "shout", "max_batch_size: 16\n" + "\n".join(shout), _SHOUT)
    slow = _tensor("seconds", "FP32", "[1]") + _tensor("slept", "FP32", "[1]", kind="output")
    _write(repository / "slow", f"max_batch_size: 1\n{slow}", _SLOW)
    broken = _tensor("x", "FP32", "[1]") + _tensor("y", "FP32", "[1]", kind="output")
    _write(repository / "broken", f"max_batch_size: 0\n{broken}", "raise RuntimeError('the weights are corrupt')\n")
    down = _tensor("n", "INT32", "[1]") + _tensor("i", "INT32", "[1]", kind="output")
    _write(
        repository / "countdown",
        f"max_batch_size: 0\n{down}\nmodel_transaction_policy {{ decoupled: true }}",
        _COUNTDOWN,
    )
    affine = _tensor("x", "FP32", "[4]") + _tensor("y", "FP32", "[4]", kind="output")
    shown = _tensor("x", "FP32", "[1]") + _tensor("seen", "BYTES", "[1]", kind="output")
    _write(repository / "parameters", f"max_batch_size: 0\n{shown}", _PARAMETERS)
    for version in (1, 2):
        config = f"max_batch_size: 8\n{affine}\nversion_policy {{ all {{}} }}"
        _write(repository / "affine", config, _ONNX, version=version)
        (repository / "affine" / str(version) / "model.onnx").write_bytes(affine_onnx(float(version + 1)))


def _tensor(name: str, datatype: str, dims: str, *, kind: str = "input", optional: bool = False) -> str:
    triton = "STRING" if datatype == "BYTES" else datatype
    more = " optional: true" if optional else ""
    return f'{kind} [{{ name: "{name}" data_type: TYPE_{triton} dims: {dims}{more} }}]\n'


def _write(model: Path, config: str, code: str, version: int = 1) -> None:
    (model / str(version)).mkdir(parents=True)
    (model / "config.pbtxt").write_text(f'backend: "python"\n{config}\n{_CPU}\n')
    (model / str(version) / "model.py").write_text(code)
