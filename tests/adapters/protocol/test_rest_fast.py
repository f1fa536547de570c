"""What the fast reader takes, and what it leaves to the exact one."""

from __future__ import annotations

import json

import pytest

from penstock_adapters.protocol.message import RequestMessage
from penstock_adapters.protocol.rest_fast import read

NOTHING = memoryview(b"")
INPUT = '{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}'


def fast(text: str, rest: bytes | None = None) -> tuple[RequestMessage, bool] | None:
    return read(text.encode(), memoryview(rest or b""), binary=rest is not None)


@pytest.mark.parametrize(
    "text",
    [
        '{"inputs":[INPUT]}',
        '{"inputs":[INPUT],"id":"a:b","parameters":{"k:":"v:"}}',
        '{"model_name":"m:1","inputs":[INPUT],"outputs":[{"name":"y:0"},{"name":"z","parameters":{"binary_data":true}}]}',
        '{"inputs":[{"name":"x","shape":[1,2],"datatype":"BYTES","data":["a:b","c"]}]}',
        '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1,2]],"parameters":{"k":1}}]}',
        '{"inputs":[{"name":"x\\n","shape":[1],"datatype":"BYTES","data":["\\n"]}]}',
        '{"inputs":[]}',
    ],
)
def test_ordinary_requests_are_read_fast(text: str) -> None:
    assert fast(text.replace("INPUT", INPUT)) is not None


@pytest.mark.parametrize(
    "text",
    [
        '{"inputs":[INPUT],"inputs":[INPUT]}',
        '{"inputs":[INPUT],"extra":1}',
        '{"inputs":[INPUT],"id":null}',
        '{"inputs":[INPUT],"id":"\\u003a","id":"a"}',
        '{"inputs":[INPUT],"id":"a:","x":"\\n"}',
        '{"inputs":[INPUT],"parameters":{"binary_data_output":1}}',
        '{"inputs":[INPUT],"outputs":[{"name":"y","parameters":{"classification":1}}]}',
        '{"inputs":[{"name":"x","shape":[-1],"datatype":"FP32","data":[1]}]}',
        '{"inputs":[{"name":"x","shape":[3],"datatype":"FP32","data":[1]}]}',
        '{"inputs":[{"name":"x","shape":[1],"datatype":"fp32","data":[1]}]}',
        '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32"}]}',
        '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1],"parameters":{"content_type":"np"}}]}',
        '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}',
        '{"inputs":[{"name":"x","shape":[' + ",".join(["9" * 18] * 33) + '],"datatype":"FP32","data":[1]}]}',
        '{"inputs":[{"name":"x","shape":[1073741824],"datatype":"FP32","data":[1]}]}',
        "[" * 100_000,
        "",
    ],
)
def test_the_rest_is_left_to_the_exact_reader(text: str) -> None:
    assert fast(text.replace("INPUT", INPUT)) is None


def binary(size: object, extra: str = "") -> str:
    entry = {"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": size, "mine": 1}}
    return json.dumps({"inputs": [entry]})[:-3] + extra + "}]}"


def test_binary_data_is_sliced_and_its_size_consumed() -> None:
    found = fast(binary(4), b"1234")

    assert found is not None
    tensor = found[0].inputs[0]
    assert (bytes(tensor.data), dict(tensor.parameters)) == (b"1234", {"mine": 1})


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (binary(4), b"123"),
        (binary(4), b"12345"),
        (binary(-1), b""),
        (binary(True), b"1"),
        (binary("4"), b"1234"),
        (binary(4, ',"data":[1]'), b"1234"),
    ],
)
def test_binary_data_that_does_not_fit_is_left_to_the_exact_reader(text: str, rest: bytes) -> None:
    assert fast(text, rest) is None
