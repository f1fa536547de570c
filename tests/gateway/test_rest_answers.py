"""Answers as values."""

from __future__ import annotations

import json

import pytest

from penstock_adapters.protocol.errors import NotFound, PenstockError, RateLimited, Unauthenticated, Unavailable
from penstock_adapters.protocol.errors import UnsupportedEncoding as Unsupported
from penstock_adapters.protocol.message import ModelMetadata, TensorMetadata
from penstock_gateway.rest_answers import error_answer, json_answer, metadata_json


def test_an_error_is_its_text_and_its_reason() -> None:
    answer = error_answer(NotFound("model_not_found", model="m"))
    headers = dict(answer.headers)

    assert answer.status == 404
    assert json.loads(b"".join(answer.parts)) == {"error": NotFound("model_not_found", model="m").text}
    assert headers[b"penstock-reason"] == b"model_not_found"
    assert headers[b"content-type"] == b"application/json"
    assert int(headers[b"content-length"]) == len(answer.parts[0])


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Unavailable("draining"), b"retry-after"),
        (RateLimited("rate_limited", retry_after_s=1), b"retry-after"),
        (Unauthenticated("unauthenticated"), b"www-authenticate"),
        (Unsupported("encoding_unsupported", coding="br"), b"accept-encoding"),
    ],
)
def test_statuses_carry_the_headers_they_promise(error: PenstockError, name: bytes) -> None:
    assert name in dict(error_answer(error).headers)


def test_quoted_input_cannot_break_the_json() -> None:
    answer = error_answer(NotFound("model_not_found", model='"\\\n\x00\ud800'))

    assert "error" in json.loads(bytes(answer.parts[0]))


def test_metadata_always_has_versions_and_platform() -> None:
    metadata = ModelMetadata("m", ("1",), "onnx_onnxv1", (TensorMetadata("x", "FP32", (-1, 4)),), ())

    assert metadata_json(metadata) == {
        "name": "m",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": (-1, 4)}],
        "outputs": [],
    }
    assert json_answer({"a": (1, 2)}).parts == (b'{"a":[1,2]}',)
