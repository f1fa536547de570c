"""Which path names what, and which names nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import NotFound
from penstock_gateway.rest_paths import GET, GET_POST, POST, Operation, infer_target, parse


@pytest.mark.parametrize(
    ("path", "operation", "model", "version"),
    [
        ("/v2", Operation.SERVER_METADATA, "", ""),
        ("/v2/", Operation.SERVER_METADATA, "", ""),
        ("/v2/health/live", Operation.LIVE, "", ""),
        ("/v2/health/ready/", Operation.READY, "", ""),
        ("/v2/models", Operation.LIST, "", ""),
        ("/v2/models/stats", Operation.STATISTICS, "", ""),
        ("/v2/models/m", Operation.MODEL_METADATA, "m", ""),
        ("/v2/models/m/versions/3", Operation.MODEL_METADATA, "m", "3"),
        ("/v2/models/m/ready", Operation.MODEL_READY, "m", ""),
        ("/v2/models/m/versions/3/ready/", Operation.MODEL_READY, "m", "3"),
        ("/v2/models/m/config", Operation.MODEL_CONFIG, "m", ""),
        ("/v2/models/m/versions/a.b/stats", Operation.STATISTICS, "m", "a.b"),
        ("/v2/models/m/infer", Operation.INFER, "m", ""),
        ("/v2/models/versions/versions/1/infer", Operation.INFER, "versions", "1"),
        ("/v2/models/a%2Fb%20c", Operation.MODEL_METADATA, "a/b c", ""),
        ("/v2/models/%252f", Operation.MODEL_METADATA, "%2f", ""),
        ("/v2/repository/index", Operation.INDEX, "", ""),
        ("/metrics", Operation.METRICS, "", ""),
    ],
)
def test_a_path_names_an_operation(path: str, operation: Operation, model: str, version: str) -> None:
    target = parse(path.encode())

    assert (target.operation, target.model, target.version) == (operation, model, version)


@pytest.mark.parametrize(
    ("path", "methods", "word"),
    [
        ("/v2/repository/models/m/load", POST, "loading"),
        ("/v2/repository/models/m/unload", POST, "loading"),
        ("/v2/repository/main/models/m/load", POST, "naming"),
        ("/v2/repository/main/index", POST, "naming"),
        ("/v2/models/m/generate", POST, "generate"),
        ("/v2/models/m/versions/1/generate_stream", POST, "generate"),
        ("/v2/trace/setting", GET_POST, "trace"),
        ("/v2/models/m/trace/setting", GET_POST, "trace"),
        ("/v2/logging", GET_POST, "logging"),
        ("/v2/systemsharedmemory/status", GET, "shared memory"),
        ("/v2/systemsharedmemory/region/r/status", GET, "shared memory"),
        ("/v2/cudasharedmemory/region/r/register", POST, "shared memory"),
        ("/v2/cudasharedmemory/unregister", POST, "shared memory"),
    ],
)
def test_extensions_that_are_not_offered_are_known_paths(path: str, methods: tuple[str, ...], word: str) -> None:
    target = parse(path.encode())

    assert (target.operation, target.methods) == (Operation.EXTENSION, methods)
    assert word in target.extension


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "v2",
        "/V2",
        "/v1/models",
        "/v2//models",
        "//v2/models",
        "/v2/models//",
        "/v2/models//infer",
        "/v2/models/m//infer",
        "/v2/models/m/infer//",
        "/v2/models/m/versions",
        "/v2/models/m/versions//infer",
        "/v2/models/m/versions/1/2",
        "/v2/models/m/Infer",
        "/v2/models/m/nothing",
        "/v2/health",
        "/v2/repository",
        "/v2/repository/models/m",
        "/v2/systemsharedmemory",
        "/v2/systemsharedmemory/region/status",
        "/v2/../v2/models",
        "/metrics/x",
    ],
)
def test_other_paths_name_nothing(path: str) -> None:
    with pytest.raises(NotFound):
        parse(path.encode())
    assert infer_target(path.encode()) is None


SEGMENT = st.text("abc/%.é", max_size=4)


@given(st.lists(SEGMENT | st.sampled_from(["v2", "models", "versions", "infer", "m", ""]), max_size=7))
def test_the_short_way_to_infer_agrees_with_the_long_one(segments: list[str]) -> None:
    path = ("/" + "/".join(segments)).encode()
    short = infer_target(path)
    try:
        target = parse(path)
    except NotFound:
        assert short is None
        return

    assert (short is not None) == (target.operation is Operation.INFER)
    assert short is None or short == (target.model, target.version)
