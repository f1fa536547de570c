from __future__ import annotations

from typing import cast

from penstock_adapters.protocol.message import Signature, TensorMetadata
from penstock_router.describe import model_config, model_statistics, platform_name
from penstock_router.stats import VersionStats

SIGNATURE = Signature(
    inputs=(TensorMetadata("text", "BYTES", (-1, 1)),),
    outputs=(TensorMetadata("p", "FP32", (-1, 3)),),
    max_batch_size=8,
)


def test_the_platform_is_never_empty() -> None:
    assert platform_name("onnx", "onnxruntime_onnx", "triton") == "onnxruntime_onnx"
    assert platform_name("onnx", "", "triton") == "onnx_onnxv1"
    assert platform_name("", "", "triton") == "triton_model"
    assert platform_name("", "", "") == "penstock_model"


def test_a_batching_models_dims_leave_the_batch_dimension_out() -> None:
    config = model_config("m", "onnx_onnxv1", ["1"], SIGNATURE)
    (tensor,) = cast("list[dict[str, object]]", config["input"])
    assert (config["max_batch_size"], tensor["data_type"], tensor["dims"]) == (8, "TYPE_STRING", [1])


def test_dims_of_a_model_without_batching_are_the_whole_shape() -> None:
    config = model_config("m", "p", ["1"], Signature(SIGNATURE.inputs, SIGNATURE.outputs))
    (tensor,) = cast("list[dict[str, object]]", config["output"])
    assert (config["max_batch_size"], tensor["dims"]) == (0, [-1, 3])


def test_the_config_has_what_perf_analyzer_reads() -> None:
    config = model_config("m", "p", ["1"], SIGNATURE)
    assert config["model_transaction_policy"] == {"decoupled": False}
    assert config["response_cache"] == {"enable": False}
    assert all("optional" in t for t in cast("list[dict[str, object]]", config["input"]))


def test_the_statistics_have_every_field_perf_analyzer_reads() -> None:
    row = VersionStats()
    row.succeeded(0.002, 4, unix_s=1.0)
    entry = model_statistics("m", "1", row)
    inner = cast("dict[str, dict[str, int]]", entry["inference_stats"])
    assert (entry["version"], entry["inference_count"], entry["execution_count"]) == ("1", 4, 1)
    assert set(inner) == {
        "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss",
    }  # fmt: skip
    assert inner["success"] == inner["compute_infer"] == {"count": 1, "ns": 2_000_000}
