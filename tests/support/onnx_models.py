"""Small ONNX files, built where a test needs them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

ONNX_TYPE = {
    "BOOL": onnx.TensorProto.BOOL,
    "UINT8": onnx.TensorProto.UINT8,
    "UINT16": onnx.TensorProto.UINT16,
    "UINT32": onnx.TensorProto.UINT32,
    "UINT64": onnx.TensorProto.UINT64,
    "INT8": onnx.TensorProto.INT8,
    "INT16": onnx.TensorProto.INT16,
    "INT32": onnx.TensorProto.INT32,
    "INT64": onnx.TensorProto.INT64,
    "FP16": onnx.TensorProto.FLOAT16,
    "BF16": onnx.TensorProto.BFLOAT16,
    "FP32": onnx.TensorProto.FLOAT,
    "FP64": onnx.TensorProto.DOUBLE,
    "BYTES": onnx.TensorProto.STRING,
}
OPSET = 17


def _model(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(model.SerializeToString())


def identity_onnx(*tensors: tuple[str, str, Sequence[int | str | None] | None]) -> bytes:
    """Every tensor (name, datatype, shape) `x` comes back as `y_x`."""
    nodes, inputs, outputs = [], [], []
    for name, datatype, shape in tensors:
        nodes.append(helper.make_node("Identity", [name], [f"y_{name}"]))
        inputs.append(helper.make_tensor_value_info(name, ONNX_TYPE[datatype], shape))
        outputs.append(helper.make_tensor_value_info(f"y_{name}", ONNX_TYPE[datatype], shape))
    return _model(helper.make_graph(nodes, "identity", inputs, outputs))


def affine_onnx(factor: float) -> bytes:
    """One multiplication: y = factor * x + 1 over FP32 [batch, 4]."""
    constants = [
        numpy_helper.from_array(np.array(factor, np.float32), "factor"),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
    ]
    nodes = [helper.make_node("Mul", ["x", "factor"], ["kx"]), helper.make_node("Add", ["kx", "one"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y"))
    return _model(helper.make_graph(nodes, "affine", [x], [y], constants))


def slow_onnx() -> bytes:
    """Counts to `n` (INT64 scalar) one loop turn at a time: as slow as a test wants, and it can be stopped between turns."""
    one = numpy_helper.from_array(np.array(1, np.int64), "one")
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Add", ["count", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", onnx.TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("still", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", onnx.TensorProto.INT64, []),
        ],
    )
    true = numpy_helper.from_array(np.array(1, np.bool_), "true")
    zero = numpy_helper.from_array(np.array(0, np.int64), "zero")
    loop = helper.make_node("Loop", ["n", "true", "zero"], ["total"], body=body)
    n = helper.make_tensor_value_info("n", onnx.TensorProto.INT64, [])
    total = helper.make_tensor_value_info("total", onnx.TensorProto.INT64, [])
    return _model(helper.make_graph([loop], "slow", [n], [total], [true, zero, one]))


def sequence_onnx() -> bytes:
    """Its output is a sequence of tensors, which v2 cannot carry."""
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])
    y = helper.make_tensor_sequence_value_info("y", onnx.TensorProto.FLOAT, None)
    return _model(helper.make_graph([helper.make_node("SequenceConstruct", ["x"], ["y"])], "sequence", [x], [y]))


def failing_onnx() -> bytes:
    """Reshapes `i` (INT64 [n]) to three elements: any other number fails while the model runs."""
    three = numpy_helper.from_array(np.array([3], np.int64), "three")
    i = helper.make_tensor_value_info("i", onnx.TensorProto.INT64, ["n"])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.INT64, [3])
    return _model(helper.make_graph([helper.make_node("Reshape", ["i", "three"], ["y"])], "reshape", [i], [y], [three]))
