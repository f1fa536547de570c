"""Metadata, configuration and statistics in the words of the protocol and of Triton's extensions (protocol policy 6.16).

Pure: from what the router knows to the JSON form that REST sends and the gRPC shell parses into its messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock_adapters.protocol.message import Signature, TensorMetadata
from penstock_router.stats import VersionStats

Json = dict[str, object]

PLATFORM_OF_FRAMEWORK = {
    "onnx": "onnx_onnxv1",
    "tensorflow": "tensorflow_savedmodel",
    "pytorch": "pytorch_torchscript",
    "tensorrt": "tensorrt_plan",
}


def platform_name(framework: str, platform: str, backend_platform: str) -> str:
    """Never empty (clients index on it): what the backend says, else by framework, else the backend's own name."""
    return platform or PLATFORM_OF_FRAMEWORK.get(framework, "") or f"{backend_platform or 'penstock'}_model"


def config_datatype(datatype: str) -> str:
    """ModelConfig's name of a datatype."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def model_config(name: str, platform: str, versions: Sequence[str], signature: Signature) -> Json:
    """Triton's ModelConfig. With max_batch_size > 0 `dims` leave the batch dimension out, as Triton's do."""
    batched = signature.max_batch_size > 0

    def dims(tensor: TensorMetadata) -> list[int]:
        return list(tensor.shape[1:] if batched else tensor.shape)

    return {
        "name": name,
        "platform": platform,
        "backend": "penstock",
        "version_policy": {"specific": {"versions": [int(v) for v in versions if v.isdigit()]}},
        "max_batch_size": signature.max_batch_size,
        "input": [
            {
                "name": t.name,
                "data_type": config_datatype(t.datatype),
                "format": "FORMAT_NONE",
                "dims": dims(t),
                "is_shape_tensor": False,
                "optional": t.optional,
            }
            for t in signature.inputs
        ],
        "output": [
            {
                "name": t.name,
                "data_type": config_datatype(t.datatype),
                "dims": dims(t),
                "label_filename": "",
                "is_shape_tensor": False,
            }
            for t in signature.outputs
        ],
        "instance_group": [],
        "parameters": {},
        # perf_analyzer breaks on a policy without `decoupled` and a cache without `enable`.
        "model_transaction_policy": {"decoupled": False},
        "response_cache": {"enable": False},
    }


def _duration(count: int, ns: int) -> Json:
    return {"count": count, "ns": ns}


def model_statistics(name: str, version: str, stats: VersionStats) -> Json:
    """One `model_stats` entry. The gateway sees one time per call: it stands under compute_infer."""
    done, zero = _duration(stats.success_count, stats.success_ns), _duration(stats.success_count, 0)
    return {
        "name": name,
        "version": version,
        "last_inference": stats.last_ms,
        "inference_count": stats.inferences,
        "execution_count": stats.executions,
        "inference_stats": {
            "success": done,
            "fail": _duration(stats.fail_count, stats.fail_ns),
            "queue": zero,
            "compute_input": zero,
            "compute_infer": done,
            "compute_output": zero,
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": [],
    }
