"""One ONNX file as something that answers requests: its signature, and a run from tensors to tensors. Blocking code."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_adapters.onnx_library import native, ort
from penstock_adapters.onnx_shapes import with_shape
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import Internal, InvalidArgument, PenstockError
from penstock_adapters.protocol.message import Signature, Tensor, TensorMetadata
from penstock_adapters.protocol.tensors import element_count, from_array, to_array

DATATYPE_OF: Final = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""ONNX types that v2 has a datatype for."""
BFLOAT16: Final = 16
"""TensorProto.BFLOAT16."""
FILE_MAX: Final = (1 << 31) - 1
"""Bytes of one file: protobuf's limit. Larger models keep their weights in files beside it."""

NATIVE_FAULTS: Final[tuple[type[BaseException], ...]] = (
    native.Fail, native.InvalidArgument, native.NoSuchFile, native.NoModel, native.EngineError,
    native.RuntimeException, native.InvalidProtobuf, native.ModelLoaded, native.NotImplemented, native.InvalidGraph,
    native.EPFail, RuntimeError, ValueError, MemoryError,
)  # fmt: skip
"""What the library raises. They share no base class but Exception."""


class Threads(msgspec.Struct, frozen=True):
    """Threads inside one run: of one operator, and of operators side by side."""

    intra_op: int = 1
    inter_op: int = 1


def translate(error: BaseException, model: str) -> PenstockError:
    """The library's error in our words."""
    if isinstance(error, native.InvalidArgument | ValueError):
        return InvalidArgument("backend_refused", model=model)
    return Internal("model_failed", model=model)


class OnnxSession:
    """A loaded model version. `run` may be called from several threads at once."""

    def __init__(self, content: bytes, model: str, threads: Threads, *, folder: Path | None = None) -> None:
        """`folder` is where weights outside the file lie. Raises InvalidArgument: what stands in the file cannot serve."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads.intra_op
        options.inter_op_num_threads = threads.inter_op
        options.execution_mode = (
            ort.ExecutionMode.ORT_PARALLEL if threads.inter_op > 1 else ort.ExecutionMode.ORT_SEQUENTIAL
        )
        options.use_deterministic_compute = True  # the same input gives the same bits, run after run
        options.log_severity_level = 4  # its errors come back as exceptions; it shall not write to our stderr
        if folder is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        try:
            self._session: Any = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except NATIVE_FAULTS as error:
            raise InvalidArgument("model_unloadable", model=model, problem=_load_problem(error)) from error
        inputs = tuple(_metadata(node, model, "input") for node in self._session.get_inputs())
        outputs = tuple(_metadata(node, model, "output") for node in self._session.get_outputs())
        _check_ranks(content, (*inputs, *outputs), model)
        texts = frozenset(meta.name for meta in inputs if meta.datatype == "BYTES")
        self.signature = Signature(inputs, outputs, text_inputs=texts)
        self._names = [meta.name for meta in outputs]
        self._half = any(meta.datatype == "BF16" for meta in (*inputs, *outputs))
        if self._half and texts:
            raise InvalidArgument(
                "model_unloadable", model=model, problem="it takes text, and has BF16 tensors besides"
            )
        self._run = self._session._sess.run  # noqa: SLF001  (the library's run() only checks again what we checked)

    def run(
        self, inputs: Sequence[Tensor], wanted: Sequence[str], options: ort.RunOptions | None = None
    ) -> tuple[Tensor, ...]:
        """The outputs asked for (all, if none is), in that order. The inputs have passed the validator.

        Raises InvalidArgument (text that is not UTF-8), NATIVE_FAULTS.
        """
        names = list(wanted) or self._names
        if self._half:
            return self._run_ort_values(inputs, names, options)
        feed = {tensor.name: _array(tensor) for tensor in inputs}
        return tuple(map(from_array, names, self._run(names, feed, options)))

    def _run_ort_values(
        self, inputs: Sequence[Tensor], names: list[str], options: ort.RunOptions | None
    ) -> tuple[Tensor, ...]:
        """Numpy has no bfloat16 the library knows: such tensors go in as bits and are read back from memory."""
        feed = {tensor.name: _ort_value(tensor) for tensor in inputs}
        values = self._session.run_with_ort_values(names, feed, options)
        return tuple(map(_tensor, names, values))


def read_model(path: Path, model: str, sha256: str) -> bytes:
    """The file's bytes, checked. Raises InvalidArgument. The bytes that were checked are the ones to load."""
    try:
        size = path.stat().st_size
        if size > FILE_MAX:
            raise InvalidArgument("model_unloadable", model=model, problem=f"the file is larger than {FILE_MAX} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidArgument("model_unloadable", model=model, problem="the artifact cannot be read") from error
    found = hashlib.sha256(content).hexdigest() if sha256 else ""
    if found != sha256.lower():
        raise InvalidArgument("artifact_sha256", model=model, found=found, expected=sha256)
    return content


def _load_problem(error: BaseException) -> str:
    match error:
        case native.InvalidProtobuf() | native.NoModel() | native.InvalidArgument():
            return "it is not an ONNX file"
        case native.NotImplemented():
            return "it uses an operator that this ONNX Runtime does not have"
        case native.InvalidGraph():
            return "its graph is invalid"
        case MemoryError():
            return "there is not enough memory"
    return "ONNX Runtime cannot make a session of it"


class _Node(Protocol):
    """An input or output as ONNX Runtime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


def _metadata(node: _Node, model: str, kind: str) -> TensorMetadata:
    datatype = DATATYPE_OF.get(node.type)
    if datatype is None:
        raise InvalidArgument("model_tensor_type", model=model, kind=kind, tensor=node.name, found=node.type)
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorMetadata(node.name, datatype, shape)


def _check_ranks(content: bytes, metas: Sequence[TensorMetadata], model: str) -> None:
    """The library reports no dimensions also where a file declares no shape; v2 has no word for a tensor of any rank."""
    bare = {meta.name for meta in metas if not meta.shape}
    if bare:
        for name in sorted(bare - with_shape(content)):
            raise InvalidArgument("model_tensor_rank", model=model, tensor=name)


def _array(tensor: Tensor) -> npt.NDArray[np.generic]:
    """The tensor as the library wants it: text as str, everything else a view of the data where it lies straight."""
    if tensor.datatype != "BYTES":
        array = to_array(tensor)
        return array if array.flags.aligned else array.copy()
    elements = to_array(tensor)
    texts = np.empty(elements.shape, object)
    for index, element in enumerate(elements.flat):
        try:
            texts.flat[index] = element.decode()
        except UnicodeDecodeError:
            raise InvalidArgument("bytes_not_text", tensor=tensor.name, index=index) from None
    return texts


def _ort_value(tensor: Tensor) -> ort.OrtValue:
    if tensor.datatype != "BF16":
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(_array(tensor)))
    # The value keeps no reference to an array it would copy from: hand it one that it owns.
    bits = np.array(np.frombuffer(tensor.data, np.uint16).reshape(tensor.shape))
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, BFLOAT16)


def _tensor(name: str, value: ort.OrtValue) -> Tensor:
    if value.data_type() != "tensor(bfloat16)":
        return from_array(name, value.numpy())
    shape = tuple(value.shape())
    size = element_count(shape) * DATATYPES["BF16"].size
    return Tensor(name, "BF16", shape, ctypes.string_at(value.data_ptr(), size) if size else b"")
