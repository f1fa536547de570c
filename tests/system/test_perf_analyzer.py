"""What perf_analyzer reads before and after it loads a server: it refuses to start, or crashes, where a field is missing.

Its binary is in no package, so its reading is written out here, field by field (Triton's perf_analyzer 2.51: client_backend
and model_parser): server metadata, model metadata, model configuration, statistics; from REST and from gRPC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import tritonclient.grpc
from google.protobuf.json_format import MessageToDict

from tests.support import digits
from tests.support.examples import MODELS
from tests.support.penstock import Penstock

pytestmark = pytest.mark.system

Found = dict[str, Any]
NAMES = sorted({model.partition("@")[0] for model in MODELS})
DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
DATA_TYPES = {f"TYPE_{name}" for name in ("FP32", "INT64", "STRING")}


class OverRest:
    """Reads with a JSON library that takes no type for another."""

    def __init__(self, product: Penstock) -> None:
        self._product = product

    def _get(self, path: str) -> Found:
        answer = self._product.get(path)
        assert answer.status == 200, path
        found: Found = json.loads(answer.body)
        return found

    def server(self) -> Found:
        return self._get("/v2")

    def metadata(self, model: str) -> Found:
        return self._get(f"/v2/models/{model}")

    def config(self, model: str) -> Found:
        return self._get(f"/v2/models/{model}/config")

    def statistics(self, model: str, version: str) -> Sequence[Found]:
        entries: Sequence[Found] = self._get(f"/v2/models/{model}/versions/{version}/stats")["model_stats"]
        return entries


class OverGrpc:
    """Reads Triton's own messages. Of what protobuf leaves out, the default is what perf_analyzer sees."""

    def __init__(self, product: Penstock) -> None:
        self._client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{product.grpc}")

    def server(self) -> Found:
        return self._found(self._client.get_server_metadata())

    def metadata(self, model: str) -> Found:
        return self._found(self._client.get_model_metadata(model))

    def config(self, model: str) -> Found:
        found: Found = self._found(self._client.get_model_config(model))["config"]
        return found

    def statistics(self, model: str, version: str) -> Sequence[Found]:
        entries: Sequence[Found] = self._found(self._client.get_inference_statistics(model, version))["model_stats"]
        return entries

    def close(self) -> None:
        self._client.close()

    @staticmethod
    def _found(message: Any) -> Found:
        found: Found = _with_numbers(
            MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        )
        return found


def _with_numbers(value: Any) -> Any:
    """JSON of protobuf writes 64-bit numbers as text."""
    if isinstance(value, dict):
        return {
            key: item if key in {"version", "versions", "name"} else _with_numbers(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    return int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else value


@pytest.fixture(params=[OverRest, OverGrpc])
def reader(request: pytest.FixtureRequest, examples: Penstock) -> Any:
    found = request.param(examples)
    yield found
    if isinstance(found, OverGrpc):
        found.close()


def test_the_server_advertises_statistics_and_configurations(reader: Any) -> None:
    assert {"statistics", "model_configuration"} <= set(reader.server()["extensions"])


@pytest.mark.parametrize("model", NAMES)
def test_metadata_and_configuration_are_what_it_starts_with(reader: Any, model: str) -> None:
    metadata, config = reader.metadata(model), reader.config(model)

    assert metadata["name"] == config["name"] == model
    assert metadata["platform"]
    assert all(type(version) is str for version in metadata["versions"])
    batch = config["max_batch_size"]
    assert type(batch) is int
    assert batch >= 0
    for written, told in (("input", "inputs"), ("output", "outputs")):
        described = {tensor["name"]: tensor for tensor in metadata[told]}
        assert described
        for tensor in config[written]:
            _check_tensor(tensor, described[tensor["name"]], batched=batch > 0)
    assert all(type(tensor.get("optional", False)) is bool for tensor in config["input"])


def _check_tensor(tensor: Mapping[str, Any], described: Mapping[str, Any], *, batched: bool) -> None:
    """With a batch size the dimensions leave out the first one, which the metadata names."""
    shape = [int(size) for size in described["shape"]]
    assert tensor["data_type"] in DATA_TYPES
    assert tensor["data_type"].removeprefix("TYPE_") in {described["datatype"], "STRING"}
    assert [int(size) for size in tensor["dims"]] == (shape[1:] if batched else shape)


@pytest.mark.parametrize("model", NAMES)
def test_what_decides_how_it_sends_has_the_form_it_reads(reader: Any, model: str) -> None:
    config = reader.config(model)

    if "model_transaction_policy" in config:
        assert config["model_transaction_policy"]["decoupled"] is False
    if "response_cache" in config:
        assert type(config["response_cache"]["enable"]) is bool
    assert config.get("platform", "") != "ensemble"  # it would ask for the configuration of every step
    assert not config.get("ensemble_scheduling")
    assert not config.get("sequence_batching")


@pytest.mark.parametrize(("model", "version"), [("digits", "1"), ("digits-triton", "1"), ("intent", "1")])
def test_statistics_have_every_number_and_grow_with_the_load(
    reader: Any, examples: Penstock, model: str, version: str
) -> None:
    body = json.loads(digits.json_body(digits.images()[:4]))
    if model == "intent":
        body = {"inputs": [{"name": "text", "shape": [4, 1], "datatype": "BYTES", "data": ["a", "b", "c", "d"]}]}

    before = _counts(reader.statistics(model, version), model, version)
    for _ in range(3):
        assert examples.call("POST", f"/v2/models/{model}/versions/{version}/infer", body).status == 200
    after = _counts(reader.statistics(model, version), model, version)

    assert after["inference_count"] - before["inference_count"] == 12
    assert after["execution_count"] - before["execution_count"] == 3
    assert after["success"] - before["success"] == 3
    assert after["success_ns"] > before["success_ns"]


def _counts(entries: Sequence[Found], model: str, version: str) -> dict[str, int]:
    """It stops at the first field that is missing or of another type."""
    [entry] = entries
    assert (entry["name"], entry["version"]) == (model, version)
    stats = entry["inference_stats"]
    for name in DURATIONS:
        assert type(stats[name]["count"]) is int
        assert type(stats[name]["ns"]) is int
    counts = {name: entry[name] for name in ("inference_count", "execution_count")}
    assert all(type(count) is int for count in counts.values())
    return {**counts, "success": stats["success"]["count"], "success_ns": stats["success"]["ns"]}
