"""Manifests for the runs: models behind the fake upstream, and the example model in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench.calls import DOWNLOAD, LOGITS, UPLOAD
from tests.bench.stage import Upstream

Resource = dict[str, Any]
IMAGE: Final = [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}]
LOGIT: Final = {"name": "logits", "datatype": "FP32", "shape": [-1, LOGITS]}
CHECK: Final = {"name": "check", "datatype": "INT64", "shape": [1]}
BLOB: Final = {"name": "blob", "datatype": "FP32", "shape": [-1]}
SIGNATURES: Final = {
    "digits": {"inputs": IMAGE, "outputs": [LOGIT, CHECK]},
    UPLOAD: {"inputs": [BLOB], "outputs": [CHECK]},
    DOWNLOAD: {"inputs": [{"name": "count", "datatype": "INT64", "shape": [1]}], "outputs": [BLOB]},
}


def proxied(upstream: Upstream, *, grpc_leg: bool = True) -> list[Resource]:
    """The three fake models behind the upstream, with signatures, so that every request is checked against one."""
    endpoint = {"url": f"http://127.0.0.1:{upstream.rest.port}"}
    if grpc_leg:
        endpoint["grpc"] = f"127.0.0.1:{upstream.grpc.port}"
    resources = [backend("upstream", "triton", endpoints=[endpoint])]
    for name, signature in SIGNATURES.items():
        resources += model(name, "upstream", signature)
    return resources


def many(count: int) -> Iterator[Resource]:
    """`count` models m0, m1, ... on the backend `upstream`."""
    for number in range(count):
        yield from model(f"m{number}", "upstream", SIGNATURES["digits"])


def embedded(path: Path) -> list[Resource]:
    """The ONNX file in Penstock's own process."""
    signature = {
        "inputs": IMAGE,
        "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}, LOGIT],
    }
    local = backend("local", "onnxruntime", options={"intra_op_threads": 1})
    return [local, *model("digits", "local", signature, artifact=f"file:{path}")]


def backend(name: str, platform: str, **spec: Any) -> Resource:
    return _resource("Backend", name, {"platform": platform} | spec)


def model(name: str, backend_name: str, signature: dict[str, Any], **version: Any) -> list[Resource]:
    """A model with one version, deployed."""
    spec = {"signature": signature, "versions": [{"id": "1"} | version]}
    deployment = {"model": f"{name}@1", "backend": backend_name}
    return [_resource("Model", name, spec), _resource("Deployment", f"{name}-1", deployment)]


def _resource(kind: str, name: str, spec: dict[str, Any]) -> Resource:
    return {"apiVersion": "penstock/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
