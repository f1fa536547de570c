"""Messages of the gRPC surface."""

from __future__ import annotations

import pytest

from penstock_adapters.adapter import IndexEntry
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.messages import ModelInferRequest
from penstock_gateway import grpc_answers
from tests.support.plane import MemoryPlane


def test_garbage_is_an_invalid_argument() -> None:
    assert grpc_answers.parsed(ModelInferRequest, b"\x0a\x01m").model_name == "m"
    with pytest.raises(InvalidArgument) as caught:
        grpc_answers.parsed(ModelInferRequest, b"\xff")
    assert "ModelInferRequest" in caught.value.text


def test_metadata_config_and_statistics_become_messages() -> None:
    plane = MemoryPlane()
    metadata = grpc_answers.model_metadata(plane.metadata("digits", ""))
    config = grpc_answers.model_config(plane.config("digits", "")).config
    statistics = grpc_answers.model_statistics(plane.statistics("digits", "1")).model_stats

    assert (metadata.platform, list(metadata.versions)) == ("penstock_fake", ["1", "2"])
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [("x", "FP32", [-1, 4])]
    assert (config.name, config.input[0].data_type, config.model_transaction_policy.decoupled) == ("digits", 11, False)
    assert [(row.name, row.version) for row in statistics] == [("digits", "1")]


def test_unknown_members_of_a_config_are_left_out() -> None:
    assert grpc_answers.model_config({"name": "m", "new_in_a_later_triton": 1}).config.name == "m"


def test_the_index_keeps_states_and_reasons() -> None:
    [row] = grpc_answers.repository_index([IndexEntry("m", "1", "LOADING", "soon")]).models

    assert (row.name, row.version, row.state, row.reason) == ("m", "1", "LOADING", "soon")


def test_server_metadata_lists_what_is_switched_on() -> None:
    answer = grpc_answers.server_metadata("1.2", ("statistics",))

    assert (answer.name, answer.version, list(answer.extensions)) == ("penstock", "1.2", ["statistics"])
