from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from penstock_adapters.onnx_session import OnnxSession, Threads, read_model
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import Tensor, TensorMetadata
from penstock_adapters.protocol.tensors import from_array, join_bytes, to_array
from tests.support.onnx_models import identity_onnx, sequence_onnx

SAMPLES = {
    name: np.array([[0, 1, 1]]).astype(row.dtype) if row.size else np.array([[b"", b"a\0b", "é".encode()]], object)
    for name, row in DATATYPES.items()
}


def session(content: bytes) -> OnnxSession:
    return OnnxSession(content, "m", Threads())


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_comes_back_as_it_went_in(datatype: str) -> None:
    tensor = from_array("x", SAMPLES[datatype], datatype)
    model = session(identity_onnx(("x", datatype, ["batch", 3])))

    (got,) = model.run([tensor], [])

    assert model.signature.inputs == (TensorMetadata("x", datatype, (-1, 3)),)
    assert (got.name, got.datatype, got.shape, bytes(got.data)) == ("y_x", datatype, (1, 3), bytes(tensor.data))


@pytest.mark.parametrize("datatype", DATATYPES)
def test_tensors_without_elements_and_scalars_of_every_datatype(datatype: str) -> None:
    (empty,) = session(identity_onnx(("x", datatype, ["a", "b"]))).run([Tensor("x", datatype, (0, 3), b"")], [])
    one = from_array("x", SAMPLES[datatype][0, 1:2].reshape(()), datatype)
    (scalar,) = session(identity_onnx(("x", datatype, []))).run([one], [])

    assert (empty.shape, bytes(empty.data)) == ((0, 3), b"")
    assert (scalar.shape, bytes(scalar.data)) == ((), bytes(one.data))


@pytest.mark.parametrize("datatype", ["FP64", "BF16", "FP16"])
def test_data_may_lie_anywhere_in_a_body(datatype: str) -> None:
    row = DATATYPES[datatype]
    data = np.arange(6).astype(row.dtype).tobytes()
    crooked = memoryview(b"x" + data)[1:]

    (got,) = session(identity_onnx(("x", datatype, ["n"]))).run([Tensor("x", datatype, (6,), crooked)], [])

    assert bytes(got.data) == data


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_nan_and_infinity_keep_their_bits(datatype: str) -> None:
    row = DATATYPES[datatype]
    data = np.array([np.nan, np.inf, -np.inf, -0.0]).astype(row.dtype).tobytes()

    (got,) = session(identity_onnx(("x", datatype, [4]))).run([Tensor("x", datatype, (4,), data)], [])

    assert bytes(got.data) == data


@pytest.mark.parametrize("other", ["BF16", "BYTES"])
def test_outputs_come_in_the_order_asked_for(other: str) -> None:
    model = session(identity_onnx(("a", "FP32", [1]), ("b", other, [1]), ("c", "INT64", [1])))
    inputs = [
        from_array("a", np.array([1], np.float32)),
        from_array("b", SAMPLES[other][0, 1:2], other),
        from_array("c", np.array([3])),
    ]

    assert [tensor.name for tensor in model.run(inputs, [])] == ["y_a", "y_b", "y_c"]
    got = model.run(inputs, ["y_c", "y_b"])

    assert [tensor.name for tensor in got] == ["y_c", "y_b"]
    assert to_array(got[0]).tolist() == [3]
    assert bytes(got[1].data) == bytes(inputs[1].data)


def test_text_beside_bf16_is_refused_at_load() -> None:
    with pytest.raises(InvalidArgument, match="takes text, and has BF16"):
        session(identity_onnx(("a", "BYTES", [1]), ("b", "BF16", [1])))


def test_bytes_that_are_not_text_are_refused_and_the_signature_says_so_beforehand() -> None:
    model = session(identity_onnx(("x", "BYTES", ["n"])))

    with pytest.raises(InvalidArgument, match="element 1 is not UTF-8"):
        model.run([Tensor("x", "BYTES", (2,), join_bytes([b"ok", b"\xff"]))], [])

    assert model.signature.text_inputs == {"x"}


@pytest.mark.parametrize("content", [b"", b"garbage", identity_onnx(("x", "FP32", [1]))[:30]])
def test_a_file_that_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArgument, match="not an ONNX file"):
        session(content)


def test_a_sequence_output_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidArgument, match=r"output 'y' is a seq\(tensor\(float\)\).*zipmap=False"):
        session(sequence_onnx())


def test_a_tensor_without_a_declared_shape_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidArgument, match="tensor 'x' declares no shape; write the shape into the file"):
        session(identity_onnx(("x", "FP32", None)))


def test_an_operator_the_runtime_lacks_is_named_as_the_cause() -> None:
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], domain="com.example")
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets, ir_version=8)

    with pytest.raises(InvalidArgument, match="cannot be loaded"):
        session(model.SerializeToString())


def test_weights_in_a_file_beside_the_model_are_found(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.arange(1000, dtype=np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1000]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)

    loaded = OnnxSession(read_model(path, "m", ""), "m", Threads(), folder=tmp_path)
    (got,) = loaded.run([from_array("x", np.zeros(1000, np.float32))], [])

    assert to_array(got).tolist() == list(range(1000))


def test_the_sha256_decides_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"content")
    right = hashlib.sha256(b"content").hexdigest()

    assert read_model(path, "m", right.upper()) == read_model(path, "m", "") == b"content"
    with pytest.raises(InvalidArgument, match=f"is {right}, not {'0' * 64}"):
        read_model(path, "m", "0" * 64)


def test_a_file_that_is_not_there_is_refused_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="artifact cannot be read") as caught:
        read_model(tmp_path / "secret.onnx", "m", "")

    assert "secret" not in caught.value.text
